//! Attempts on one unit: within the hour as the policy has it, and as the playbook has it.

use std::time::Duration;

use super::{Look, Word, pass, wait};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn ask(look: &Look<'_>) -> Word {
    let own = look.playbook.limits.per_unit;
    let policy = look.policy.per_unit_per_hour;
    within(
        &format!("attempts on {}", look.target),
        [(policy, HOUR), (own.count, own.within.0)],
        |span| look.attempts.on_unit(look.target, span),
    )
}

/// Says how much of the tightest limit is used; waits if one of them is used up.
pub(super) fn within(
    what: &str,
    limits: [(u32, Duration); 2],
    used_within: impl Fn(Duration) -> usize,
) -> Word {
    let mut said = String::new();
    let mut tightest = usize::MAX;
    for (limit, span) in limits {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let used = used_within(span);
        let time = if span == HOUR {
            "the hour".to_owned()
        } else {
            hostmedic_model::time::Span(span).to_string()
        };
        let text = format!("{used} of {limit} {what} within {time} are used");
        if used >= limit {
            return wait(text);
        }
        let left = limit.saturating_sub(used);
        if left < tightest {
            (said, tightest) = (text, left);
        }
    }
    pass(said)
}
