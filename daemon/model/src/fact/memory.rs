//! Facts about memory: kills for lack of it, and the signs before.

use serde::{Deserialize, Serialize};

use super::TaskRef;

/// The victim of the out-of-memory killer. Source: tracepoint `oom:mark_victim`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OomKill {
    /// Process id (thread group), in the kernel's initial namespace.
    pub pid: u32,
    /// `comm` of the victim.
    pub comm: String,
    /// When the victim started, on the boot clock; with `pid` it is safe from reuse.
    #[serde(with = "crate::wide")]
    pub started_boot_ns: u64,
    /// cgroup v2 id of the victim; 0 when the kernel could not say.
    #[serde(with = "crate::wide")]
    pub cgroup_id: u64,
    /// `oom_score_adj` of the victim, where read.
    pub oom_score_adj: Option<i16>,
    /// Resident memory when it was chosen, in bytes, as exact as the kernel's per-CPU counters.
    #[serde(with = "crate::wide::option", default)]
    pub rss_bytes: Option<u64>,
    /// The task that wanted memory when there was none.
    #[serde(default)]
    pub killer: Option<TaskRef>,
    /// Whose limit was hit.
    #[serde(default)]
    pub scope: OomScope,
    /// What came of the choice.
    #[serde(default)]
    pub verdict: OomVerdict,
}

/// Whose memory ran out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum OomScope {
    /// The kernel does not let us see it.
    #[default]
    Unknown,
    /// The whole host's.
    Global,
    /// A cgroup's, which reached its own limit.
    Cgroup {
        /// Its id in the memory controller's tree (the unified one, except on a hybrid host).
        #[serde(with = "crate::wide")]
        cgroup_id: u64,
        /// Its path below that tree's root; empty when it is not known.
        path: String,
    },
}

/// What came of a victim's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OomVerdict {
    /// No second witness could be asked.
    #[default]
    Unconfirmed,
    /// The kernel sent it `SIGKILL`.
    Killed,
    /// It was ending already; no signal was sent.
    AlreadyExiting,
    /// Killed because `memory.oom.group` lets its cgroup die as a whole.
    GroupMember,
}

/// Tasks waited for a resource. Source: a trigger on `/proc/pressure` or a cgroup's pressure
/// file (Documentation/accounting/psi.rst).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pressure {
    /// For what they waited.
    pub of: PressureOf,
    /// Whether all tasks waited at once (`full`), not only some.
    pub full: bool,
    /// Threshold that was passed, in microseconds of waiting ...
    #[serde(with = "crate::wide")]
    pub stalled_us: u64,
    /// ... within a window of this length.
    #[serde(with = "crate::wide")]
    pub window_us: u64,
}

/// What tasks can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum PressureOf {
    Memory,
    Io,
    Cpu,
}

/// A counter of a cgroup's `memory.events` rose (Documentation/admin-guide/cgroup-v2.rst).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryEvents {
    /// Which.
    pub event: MemoryEvent,
    /// By how much.
    #[serde(with = "crate::wide")]
    pub count: u64,
}

/// The counters of `memory.events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the kernel's names")]
pub enum MemoryEvent {
    Low,
    High,
    Max,
    Oom,
    OomKill,
    OomGroupKill,
}
