//! What the audit chain proves about one hook and a span of time: `medic coverage`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::loss::HookMode;

/// A span of wall-clock time: from its first moment to before its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WallSpan {
    /// First moment, Unix milliseconds.
    #[serde(with = "crate::wide")]
    pub from_ms: i64,
    /// First moment after it, Unix milliseconds.
    #[serde(with = "crate::wide")]
    pub to_ms: i64,
}

/// What is known of one hook over a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookCoverage {
    /// Name of the probe.
    pub hook: String,
    /// The span that was asked for.
    pub asked: WallSpan,
    /// The span that is answered: rounded outward to whole rows of the ledger where it began or
    /// ended within one, because a row's numbers cannot be divided.
    pub span: WallSpan,
    /// The span in parts, in order, without holes: covered, or a gap.
    pub parts: Vec<CoveragePart>,
    /// Events that the hook saw in the rows of the span: runs that were about a fact.
    #[serde(with = "crate::wide")]
    pub seen: u64,
    /// Of these, written to a ring or counted by key.
    #[serde(with = "crate::wide")]
    pub delivered: u64,
    /// Of these, those of which nothing is left.
    #[serde(with = "crate::wide")]
    pub lost: u64,
    /// Whether the numbers are proven: no gap, and nothing lost.
    pub proven: bool,
    /// The verdict in one sentence.
    pub statement: String,
}

/// A part of a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveragePart {
    /// Which.
    pub span: WallSpan,
    /// Why nothing is known of it; `None` where it is covered.
    pub gap: Option<Gap>,
}

/// Why a hook's events of some time are not known, or not all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Gap {
    /// The hook gave nothing here.
    Absent {
        /// Why; empty when the chain does not say.
        reason: String,
    },
    /// It ran, but did not stream every event.
    Reduced {
        /// What it did.
        mode: HookMode,
    },
    /// The host was started anew, and the daemon after it.
    Rebooted,
    /// The daemon did not run.
    NotRunning,
    /// The chain does not reach back so far.
    BeforeChain,
    /// The daemon ran, but left no row for this time.
    NoRow,
    /// The row of this time is not written yet.
    Open,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent { reason } if reason.is_empty() => f.write_str("the hook was not there"),
            Self::Absent { reason } => write!(f, "the hook was not there: {reason}"),
            Self::Reduced { mode } => f.write_str(match mode {
                HookMode::Stream => "the hook's mode was unclear",
                HookMode::Sample => "the hook only sampled",
                HookMode::Count => "the hook only counted",
                HookMode::Off => "the hook was switched off",
            }),
            Self::Rebooted => f.write_str("the host was started anew"),
            Self::NotRunning => f.write_str("medicd did not run"),
            Self::BeforeChain => f.write_str("the audit chain does not reach back so far"),
            Self::NoRow => f.write_str("medicd ran, but left no account of this time"),
            Self::Open => f.write_str("the account of this time is not written yet"),
        }
    }
}
