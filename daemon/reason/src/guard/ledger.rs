//! No audit, no action.

use super::{Look, Word, pass, wait};

pub(super) fn ask(look: &Look<'_>) -> Word {
    look.ledger_failing.map_or_else(
        || pass("audit records reach the disk"),
        |reason| wait(format!("the audit ledger cannot be written: {reason}")),
    )
}
