//! Facts about processes and their cgroups.

use serde::{Deserialize, Serialize};

/// A process as a hook saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// Process id (thread group), in the kernel's initial namespace.
    pub pid: u32,
    /// `comm`.
    pub comm: String,
    /// When it started, on the boot clock; 0 when unknown.
    #[serde(with = "crate::wide")]
    pub started_boot_ns: u64,
    /// cgroup v2 id; 0 when unknown.
    #[serde(with = "crate::wide")]
    pub cgroup_id: u64,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessExit {
    /// Process id, in the kernel's initial namespace.
    pub pid: u32,
    /// When the process started, on the boot clock. What has passed since is its run time.
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
    /// Largest resident memory it had, in bytes (`signal->maxrss`); 0 when unknown.
    #[serde(with = "crate::wide", default)]
    pub peak_rss_bytes: u64,
}

/// A deadly signal (`KILL`, `SEGV`, `ABRT`, `BUS`). Source: tracepoint `signal:signal_generate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FatalSignal {
    /// Whom it was sent to.
    pub target: TaskRef,
    /// Its number.
    pub signal: u8,
    /// Who sent it.
    pub sender: Sender,
}

/// Who sent a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Sender {
    /// The kernel itself: a fault, or the out-of-memory killer.
    Kernel,
    /// A process.
    Process(TaskRef),
}

/// Children that ended and are not waited for. Source: `/proc/PID/stat`, counted by parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zombies {
    /// The parent that does not wait.
    pub parent: TaskRef,
    /// How many of its children are zombies.
    pub count: u32,
}

/// A cgroup that came or went. Source: tracepoints `cgroup:cgroup_mkdir`, `cgroup:cgroup_rmdir`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cgroup {
    /// cgroup v2 id.
    #[serde(with = "crate::wide")]
    pub cgroup_id: u64,
    /// Path below the root of the unified tree; may be cut at its end.
    pub path: String,
}

/// A process was moved. Source: tracepoint `cgroup:cgroup_attach_task`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CgroupAttached {
    /// Which process; its cgroup is the one it was moved to.
    pub task: TaskRef,
    /// Path of that cgroup; may be cut at its end.
    pub path: String,
}
