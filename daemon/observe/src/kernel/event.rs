//! What leaves this module: one decoded event of a probe.

use hostmedic_model::signal::{Fact, OomKill, ProcessExec, ProcessExit};

/// One event, as the kernel's hook saw it. The caller finds the unit by its cgroup id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// The kernel chose a process to kill for lack of memory.
    OomVictim {
        /// When, on the boot clock.
        at_boot_ns: u64,
        /// Whom.
        kill: OomKill,
    },
    /// A program began.
    ProcessExec {
        /// When, on the boot clock.
        at_boot_ns: u64,
        /// Which.
        exec: ProcessExec,
    },
    /// A process ended.
    ProcessExit {
        /// When, on the boot clock.
        at_boot_ns: u64,
        /// Which, and how.
        exit: ProcessExit,
    },
}

impl KernelEvent {
    /// When it happened, on the boot clock.
    pub fn at_boot_ns(&self) -> u64 {
        match self {
            Self::OomVictim { at_boot_ns, .. }
            | Self::ProcessExec { at_boot_ns, .. }
            | Self::ProcessExit { at_boot_ns, .. } => *at_boot_ns,
        }
    }

    /// cgroup v2 id of the process it is about; 0 when unknown.
    pub fn cgroup_id(&self) -> u64 {
        match self {
            Self::OomVictim { kill, .. } => kill.cgroup_id,
            Self::ProcessExec { exec, .. } => exec.cgroup_id,
            Self::ProcessExit { exit, .. } => exit.cgroup_id,
        }
    }

    /// Process id in the kernel's initial namespace.
    pub fn pid(&self) -> u32 {
        match self {
            Self::OomVictim { kill, .. } => kill.pid,
            Self::ProcessExec { exec, .. } => exec.pid,
            Self::ProcessExit { exit, .. } => exit.pid,
        }
    }

    /// When that process started, on the boot clock; 0 when unknown.
    pub fn started_boot_ns(&self) -> u64 {
        match self {
            Self::OomVictim { kill, .. } => kill.started_boot_ns,
            Self::ProcessExec { exec, .. } => exec.started_boot_ns,
            Self::ProcessExit { exit, .. } => exit.started_boot_ns,
        }
    }

    /// The model's fact, for a signal whose subject the caller knows.
    pub fn into_fact(self) -> Fact {
        match self {
            Self::OomVictim { kill, .. } => Fact::OomKill(kill),
            Self::ProcessExec { exec, .. } => Fact::ProcessExec(exec),
            Self::ProcessExit { exit, .. } => Fact::ProcessExit(exit),
        }
    }
}
