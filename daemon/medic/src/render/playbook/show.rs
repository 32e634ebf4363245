//! `medic playbook show`: what one playbook comes to.

use hostmedic_model::playbook::{Check, Condition, Need, Playbook, Remedy, SignalFilter};
use hostmedic_reason::{matching::confidence::Thresholds, playbook::wire::Document};

use crate::render::{
    evidence::phase,
    text::{Style, Table, Tone, clean, short},
};

/// One playbook.
pub(crate) fn show(playbook: &Playbook, document: Option<&Document>, style: Style) -> String {
    let head = format!("{} v{}", playbook.name, playbook.version);
    let mut page = format!(
        "{}  {}\n{}\n\n",
        style.paint(Tone::Head, &clean(&head)),
        style.paint(Tone::Dim, short(&playbook.sha256)),
        clean(&playbook.describe.summary)
    );
    let mut table = Table::default();
    let mut name = "";
    let mut line = |key: &'static str, text: String, tone: Option<Tone>| {
        let shown = if key == name { "" } else { key };
        name = key;
        table.row([(shown.to_owned(), Some(Tone::Dim)), (text, tone)]);
    };
    for symptom in &playbook.describe.symptoms {
        line("seen as", symptom.clone(), None);
    }
    for other in &playbook.describe.not_for {
        line("not for", other.clone(), None);
    }
    if let Some(example) = playbook.describe.examples.first() {
        line("such as", example.clone(), None);
    }
    for it in &playbook.trigger {
        line("when", condition(it), None);
    }
    for it in &playbook.none {
        line("unless", condition(it), None);
    }
    line("class", playbook.class.word().to_owned(), None);
    let (word, meaning) = phase(playbook.phase_max);
    line("up to", format!("{word}: {meaning}"), None);
    let needed = Thresholds::of(playbook);
    if needed != Thresholds::default() {
        let text = format!(
            "{:.2} to be proposed, {:.2} to act",
            needed.propose, needed.act
        );
        line("confidence", text, None);
    }
    for missing in &playbook.missing {
        line("missing", missing.clone(), Some(Tone::Warn));
    }
    for check in &playbook.pre_checks {
        let text = format!(
            "{} ({}), else {:?}",
            check.name,
            need(&check.needs),
            check.otherwise
        );
        line("first", text, None);
    }
    match &playbook.remedy {
        Remedy::Steps { steps, verify } => {
            for it in steps {
                line("does", format!("{it}, within {}", it.wait_max), None);
            }
            let times = format!("after {}, until {}", verify.settle, verify.within);
            line("verified", times, None);
            for it in &verify.checks {
                line("verified", check(it), None);
            }
        }
        Remedy::Escalate(reason) => line("tells", format!("people: {reason}"), None),
        Remedy::Unbuilt(what) => line("would do", what.clone(), Some(Tone::Warn)),
    }
    if !playbook.rollback.is_empty() {
        line("undone", playbook.rollback.clone(), None);
    }
    let limits = &playbook.limits;
    let text = format!(
        "{} a unit, {} a slice, {} the host, {} apart",
        limits.per_unit, limits.per_slice, limits.per_host, limits.cooldown
    );
    line("limits", text, None);
    if let Some(document) = document {
        let list: Vec<_> = document
            .capture
            .iter()
            .flat_map(|list| &list.value)
            .collect();
        if !list.is_empty() {
            let names: Vec<_> = list.iter().map(|capture| capture.value.as_str()).collect();
            line("captures", names.join(", "), None);
        }
        line("tests", document.tests.len().to_string(), None);
    }
    page += &table.render(style);
    page
}

/// A condition in words.
pub(crate) fn condition(of: &Condition) -> String {
    match of {
        Condition::Signal {
            kind,
            at_least,
            within,
            only,
        } => {
            let word = serde_json::to_value(kind).unwrap_or_default();
            let word = word.as_str().unwrap_or("signal").to_owned();
            let only = only.as_ref().map(filter).unwrap_or_default();
            format!("{word}{only}, {at_least} or more within {within}")
        }
        Condition::UnitState {
            active,
            result,
            result_not,
            restart_policy,
        } => {
            let mut parts = Vec::new();
            let mut part = |what: &str, words: Vec<String>| {
                if !words.is_empty() {
                    parts.push(format!("{what} {}", words.join(" or ")));
                }
            };
            let states = active
                .iter()
                .map(|state| format!("{state:?}").to_lowercase());
            part("is", states.collect());
            part("with result", result.clone());
            part("and result not", result_not.clone());
            part("and Restart=", restart_policy.clone());
            format!("the unit {}", parts.join(" "))
        }
        Condition::Starts { at_least, within } => {
            format!("started {at_least} times or more within {within}")
        }
        Condition::Above { measure, limit } => format!("{measure} above {limit}"),
        Condition::Below { measure, limit } => format!("{measure} below {limit}"),
        Condition::Held {
            condition: it,
            span,
        } => format!("{}, for {span}", condition(it)),
        Condition::All(all) => group("all of", all),
        Condition::Any(any) => group("any of", any),
        Condition::None(none) => group("none of", none),
        Condition::Unseen(what) => format!("{what} (not seen yet)"),
    }
}

/// A group of conditions in words.
fn group(name: &str, members: &[Condition]) -> String {
    let members: Vec<_> = members.iter().map(condition).collect();
    format!("{name} [{}]", members.join("; "))
}

/// What a signal must say of itself, in words.
fn filter(filter: &SignalFilter) -> String {
    match filter {
        SignalFilter::PressureOf(of) => format!(" of {}", words(of)),
        SignalFilter::MemoryEvent(of) => format!(" of {}", words(of)),
        SignalFilter::OomOfHost(true) => " of the host".to_owned(),
        SignalFilter::OomOfHost(false) => " of a unit's own limit".to_owned(),
        SignalFilter::FatalSignal(of) => format!(" by signal {}", words(of)),
    }
}

fn words<T: std::fmt::Debug>(of: &[T]) -> String {
    let words: Vec<_> = of
        .iter()
        .map(|it| format!("{it:?}").to_lowercase())
        .collect();
    words.join(" or ")
}

/// A need in words.
fn need(need: &Need) -> String {
    match need {
        Need::Fresh(span) => format!("read within {span}"),
        Need::Active => "it is active".to_owned(),
        Need::ClosureAtMost(most) => format!("at most {most} units stopped with it"),
        Need::StartsLeft(least) => format!("at least {least} starts left"),
        Need::NoJob => "no job waits".to_owned(),
        Need::NotFrozen => "it is not frozen".to_owned(),
        Need::Quiet(span) => format!("no job waits, and nobody touched it for {span}"),
        Need::Below { measure, limit, .. } => format!("{measure} below {limit:.3}"),
        Need::Above { measure, limit, .. } => format!("{measure} above {limit:.3}"),
        Need::NoSignal { kind, within } => format!("no {kind:?} within {within}"),
    }
}

/// A check in words.
fn check(of: &Check) -> String {
    match of {
        Check::UnitActive => "the unit is active".to_owned(),
        Check::NewInvocation => "it runs anew".to_owned(),
        Check::WatchdogPings => "it reports to systemd".to_owned(),
        Check::NoSignal(kind) => format!("no {kind:?} since"),
        Check::Below { measure, limit, .. } => format!("{measure} below {limit}"),
        Check::Above { measure, limit, .. } => format!("{measure} above {limit}"),
        Check::FellBy { measure, by } => format!("{measure} fell by {:.0}%", by * 100.0),
        Check::Held { check: held, span } => format!("{}, for {span}", check(held)),
        Check::ClosureRestored => "every unit that ran because of it runs again".to_owned(),
    }
}
