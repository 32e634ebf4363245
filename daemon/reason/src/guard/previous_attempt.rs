//! The same remedy for the same unit within the hour: it did not last, so it is not the remedy.

use std::time::Duration;

use super::{Look, Word, pass, refuse};

/// A remedy that has to be repeated within this time has failed.
const LASTING: Duration = Duration::from_secs(3600);

pub(super) fn ask(look: &Look<'_>) -> Word {
    let name = &look.playbook.name;
    match look.attempts.last_of(name, look.target) {
        Some(age) if age < LASTING => refuse(format!(
            "{name} was tried on {} {} s ago and did not last: escalating instead of a second identical try",
            look.target,
            age.as_secs(),
        )),
        _ => pass(format!(
            "{name} was not tried on {} within the hour",
            look.target
        )),
    }
}
