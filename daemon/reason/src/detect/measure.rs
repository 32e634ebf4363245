//! What a measure's numbers mean to people: which differences matter, and which direction.

use hostmedic_model::sample::Measure;

const MIB: f64 = 1024.0 * 1024.0;

/// The least difference from the usual that is worth an incident, however rare it is.
pub(super) fn matters(measure: Measure, usual: f64) -> f64 {
    match measure {
        Measure::CpuBusyRatio
        | Measure::MemoryPressureSomeRatio
        | Measure::CpuPressureSomeRatio
        | Measure::IoPressureSomeRatio
        | Measure::SwapUsedRatio => 0.15,
        Measure::MemoryUsedRatio | Measure::JournalShareRatio | Measure::ConntrackUsedRatio => 0.1,
        Measure::UnitMemoryLimitRatio | Measure::UnitTasksLimitRatio => 0.2,
        Measure::UnitCpuShareRatio => 0.3,
        // What is left is judged as a share, and what a certificate has used by its limits: that it
        // runs out at its own pace, and is renewed, is no news.
        Measure::DiskFreeBytes | Measure::CertificateUsedRatio | Measure::CertificateLeftS => {
            f64::INFINITY
        }
        Measure::PacketDropsPerS => (usual.abs() * 0.5).max(20.0),
        Measure::TcpRetransmitsPerS => (usual.abs() * 0.5).max(10.0),
        Measure::LoadPerCpu => 0.5,
        Measure::DiskUsedRatio | Measure::InodesUsedRatio => 0.03,
        Measure::UnitMemoryBytes | Measure::UnitAnonBytes => (usual.abs() * 0.25).max(64.0 * MIB),
        Measure::ExecPerS => (usual.abs() * 0.5).max(20.0),
    }
}

/// The least rise that is a clear jump without a day's history.
pub(super) fn jump(measure: Measure, usual: f64) -> f64 {
    match measure {
        Measure::CpuBusyRatio | Measure::CpuPressureSomeRatio | Measure::IoPressureSomeRatio => 0.5,
        Measure::MemoryUsedRatio | Measure::SwapUsedRatio | Measure::MemoryPressureSomeRatio => {
            0.25
        }
        Measure::JournalShareRatio | Measure::ConntrackUsedRatio => 0.3,
        Measure::UnitMemoryLimitRatio | Measure::UnitTasksLimitRatio => 0.4,
        // That a unit begins to work is no news, and free space is judged as a share.
        Measure::UnitCpuShareRatio
        | Measure::DiskFreeBytes
        | Measure::CertificateUsedRatio
        | Measure::CertificateLeftS => f64::INFINITY,
        Measure::PacketDropsPerS => (usual.abs() * 5.0).max(20.0),
        Measure::TcpRetransmitsPerS => (usual.abs() * 5.0).max(10.0),
        Measure::LoadPerCpu => 2.0,
        Measure::DiskUsedRatio | Measure::InodesUsedRatio => 0.05,
        Measure::UnitMemoryBytes | Measure::UnitAnonBytes => usual.abs().max(256.0 * MIB),
        Measure::ExecPerS => (usual.abs() * 5.0).max(100.0),
    }
}

/// Whether less than usual is trouble, too. Freed space and memory are not; a host that falls silent
/// may be.
pub(super) fn falls_matter(measure: Measure) -> bool {
    match measure {
        Measure::CpuBusyRatio | Measure::LoadPerCpu | Measure::ExecPerS => true,
        Measure::MemoryUsedRatio
        | Measure::JournalShareRatio
        | Measure::DiskUsedRatio
        | Measure::UnitMemoryBytes
        | Measure::UnitAnonBytes
        | Measure::UnitMemoryLimitRatio
        | Measure::UnitTasksLimitRatio
        | Measure::UnitCpuShareRatio
        | Measure::InodesUsedRatio
        | Measure::DiskFreeBytes
        | Measure::SwapUsedRatio
        | Measure::ConntrackUsedRatio
        | Measure::MemoryPressureSomeRatio
        | Measure::CpuPressureSomeRatio
        | Measure::IoPressureSomeRatio
        | Measure::PacketDropsPerS
        | Measure::TcpRetransmitsPerS
        | Measure::CertificateUsedRatio
        | Measure::CertificateLeftS => false,
    }
}
