//! What was seen but not delivered: per hook, counted in the kernel, never reset.

use serde::{Deserialize, Serialize};

/// Counters of one hook since its maps were created; all rise only.
///
/// The identity `seen = delivered + ring_full + filtered` holds at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookCounters {
    /// Name of the probe, which is its file's and its program's name.
    pub hook: String,
    /// Times the program ran to a fact worth telling.
    #[serde(with = "crate::wide")]
    pub seen: u64,
    /// Records written to the ring.
    #[serde(with = "crate::wide")]
    pub delivered: u64,
    /// Records that found the ring full.
    #[serde(with = "crate::wide")]
    pub ring_full: u64,
    /// Runs that were not about a fact (a thread that is not the last one).
    #[serde(with = "crate::wide")]
    pub filtered: u64,
    /// Runs the kernel skipped because the program was already running on that CPU
    /// (`recursion_misses` of `bpf_prog_info`); not part of `seen`.
    #[serde(with = "crate::wide")]
    pub missed: u64,
}

/// Loss in user space, after the rings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueCounters {
    /// Records read from the rings.
    #[serde(with = "crate::wide")]
    pub read: u64,
    /// Records of a kind or size that this version cannot read.
    #[serde(with = "crate::wide")]
    pub undecodable: u64,
    /// Signals dropped because the queue to the core was full.
    #[serde(with = "crate::wide")]
    pub queue_full: u64,
}

/// Whether a hook works here, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookReport {
    /// Name of the probe.
    pub hook: String,
    /// Kernel attach point.
    pub attach_point: String,
    /// What we get from it.
    pub coverage: Coverage,
    /// Why it is not fully captured; empty when it is.
    pub reason: String,
}

/// How much of a hook's events we get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// Every field of every event.
    Captured,
    /// Events, with some fields missing.
    Degraded,
    /// Nothing.
    Absent,
}
