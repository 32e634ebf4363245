//! Attempts on one unit within an hour.

use std::time::Duration;

use super::{Look, Word, pass, wait};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn ask(look: &Look<'_>) -> Word {
    let limit = look
        .policy
        .per_unit_per_hour
        .min(look.playbook.limits.per_unit_per_hour);
    let used = look.attempts.on_unit(look.target, HOUR);
    let text = format!(
        "{used} of {limit} attempts on {} within the hour are used",
        look.target
    );
    if used >= usize::try_from(limit).unwrap_or(usize::MAX) {
        wait(text)
    } else {
        pass(text)
    }
}
