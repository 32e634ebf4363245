//! Evidence that can be taken before the first step. Each has a bound of its own in time and size.

use hostmedic_model::capture::{CaptureKind, Counted};

use super::entry;

/// One kind of evidence.
#[derive(Clone, Copy, Debug)]
pub struct Capture {
    /// Its name.
    pub name: &'static str,
    /// What `(N)` after the name counts, and its most; `None` where nothing is counted.
    pub counts: Option<(&'static str, u32)>,
    /// What the daemon takes for it; `None` while it cannot.
    pub kind: Option<CaptureKind>,
    /// What it is.
    pub says: &'static str,
}

entry!(Capture);

/// One that nothing takes yet.
const fn absent(
    name: &'static str,
    counts: Option<(&'static str, u32)>,
    says: &'static str,
) -> Capture {
    Capture {
        name,
        counts,
        kind: None,
        says,
    }
}

/// One that the daemon takes.
const fn taken(kind: CaptureKind, says: &'static str) -> Capture {
    let counts = match kind.counts() {
        Some(Counted { what, most, .. }) => Some((what, most)),
        None => None,
    };
    Capture {
        name: kind.word(),
        counts,
        kind: Some(kind),
        says,
    }
}

/// Every kind of evidence.
pub const ALL: &[Capture] = &[
    taken(
        CaptureKind::UnitSnapshot,
        "the unit's state, closure, limits and last exit",
    ),
    taken(CaptureKind::JournalTail, "the unit's newest journal lines"),
    taken(CaptureKind::CgroupMemory, "the memory files of its cgroup"),
    taken(CaptureKind::CgroupCpu, "the CPU files of its cgroup"),
    taken(CaptureKind::CgroupIo, "the I/O files of its cgroup"),
    taken(CaptureKind::KernelLog, "the kernel's newest lines"),
    taken(
        CaptureKind::ProcSmapsTop,
        "memory and memory maps of its largest processes",
    ),
    taken(
        CaptureKind::ProcStacks,
        "kernel stacks of its waiting tasks",
    ),
    taken(
        CaptureKind::ProcFdsTop,
        "open files of its fullest processes",
    ),
    taken(CaptureKind::ProcTree, "its processes and who began whom"),
    taken(
        CaptureKind::CoredumpNewest,
        "where its newest core dump lies",
    ),
    taken(
        CaptureKind::DiskUsageTop,
        "the largest directories of the incident's mount",
    ),
    taken(
        CaptureKind::DiskDeletedOpen,
        "deleted files that are still open",
    ),
    absent("disk.smart", None, "a device's own account of its health"),
    taken(CaptureKind::MdStatus, "arrays and how far a resync is"),
    taken(
        CaptureKind::NetSocketsTop,
        "its sockets, the fullest queues first",
    ),
    taken(
        CaptureKind::NetCounters,
        "counters of interfaces and of TCP",
    ),
    taken(CaptureKind::NetAddresses, "addresses, routes and leases"),
    taken(
        CaptureKind::SysctlValues,
        "the kernel settings that steps change, and those beside them",
    ),
    taken(CaptureKind::SystemdJobs, "jobs that run and wait"),
    taken(
        CaptureKind::UnitFiles,
        "paths and hashes of its unit file and drop-ins",
    ),
    taken(
        CaptureKind::PackageHistory,
        "the newest package transactions",
    ),
    taken(CaptureKind::ClockSources, "time sources and their offsets"),
    taken(
        CaptureKind::CertificateChain,
        "the certificates in the incident's file: names, issuers, validity, hashes",
    ),
    absent(
        "database.activity",
        Some(("sessions", 100)),
        "sessions of a database, without their data",
    ),
];
