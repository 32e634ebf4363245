//! One decoded, timed fact about a subject, from any source.

use serde::{Deserialize, Serialize};

use crate::{subject::Subject, time::At, unit::UnitState};

/// A fact that happened at a moment, about a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// When it happened: at the kernel's hook, not when we read it.
    pub at: At,
    /// What it is about, resolved for the moment it happened.
    pub subject: Subject,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fact {
    /// The kernel chose a process to kill for lack of memory.
    OomKill(OomKill),
    /// A watched program (a backup, a package manager) began to run.
    ProcessExec(ProcessExec),
    /// A process ended.
    ProcessExit(ProcessExit),
    /// A unit changed its state.
    UnitState(UnitState),
    /// A unit's systemd object went away; later questions about it cannot be answered.
    UnitRemoved,
}

impl Fact {
    /// The word used in playbook triggers and in text.
    pub fn kind(&self) -> SignalKind {
        match self {
            Self::OomKill(_) => SignalKind::OomKill,
            Self::ProcessExec(_) => SignalKind::ProcessExec,
            Self::ProcessExit(_) => SignalKind::ProcessExit,
            Self::UnitState(_) => SignalKind::UnitState,
            Self::UnitRemoved => SignalKind::UnitRemoved,
        }
    }
}

/// The kinds of [`Fact`], as playbooks name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalKind {
    /// [`Fact::OomKill`].
    OomKill,
    /// [`Fact::ProcessExec`].
    ProcessExec,
    /// [`Fact::ProcessExit`].
    ProcessExit,
    /// [`Fact::UnitState`].
    UnitState,
    /// [`Fact::UnitRemoved`].
    UnitRemoved,
}

/// The victim of the out-of-memory killer. Source: tracepoint `oom:mark_victim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A program began. Source: tracepoint `sched:sched_process_exec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessExec {
    /// Process id, in the kernel's initial namespace.
    pub pid: u32,
    /// When the process started, on the boot clock.
    #[serde(with = "crate::wide")]
    pub started_boot_ns: u64,
    /// `comm` after the exec.
    pub comm: String,
    /// cgroup v2 id.
    #[serde(with = "crate::wide")]
    pub cgroup_id: u64,
}

/// A process (its last thread) ended. Source: tracepoint `sched:sched_process_exit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessExit {
    /// Process id, in the kernel's initial namespace.
    pub pid: u32,
    /// When the process started, on the boot clock.
    #[serde(with = "crate::wide")]
    pub started_boot_ns: u64,
    /// `comm`.
    pub comm: String,
    /// cgroup v2 id.
    #[serde(with = "crate::wide")]
    pub cgroup_id: u64,
    /// Exit status 0..=255; 0 when a signal ended it.
    pub status: u8,
    /// Signal that ended it; 0 when none.
    pub signal: u8,
}
