//! What can be asked about the past: events kept, and what the chain proves.

use serde::{Deserialize, Serialize};

use crate::{signal::SignalKind, subject::Subject};

/// Which events to give. Everything that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only those that happened at or after this moment, Unix milliseconds.
    pub since_ms: Option<i64>,
    /// Only those that happened before this moment, Unix milliseconds.
    pub until_ms: Option<i64>,
    /// Only those with a higher number, and of them the oldest; without it, the newest.
    pub after: Option<u64>,
    /// Only those about this.
    pub subject: Option<Subject>,
    /// Only those of these kinds; of every kind when empty.
    pub kinds: Vec<SignalKind>,
    /// At most so many.
    pub limit: u32,
}

/// Which hook, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageQuery {
    /// Name of the probe.
    pub hook: String,
    /// First moment, Unix milliseconds.
    pub since_ms: i64,
    /// First moment after the span; without it, the end of the newest row of the ledger.
    pub until_ms: Option<i64>,
}
