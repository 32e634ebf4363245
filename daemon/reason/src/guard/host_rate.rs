//! Attempts on the whole host: a host that needs healing all the time needs people.

use super::{
    Look, Word,
    unit_rate::{HOUR, within},
};

/// Attempts on one host within an hour, whatever a playbook says.
const PER_HOUR_MAX: u32 = 12;

pub(super) fn ask(look: &Look<'_>) -> Word {
    let own = look.playbook.limits.per_host;
    within(
        "attempts on this host",
        [(PER_HOUR_MAX, HOUR), (own.count, own.within.0)],
        |span| look.attempts.on_host(span),
    )
}
