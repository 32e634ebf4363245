//! The second opinion on a match, without words: each condition of a playbook's trigger is looked
//! for in what the host has told of the incident's subject, and what speaks against it is named.
//!
//! A text can be alike for the wrong reason. What is contradicted here never acts, however alike.

use hostmedic_model::{
    matched::EvidenceCheck,
    playbook::{Condition, Playbook},
    sample::Series,
    signal::{Fact, OomVerdict, SignalKind},
    subject::Subject,
    time::{At, Span},
};

use super::truth::{Truth, heard, truth};
use crate::facts::Facts;

/// From here a text is so much nearer to what the playbook is not for that it counts against it.
/// Below lies what two ways to say one thing differ by.
const NOT_FOR_MIN: f32 = 0.15;
/// Lines of one kind that are kept.
const LINES_MAX: usize = 8;

/// Looks for everything `playbook` asks for. `not_for_excess` is how much nearer the incident's
/// text is to what the playbook is not for; zero where no text was compared.
pub(crate) fn check(
    playbook: &Playbook,
    subject: &Subject,
    facts: &Facts,
    now: At,
    not_for_excess: f32,
) -> EvidenceCheck {
    let mut found = EvidenceCheck::default();
    for condition in &playbook.trigger {
        let words = in_words(condition, subject, facts, now);
        match truth(condition, subject, facts, now) {
            Truth::Yes => found.supported.push(words),
            Truth::No if is_known(condition, subject, facts, now) => found.contradicted.push(words),
            Truth::No | Truth::Unknown => found.missing.push(words),
        }
        for condition in asked_for(condition) {
            if let Condition::Signal { kind, within, .. } = condition {
                found
                    .supported
                    .extend(beside(*kind, *within, subject, facts, now));
                // In a group that holds, what speaks against one of its ways speaks against all.
                found
                    .contradicted
                    .extend(against(*kind, *within, subject, facts, now));
            }
        }
    }
    for condition in &playbook.none {
        let words = in_words(condition, subject, facts, now);
        match truth(condition, subject, facts, now) {
            Truth::Yes => found.contradicted.push(format!("must not hold: {words}")),
            Truth::Unknown => found
                .missing
                .push(format!("must not hold, and cannot be told: {words}")),
            Truth::No => {}
        }
    }
    if not_for_excess >= NOT_FOR_MIN {
        let why = format!("the text is nearer by {not_for_excess:.2} to what it is not for");
        found.contradicted.push(why);
    }
    for lines in [
        &mut found.supported,
        &mut found.missing,
        &mut found.contradicted,
    ] {
        lines.dedup();
        lines.truncate(LINES_MAX);
    }
    found
}

/// Whether what does not hold is known not to hold, and not only unheard of.
fn is_known(condition: &Condition, subject: &Subject, facts: &Facts, now: At) -> bool {
    let is_known = |condition: &Condition| is_known(condition, subject, facts, now);
    let refuted = |condition: &Condition| {
        truth(condition, subject, facts, now) == Truth::No && is_known(condition)
    };
    match condition {
        Condition::UnitState { .. } => subject
            .unit()
            .is_some_and(|unit| facts.unit(unit).is_some()),
        Condition::Above { measure, .. } | Condition::Below { measure, .. } => facts
            .sample(&Series {
                subject: subject.clone(),
                measure: *measure,
            })
            .is_some(),
        // What has not been so for long enough may still come to be.
        Condition::Held { condition, .. } => refuted(condition),
        Condition::All(all) => all.iter().any(refuted),
        Condition::Any(any) => any.iter().all(refuted),
        // It does not hold only because something that must not be is so.
        Condition::None(_) => true,
        Condition::Signal { .. } | Condition::Starts { .. } | Condition::Unseen(_) => false,
    }
}

/// The single conditions that a condition asks for; not those that must not hold.
fn asked_for(condition: &Condition) -> Vec<&Condition> {
    match condition {
        Condition::Held { condition, .. } => asked_for(condition),
        Condition::All(group) | Condition::Any(group) => group.iter().flat_map(asked_for).collect(),
        Condition::None(_) => Vec::new(),
        single => vec![single],
    }
}

/// A condition, and what was seen of it.
fn in_words(condition: &Condition, subject: &Subject, facts: &Facts, now: At) -> String {
    let sampled = |measure| {
        let series = Series {
            subject: subject.clone(),
            measure,
        };
        facts.sample(&series).map_or_else(
            || "not measured".to_owned(),
            |sample| format!("{:.3}", sample.value),
        )
    };
    let group = |name: &str, group: &[Condition]| {
        let words = group
            .iter()
            .map(|condition| in_words(condition, subject, facts, now));
        format!("{name} [{}]", words.collect::<Vec<_>>().join("; "))
    };
    match condition {
        Condition::Signal {
            kind,
            at_least,
            within,
            only,
        } => {
            let (seen, _) = heard(*kind, *within, only.as_ref(), subject, facts, now);
            format!("{}: {seen} of {at_least} within {within}", word(*kind))
        }
        Condition::UnitState {
            active,
            result,
            result_not,
            ..
        } => {
            let seen = subject
                .unit()
                .and_then(|unit| facts.unit(unit))
                .map_or_else(
                    || "not known".to_owned(),
                    |unit| {
                        let state = &unit.state;
                        format!("{:?} ({}, {})", state.active, state.sub, state.result)
                            .to_lowercase()
                    },
                );
            let list = |words: &[String]| words.join(" or ");
            let active: Vec<_> = active
                .iter()
                .map(|state| format!("{state:?}").to_lowercase())
                .collect();
            let mut wanted = vec![list(&active)];
            if !result.is_empty() {
                wanted.push(format!("result {}", list(result)));
            }
            if !result_not.is_empty() {
                wanted.push(format!("result not {}", list(result_not)));
            }
            wanted.retain(|part| !part.is_empty());
            format!("unit is {seen}, wanted {}", wanted.join(", "))
        }
        Condition::Starts { at_least, within } => {
            let seen = subject
                .unit()
                .map_or(0, |unit| facts.starts_within(unit, within.0, now));
            format!("starts: {seen} of {at_least} within {within}")
        }
        Condition::Above { measure, limit } => {
            format!("{measure}: {}, wanted above {limit:.3}", sampled(*measure))
        }
        Condition::Below { measure, limit } => {
            format!("{measure}: {}, wanted below {limit:.3}", sampled(*measure))
        }
        Condition::Held { condition, span } => {
            let words = in_words(condition, subject, facts, now);
            let held = facts
                .standing(condition, subject)
                .filter(|standing| standing.holds)
                .map_or(0, |standing| now.since(standing.since).as_secs());
            format!("{words}, for {held} s of {span}")
        }
        Condition::All(all) => group("all of", all),
        Condition::Any(any) => group("any of", any),
        Condition::None(none) => group("none of", none),
        Condition::Unseen(what) => format!("this version cannot see: {what}"),
    }
}

/// Signals from other sources that come with one of `kind` when it is what it seems to be.
fn beside(
    kind: SignalKind,
    within: Span,
    subject: &Subject,
    facts: &Facts,
    now: At,
) -> Vec<String> {
    let kinds: &[SignalKind] = match kind {
        SignalKind::OomKill => &[SignalKind::MemoryEvents, SignalKind::FatalSignal],
        SignalKind::BlockError => &[SignalKind::ScsiError, SignalKind::WritebackError],
        SignalKind::MountReadOnly => &[SignalKind::FilesystemError, SignalKind::BlockError],
        SignalKind::FilesystemError => &[SignalKind::BlockError, SignalKind::MountReadOnly],
        SignalKind::UnitState => &[SignalKind::FatalSignal],
        SignalKind::Pressure => &[SignalKind::MemoryEvents],
        SignalKind::PacketDrops => &[SignalKind::NetCounter, SignalKind::TcpTrouble],
        _ => &[],
    };
    let count = |kind: &SignalKind| facts.signals_within(subject, *kind, within.0, now);
    kinds
        .iter()
        .filter(|kind| count(kind) > 0)
        .map(|kind| format!("beside it: {} {}", count(kind), word(*kind)))
        .collect()
}

/// What signals of `kind` say themselves against what they seem to be.
fn against(
    kind: SignalKind,
    within: Span,
    subject: &Subject,
    facts: &Facts,
    now: At,
) -> Option<String> {
    let kills = facts
        .signals_of(subject, within.0, now)
        .filter_map(|signal| match &signal.fact {
            Fact::OomKill(kill) if kind == SignalKind::OomKill => Some(kill.verdict),
            _ => None,
        });
    let mut kills = kills.peekable();
    let any = kills.peek().is_some();
    (any && kills.all(|verdict| verdict == OomVerdict::AlreadyExiting))
        .then(|| "the kernel chose a process that was ending already, and killed nobody".to_owned())
}

/// A kind's word, as playbooks and `medic events` have it.
fn word(kind: SignalKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(word)) => word,
        _ => format!("{kind:?}"),
    }
}
