//! What people are told: why, what was taken back, what was not, and what stays.

use hostmedic_model::{intent::Intent, outcome::Verification};

use super::order;
use crate::case::Done;

/// What came of taking steps back, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// What was taken back.
    pub(super) back: Vec<String>,
    /// What was not, and why.
    pub(super) not_back: Vec<String>,
}

impl Told {
    /// Notes the last word on a call that was to take a step back.
    pub(super) fn concluded(&mut self, undo: &Intent, verification: Verification, observed: &str) {
        let says = undo.says();
        if verification == Verification::Resolved {
            self.back.push(says);
        } else {
            self.not_back.push(format!("{says}: {observed}"));
        }
    }

    /// All of it after `why`.
    pub(super) fn after(&self, why: &str) -> String {
        let lists = [
            ("taken back", &self.back),
            ("not taken back", &self.not_back),
        ];
        let told = lists.iter().filter(|(_, list)| !list.is_empty());
        let told = told.map(|(what, list)| format!("; {what}: {}", list.join(", ")));
        why.to_owned() + &told.collect::<String>()
    }
}

/// What people are told first of an attempt that did not help.
pub(crate) fn did_not_help(playbook: &str, verification: Verification) -> String {
    format!("{playbook} did not help ({verification:?}): not tried again").to_lowercase()
}

/// What stays as the steps of an attempt have left it, in words; empty if nothing does.
pub(crate) fn left_behind(done: &[Done]) -> String {
    let left: Vec<_> = order(done).map(|done| done.intent.says()).collect();
    if left.is_empty() {
        return String::new();
    }
    format!("; still in place: {}", left.join(", "))
}
