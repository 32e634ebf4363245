//! Which playbook fits an incident, by the structure of its trigger alone.

use hostmedic_model::{
    playbook::{Condition, Playbook, Remedy},
    sample::Measure,
    subject::Subject,
    time::At,
};

use super::truth::{Truth, heard, truth};
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
            std::cmp::Reverse(weight(playbook)),
            playbook.name.clone(),
        )
    });
    match fitting.as_slice() {
        [] => Match::None,
        [first, second, ..]
            if matches!(first.remedy, Remedy::Steps { .. })
                && first.missing.is_empty()
                && second.missing.is_empty()
                && weight(first) == weight(second) =>
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
            .all(|condition| truth(condition, subject, facts, now) == Truth::Yes)
        && playbook
            .none
            .iter()
            .all(|condition| truth(condition, subject, facts, now) == Truth::No)
}

/// Whether a playbook counts signals of which some were heard, but surely not enough. Words cannot count:
/// a first time reads like a second.
pub(crate) fn counts_too_few(
    playbook: &Playbook,
    subject: &Subject,
    facts: &Facts,
    now: At,
) -> bool {
    playbook.trigger.iter().any(|condition| match condition {
        Condition::Signal {
            kind,
            at_least,
            within,
            only,
        } if *at_least > 1 => {
            let (sure, _) = heard(*kind, *within, only.as_ref(), subject, facts, now);
            sure > 0 && truth(condition, subject, facts, now) == Truth::No
        }
        _ => false,
    })
}

/// What a trigger knows about the case: how many conditions hold where it does.
fn weight(playbook: &Playbook) -> usize {
    playbook.trigger.iter().map(Condition::weight).sum()
}

/// Whether a trigger rests on this measure, alone or in a group.
pub(crate) fn rests_on(playbook: &Playbook, measure: Measure) -> bool {
    let conditions = playbook.trigger.iter().flat_map(Condition::flat);
    conditions.into_iter().any(|condition| {
        matches!(condition, Condition::Above { measure: of, .. } | Condition::Below { measure: of, .. } if *of == measure)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::time::Duration;

    use hostmedic_model::{
        signal::{Fact, Signal},
        subject::UnitName,
    };

    use super::*;

    #[test]
    fn too_few_is_some_and_surely_not_enough() {
        let text = include_str!("../../../../playbooks/unit-watchdog-repeat.yaml");
        let playbook = crate::playbook::parse("unit-watchdog-repeat.yaml", text).unwrap();
        let unit = Subject::Unit(UnitName::new("api.service").unwrap());
        let at = |s: u64| At::default().plus(Duration::from_secs(s));
        let mut facts = Facts::default();
        facts.begin(at(0));
        let check = |facts: &Facts, s: u64, expected: bool| {
            let found = counts_too_few(&playbook, &unit, facts, at(s));
            assert_eq!(found, expected, "at {s} s");
        };
        let hang = |facts: &mut Facts, s: u64| {
            facts.learn_signal(&Signal {
                at: at(s),
                subject: unit.clone(),
                fact: Fact::UnitWatchdog,
            });
        };
        // None is not too few: what the text says may be news to us.
        check(&facts, 5000, false);
        hang(&mut facts, 1000);
        // Before we listened there may have been another one.
        check(&facts, 1001, false);
        check(&facts, 4000, true);
        hang(&mut facts, 4001);
        check(&facts, 4002, false);
        // The first is more than an hour ago by now.
        check(&facts, 4700, true);
    }
}
