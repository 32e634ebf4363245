//! Which playbook fits an incident, by the structure of its trigger alone.

use hostmedic_model::{
    playbook::{Condition, Playbook, Remedy},
    sample::Series,
    subject::Subject,
    time::At,
};

use crate::facts::Facts;

/// What was found.
#[derive(Debug, PartialEq)]
pub(crate) enum Match<'a> {
    /// Nothing fits.
    None,
    /// This one.
    One(&'a Playbook),
    /// Two that act fit equally well: a machine must not guess.
    Tie(&'a Playbook, &'a Playbook),
}

/// Finds the playbook for `subject` as it is now.
///
/// One that hands over to people goes before any that acts; then the one with more conditions,
/// because it knows more about the case.
pub(crate) fn choose<'a>(
    playbooks: &'a [Playbook],
    subject: &Subject,
    facts: &Facts,
    now: At,
) -> Match<'a> {
    let mut fitting: Vec<_> = playbooks
        .iter()
        .filter(|playbook| holds(playbook, subject, facts, now))
        .collect();
    fitting.sort_by_key(|playbook| {
        // What cannot be done yet must not stand in the way of what can.
        let rank = match playbook.remedy {
            _ if !playbook.missing.is_empty() => 2,
            Remedy::Steps { .. } => 1,
            Remedy::Escalate(_) | Remedy::Unbuilt(_) => 0,
        };
        (
            rank,
            std::cmp::Reverse(playbook.trigger.len()),
            playbook.name.clone(),
        )
    });
    match fitting.as_slice() {
        [] => Match::None,
        [first, second, ..]
            if matches!(first.remedy, Remedy::Steps { .. })
                && first.missing.is_empty()
                && second.missing.is_empty()
                && first.trigger.len() == second.trigger.len() =>
        {
            Match::Tie(first, second)
        }
        [first, ..] => Match::One(first),
    }
}

/// Whether every condition of a playbook's trigger holds.
pub(crate) fn holds(playbook: &Playbook, subject: &Subject, facts: &Facts, now: At) -> bool {
    // An empty trigger fits nothing: an empty selection is never "everything".
    !playbook.trigger.is_empty()
        && playbook
            .trigger
            .iter()
            .all(|condition| condition_holds(condition, subject, facts, now))
        && !playbook
            .none
            .iter()
            .any(|condition| might_hold(condition, subject, facts, now))
}

/// Whether a condition holds, or could for all that is known.
pub(super) fn might_hold(condition: &Condition, subject: &Subject, facts: &Facts, now: At) -> bool {
    let unknown = match condition {
        Condition::Unseen(_) => true,
        Condition::UnitState { .. } => subject
            .unit()
            .is_some_and(|unit| facts.unit(unit).is_none()),
        Condition::Above { measure, .. } | Condition::Below { measure, .. } => {
            let series = Series {
                subject: subject.clone(),
                measure: *measure,
            };
            facts.sample(&series).is_none()
        }
        Condition::Signal { .. } | Condition::Starts { .. } => false,
    };
    unknown || condition_holds(condition, subject, facts, now)
}

pub(super) fn condition_holds(
    condition: &Condition,
    subject: &Subject,
    facts: &Facts,
    now: At,
) -> bool {
    match condition {
        Condition::Signal {
            kind,
            at_least,
            within,
        } => {
            facts.signals_within(subject, *kind, within.0, now)
                >= usize::try_from(*at_least).unwrap_or(usize::MAX)
        }
        Condition::UnitState {
            active,
            result,
            result_not,
            restart_policy,
        } => {
            let Some(unit) = subject.unit().and_then(|unit| facts.unit(unit)) else {
                return false;
            };
            let policy_fits = unit
                .restart_policy
                .as_ref()
                // Before the first inspection the policy is unknown; the fresh look decides.
                .is_none_or(|policy| restart_policy.is_empty() || restart_policy.contains(policy));
            (active.is_empty() || active.contains(&unit.state.active))
                && (result.is_empty() || result.contains(&unit.state.result))
                && !result_not.contains(&unit.state.result)
                && policy_fits
                // Where systemd itself is about to restart the unit, nobody else should.
                && unit.state.sub != "auto-restart"
        }
        Condition::Starts { at_least, within } => subject.unit().is_some_and(|unit| {
            facts.starts_within(unit, within.0, now)
                >= usize::try_from(*at_least).unwrap_or(usize::MAX)
        }),
        Condition::Above { measure, limit } => {
            let series = Series {
                subject: subject.clone(),
                measure: *measure,
            };
            facts
                .sample(&series)
                .is_some_and(|sample| sample.value > *limit)
        }
        Condition::Below { measure, limit } => {
            let series = Series {
                subject: subject.clone(),
                measure: *measure,
            };
            facts
                .sample(&series)
                .is_some_and(|sample| sample.value < *limit)
        }
        Condition::Unseen(_) => false,
    }
}
