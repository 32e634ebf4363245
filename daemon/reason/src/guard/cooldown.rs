//! A pause between two attempts on one unit, whatever they were.

use super::{Look, Word, pass, wait};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let cooldown = look.policy.cooldown.max(look.playbook.limits.cooldown);
    match look.attempts.last_on(look.target) {
        Some(age) if age < cooldown.0 => wait(format!(
            "{} was touched {} s ago; the cooldown is {cooldown}",
            look.target,
            age.as_secs()
        )),
        _ => pass(format!("not touched within the cooldown of {cooldown}")),
    }
}
