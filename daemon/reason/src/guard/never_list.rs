//! Units that only people may touch, by the operator's own list.

use super::{Look, Word, pass, refuse};

pub(super) fn ask(look: &Look<'_>) -> Word {
    for unit in look.touched() {
        if let Some(pattern) = look.policy.forbids(unit.as_str()) {
            return refuse(format!(
                "{unit} is on the never-list (`{pattern}`): only people may touch it"
            ));
        }
    }
    pass("not on the never-list")
}
