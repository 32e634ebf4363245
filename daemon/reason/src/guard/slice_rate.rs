//! Attempts in one slice within an hour: many units failing together is not a unit's problem.

use std::time::Duration;

use super::{Look, Word, pass, wait};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn ask(look: &Look<'_>) -> Word {
    let Some(slice) = look.unit.as_ref().ok().and_then(|unit| unit.slice.as_ref()) else {
        return wait(format!(
            "the slice of {} is unknown, so its limit cannot be counted",
            look.target
        ));
    };
    let limit = look
        .policy
        .per_slice_per_hour
        .min(look.playbook.limits.per_slice_per_hour);
    let used = look.attempts.in_slice(slice, HOUR);
    let text = format!("{used} of {limit} attempts in {slice} within the hour are used");
    if used >= usize::try_from(limit).unwrap_or(usize::MAX) {
        wait(text)
    } else {
        pass(text)
    }
}
