//! Units without which the host cannot be reached or healed.

use super::{Look, Word, pass, refuse};

pub(super) fn ask(look: &Look<'_>) -> Word {
    for unit in look.touched() {
        if let Some(pattern) = look.policy.protects(unit.as_str()) {
            return refuse(format!(
                "{unit} is part of the machine (`{pattern}`): hostmedic never touches it"
            ));
        }
    }
    pass("not a protected unit")
}
