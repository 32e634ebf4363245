//! Numbers of a series.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{subject::Subject, time::At};

/// What a number measures; the unit is part of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Host: share of CPU time not idle and not waiting for I/O, 0..=1.
    CpuBusyRatio,
    /// Host: 1 - `MemAvailable` / `MemTotal`, 0..=1.
    MemoryUsedRatio,
    /// Host: one-minute load average per CPU.
    LoadPerCpu,
    /// Mount: used / (used + available to users) as `df` counts it, 0..=1.
    DiskUsedRatio,
    /// Mount: bytes of journal files / used bytes, 0..=1; only for the journal's own mount.
    JournalShareRatio,
    /// Unit: `memory.current` (v2) or `memory.usage_in_bytes` (v1).
    UnitMemoryBytes,
    /// Host: programs begun per second.
    ExecPerS,
    /// Host or unit: share of the time in which some task waited for memory (PSI), 0..=1.
    MemoryPressureSomeRatio,
    /// Host or unit: share of the time in which some task waited for a CPU (PSI), 0..=1.
    CpuPressureSomeRatio,
    /// Host or unit: share of the time in which some task waited for a disk (PSI), 0..=1.
    IoPressureSomeRatio,
    /// Host: swap in use / all swap, 0..=1; none without swap.
    SwapUsedRatio,
    /// Host: entries of the connection table / its size, 0..=1; none without the table.
    ConntrackUsedRatio,
    /// Host: packets that the kernel dropped for a reason, in every network namespace, per second.
    PacketDropsPerS,
    /// Host: TCP segments sent again, in every network namespace, per second.
    TcpRetransmitsPerS,
    /// Mount: bytes left for users.
    DiskFreeBytes,
    /// Mount: inodes used / all inodes, 0..=1; none where a file system makes them as needed.
    InodesUsedRatio,
    /// Unit: memory that no file backs (`anon` of `memory.stat`): what leaks.
    UnitAnonBytes,
    /// Unit: memory in use / its memory limit, 0..=1; none without a limit.
    UnitMemoryLimitRatio,
    /// Unit: tasks / `TasksMax=`, 0..=1; none without a limit.
    UnitTasksLimitRatio,
    /// Unit: its CPU time / the time of all CPUs, 0..=1.
    UnitCpuShareRatio,
    /// Certificate: share gone of its whole life, or of its last 90 days if it lives longer, 0..=1;
    /// 1 when it has expired.
    CertificateUsedRatio,
    /// Certificate: seconds until it ends; below 0 since it ended.
    CertificateLeftS,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CpuBusyRatio => "cpu_busy_ratio",
            Self::MemoryUsedRatio => "memory_used_ratio",
            Self::LoadPerCpu => "load_per_cpu",
            Self::DiskUsedRatio => "disk_used_ratio",
            Self::JournalShareRatio => "journal_share_ratio",
            Self::UnitMemoryBytes => "unit_memory_bytes",
            Self::ExecPerS => "exec_per_s",
            Self::MemoryPressureSomeRatio => "memory_pressure_some_ratio",
            Self::CpuPressureSomeRatio => "cpu_pressure_some_ratio",
            Self::IoPressureSomeRatio => "io_pressure_some_ratio",
            Self::SwapUsedRatio => "swap_used_ratio",
            Self::ConntrackUsedRatio => "conntrack_used_ratio",
            Self::PacketDropsPerS => "packet_drops_per_s",
            Self::TcpRetransmitsPerS => "tcp_retransmits_per_s",
            Self::DiskFreeBytes => "disk_free_bytes",
            Self::InodesUsedRatio => "inodes_used_ratio",
            Self::UnitAnonBytes => "unit_anon_bytes",
            Self::UnitMemoryLimitRatio => "unit_memory_limit_ratio",
            Self::UnitTasksLimitRatio => "unit_tasks_limit_ratio",
            Self::UnitCpuShareRatio => "unit_cpu_share_ratio",
            Self::CertificateUsedRatio => "certificate_used_ratio",
            Self::CertificateLeftS => "certificate_left_s",
        })
    }
}

/// One line of numbers over time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// What it is about.
    pub subject: Subject,
    /// What it measures.
    pub measure: Measure,
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.measure, self.subject)
    }
}

/// One number of a series, over the window that ended at `at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// End of the window.
    pub at: At,
    /// Whose number it is.
    pub series: Series,
    /// The number; always finite.
    pub value: f64,
}
