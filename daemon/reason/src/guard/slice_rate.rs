//! Attempts in one slice: many units failing together is not a unit's problem.

use super::{
    Look, Word,
    unit_rate::{HOUR, within},
    wait,
};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let Some(slice) = look.unit.as_ref().ok().and_then(|unit| unit.slice.as_ref()) else {
        return wait(format!(
            "the slice of {} is unknown, so its limit cannot be counted",
            look.target
        ));
    };
    let own = look.playbook.limits.per_slice;
    let policy = look.policy.per_slice_per_hour;
    within(
        &format!("attempts in {slice}"),
        [(policy, HOUR), (own.count, own.within.0)],
        |span| look.attempts.in_slice(slice, span),
    )
}
