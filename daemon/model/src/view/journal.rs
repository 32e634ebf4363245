//! How following the journal goes, and what of it was lost.

use serde::{Deserialize, Serialize};

/// How following the journal goes, and what of it was not taken in since the daemon's start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalStatus {
    /// Why it cannot be followed now, if so. It is tried again.
    pub problem: Option<String>,
    /// Times that it could not be followed for a while. What was written then was not read, and
    /// nobody knows how much that is.
    pub interruptions: u64,
    /// Lines left out because they were longer than an entry should be.
    pub too_long: u64,
    /// Lines that were no entries.
    pub unreadable: u64,
    /// Lines that were read, of units of which nothing was told in their window.
    pub untold: u64,
    /// Units whose kinds of lines were forgotten for want of room.
    pub units_forgotten: u64,
    /// Kinds of lines that were forgotten for want of room: the next of one counts as new.
    pub kinds_forgotten: u64,
}

impl JournalStatus {
    /// Lines that came and of which nothing is left.
    pub fn lost(&self) -> u64 {
        self.too_long
            .saturating_add(self.unreadable)
            .saturating_add(self.untold)
    }
}
