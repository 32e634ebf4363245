//! An operator said stop.

use super::{Look, Word, pass, wait};

pub(super) fn ask(look: &Look<'_>) -> Word {
    look.paused.map_or_else(
        || pass("not paused"),
        |reason| wait(format!("paused: {reason}; `medic resume` ends it")),
    )
}
