//! Since when a condition has held without a break, for triggers and checks that ask for a `for`.
//! Only conditions that a playbook asks it of are followed.

use std::collections::BTreeMap;

use hostmedic_model::{
    playbook::{Check, Condition, Playbook, Remedy},
    sample::Sample,
    subject::{Subject, UnitName},
    time::At,
};

use super::{KEPT_MAX, UnitFacts, forget_oldest};

/// Whether a condition holds for a subject, and since when that has been so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) holds: bool,
    /// The first moment of it that was seen.
    pub(crate) since: At,
    /// Whether the other was seen before. If not, it may have been so for longer.
    pub(crate) began: bool,
}

/// Standings of all followed conditions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standings {
    followed: Vec<Condition>,
    known: BTreeMap<(usize, Subject), Standing>,
}

impl Standings {
    /// Follows what these playbooks ask a `for` of.
    pub(crate) fn follow(&mut self, playbooks: &[Playbook]) {
        for playbook in playbooks {
            let conditions = playbook.trigger.iter().chain(&playbook.none);
            for condition in conditions.flat_map(Condition::flat) {
                if let Condition::Held { condition, .. } = condition {
                    self.follow_one(condition);
                }
            }
            let Remedy::Steps { verify, .. } = &playbook.remedy else {
                continue;
            };
            for check in &verify.checks {
                if let Check::Held { check, .. } = check
                    && let Some(condition) = as_condition(check)
                {
                    self.follow_one(&condition);
                }
            }
        }
    }

    fn follow_one(&mut self, condition: &Condition) {
        if !self.followed.contains(condition) {
            self.followed.push(condition.clone());
        }
    }

    /// What is known of a followed condition; `None` where nothing has been seen of it.
    pub(crate) fn of(&self, condition: &Condition, subject: &Subject) -> Option<Standing> {
        let index = self.followed.iter().position(|it| it == condition)?;
        self.known.get(&(index, subject.clone())).copied()
    }

    /// Whether any followed condition holds of a subject.
    pub(super) fn any_holds(&self, subject: &Subject) -> bool {
        let indices = 0..self.followed.len();
        indices
            .filter_map(|index| self.known.get(&(index, subject.clone())))
            .any(|standing| standing.holds)
    }

    /// Takes a number in. `unbroken`: it follows the one before in time.
    pub(super) fn number(&mut self, sample: &Sample, unbroken: bool) {
        for index in 0..self.followed.len() {
            let holds = match &self.followed[index] {
                Condition::Above { measure, limit } if *measure == sample.series.measure => {
                    sample.value > *limit
                }
                Condition::Below { measure, limit } if *measure == sample.series.measure => {
                    sample.value < *limit
                }
                _ => continue,
            };
            self.note(
                (index, sample.series.subject.clone()),
                holds,
                sample.at,
                unbroken,
            );
        }
    }

    /// Takes a unit's state in. `anew`: it was started since the one before, so that whatever is
    /// so now was not so for a moment.
    pub(super) fn unit(&mut self, unit: &UnitName, facts: &UnitFacts, anew: bool) {
        for index in 0..self.followed.len() {
            if !matches!(self.followed[index], Condition::UnitState { .. }) {
                continue;
            }
            let key = (index, Subject::Unit(unit.clone()));
            if anew && let Some(standing) = self.known.get_mut(&key) {
                standing.since = facts.at;
                standing.began = true;
            }
            let holds = facts.fits(&self.followed[index]);
            self.note(key, holds, facts.at, true);
        }
    }

    /// Forgets a subject: whatever comes of it later is another one.
    pub(super) fn forget(&mut self, subject: &Subject) {
        self.known.retain(|(_, known), _| known != subject);
    }

    fn note(&mut self, key: (usize, Subject), holds: bool, at: At, unbroken: bool) {
        let before = self.known.get(&key).filter(|_| unbroken);
        let standing = match before {
            Some(standing) if standing.holds == holds => return,
            before => Standing {
                holds,
                since: at,
                began: before.is_some(),
            },
        };
        if !self.known.contains_key(&key) && self.known.len() >= KEPT_MAX {
            forget_oldest(&mut self.known, |standing| standing.since);
        }
        self.known.insert(key, standing);
    }
}

/// A check on a number as the condition that it is.
pub(crate) fn as_condition(check: &Check) -> Option<Condition> {
    match check {
        Check::Below { measure, limit, .. } => Some(Condition::Below {
            measure: *measure,
            limit: *limit,
        }),
        Check::Above { measure, limit, .. } => Some(Condition::Above {
            measure: *measure,
            limit: *limit,
        }),
        _ => None,
    }
}
