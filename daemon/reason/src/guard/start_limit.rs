//! systemd counts our starts like anybody's: spending the unit's last one would leave it in
//! `start-limit-hit`, where not even an admin's start works.

use super::{Look, Word, pass, wait};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let Ok(unit) = look.unit else {
        return pass("unknown; fresh_telemetry speaks for it");
    };
    if !look.moves {
        return pass("nothing is started");
    }
    let (burst, interval) = (unit.start_limit_burst, unit.start_limit_interval);
    if burst == 0 || interval.0.is_zero() {
        return pass("the unit has no start limit");
    }
    // Two independent counts; the higher one is the safer one.
    let seen = look.facts.starts_within(look.target, interval.0, look.now);
    let ours = look.attempts.on_unit(look.target, interval.0);
    let used = seen.max(ours);
    // One start is left to people.
    if used + 1 >= usize::try_from(burst).unwrap_or(usize::MAX).max(2) {
        return wait(format!(
            "{used} of {burst} starts within {interval} are used; the last one is left to people"
        ));
    }
    pass(format!(
        "{used} of {burst} starts within {interval} are used"
    ))
}
