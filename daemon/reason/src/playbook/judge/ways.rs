//! The ways in which a trigger can come to hold, and whether each has enough independent witnesses.
//! With `any` a trigger has several, and the weakest of them is what it is worth.

use std::collections::BTreeSet;

use hostmedic_model::playbook::RiskClass;

use super::Judge;
use crate::playbook::{placed::Place, registry::Witness};

/// A witness and, for numbers, where they are read.
pub(super) type Said = (Witness, &'static str);

/// More ways than this are no rule any more but a program.
const WAYS_MAX: usize = 64;

/// One way: who says so, how many conditions it has, and the branch of the file that it goes.
#[derive(Clone, Debug, Default)]
struct Way {
    witnesses: BTreeSet<Said>,
    conditions: usize,
    place: Option<Place>,
}

/// All ways in which something comes to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways {
    list: Vec<Way>,
    /// There were too many to look at each.
    too_many: bool,
}

impl Ways {
    /// Of what holds without anybody's word.
    pub(super) fn certain() -> Self {
        Self {
            list: vec![Way::default()],
            too_many: false,
        }
    }

    /// Of a single condition.
    pub(super) fn one(said: Option<Said>) -> Self {
        Self {
            list: vec![Way {
                witnesses: said.into_iter().collect(),
                conditions: 1,
                place: None,
            }],
            too_many: false,
        }
    }

    /// Both must hold: each way of one with each of the other.
    pub(super) fn and(self, other: &Self) -> Self {
        let too_many = self.too_many
            || other.too_many
            || self.list.len().saturating_mul(other.list.len()) > WAYS_MAX;
        if too_many {
            return Self {
                list: self.list,
                too_many,
            };
        }
        let list = self.list.iter().flat_map(|one| {
            other.list.iter().map(|another| Way {
                witnesses: one.witnesses.union(&another.witnesses).copied().collect(),
                conditions: one.conditions + another.conditions,
                place: another.place.or(one.place),
            })
        });
        Self {
            list: list.collect(),
            too_many,
        }
    }

    /// One of both must hold.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.too_many |= other.too_many || self.list.len() + other.list.len() > WAYS_MAX;
        if !self.too_many {
            self.list.extend(other.list);
        }
        self
    }

    /// These ways, as the branch that stands here.
    pub(super) fn at(mut self, place: Place) -> Self {
        for way in &mut self.list {
            way.place = way.place.or(Some(place));
        }
        self
    }
}

impl Judge<'_> {
    /// Each way must rest on something, and on two independent witnesses if it can do harm.
    pub(super) fn enough_witnesses(&mut self, ways: &Ways, place: Place, class: RiskClass) {
        if ways.too_many {
            self.findings.error_help(
                "condition",
                place,
                format!("this trigger can come to hold in more than {WAYS_MAX} ways"),
                "write two playbooks",
            );
            return;
        }
        for way in &ways.list {
            let place = way.place.unwrap_or(place);
            if way.conditions == 0 {
                self.findings.error(
                    "always",
                    place,
                    "nothing needs to happen for this trigger to hold: what is not so is no sign",
                );
                return;
            }
            if class < RiskClass::Disruptive || way.witnesses.len() >= 2 {
                continue;
            }
            let said: Vec<_> = (way.witnesses.iter())
                .map(|(witness, _)| witness.word())
                .collect();
            let what = if ways.list.len() > 1 {
                "one way of this trigger"
            } else {
                "this trigger"
            };
            self.findings.error_help(
                "one-witness",
                place,
                format!(
                    "a {} playbook needs two independent witnesses, and {what} has {}",
                    class.word(),
                    if said.is_empty() {
                        "none".to_owned()
                    } else {
                        format!("only {}", said.join(", "))
                    }
                ),
                "add a condition from another source: a kernel signal, `state: unit`, or a measure",
            );
            return;
        }
    }
}
