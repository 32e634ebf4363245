//! Evidence that can be taken before the first step. Each has a bound of its own in time and size.

use super::entry;

/// One kind of evidence.
#[derive(Clone, Copy, Debug)]
pub struct Capture {
    /// Its name.
    pub name: &'static str,
    /// What `(N)` after the name counts, and its most; `None` where nothing is counted.
    pub counts: Option<(&'static str, u32)>,
    /// Whether the daemon takes it today, and up to which count.
    taken: Option<u32>,
    /// What it is.
    pub says: &'static str,
}

entry!(Capture);

impl Capture {
    /// Whether the daemon takes it today, up to `count`.
    pub fn is_taken(&self, count: Option<u32>) -> bool {
        self.taken
            .is_some_and(|most| count.is_none_or(|count| count <= most))
    }
}

const fn c(name: &'static str, counts: Option<(&'static str, u32)>, says: &'static str) -> Capture {
    Capture {
        name,
        counts,
        taken: None,
        says,
    }
}

/// `respond/src/capture.rs` takes these before every first step.
const fn taken(
    name: &'static str,
    counts: Option<(&'static str, u32)>,
    most: u32,
    says: &'static str,
) -> Capture {
    Capture {
        name,
        counts,
        taken: Some(most),
        says,
    }
}

/// Every kind of evidence.
pub const ALL: &[Capture] = &[
    taken(
        "unit.snapshot",
        None,
        1,
        "the unit's state, closure, limits and last exit",
    ),
    taken(
        "journal.tail",
        Some(("lines", 500)),
        30,
        "the unit's newest journal lines",
    ),
    taken("cgroup.memory", None, 1, "the memory files of its cgroup"),
    c("cgroup.cpu", None, "the CPU files of its cgroup"),
    c("cgroup.io", None, "the I/O files of its cgroup"),
    c(
        "kernel.log",
        Some(("lines", 200)),
        "the kernel's newest lines",
    ),
    c(
        "proc.smaps_top",
        Some(("processes", 20)),
        "memory maps of its largest processes",
    ),
    c(
        "proc.stacks",
        Some(("processes", 20)),
        "kernel stacks of its waiting tasks",
    ),
    c(
        "proc.fds_top",
        Some(("processes", 20)),
        "open files of its fullest processes",
    ),
    c("proc.tree", None, "its processes and who began whom"),
    c("coredump.newest", None, "where its newest core dump lies"),
    c(
        "disk.usage_top",
        Some(("directories", 50)),
        "the largest directories of a mount",
    ),
    c(
        "disk.deleted_open",
        Some(("files", 50)),
        "deleted files that are still open",
    ),
    c("disk.smart", None, "a device's own account of its health"),
    c("md.status", None, "arrays and how far a resync is"),
    c(
        "net.sockets_top",
        Some(("sockets", 50)),
        "its sockets, the fullest queues first",
    ),
    c("net.counters", None, "counters of interfaces and of TCP"),
    c("net.addresses", None, "addresses, routes and leases"),
    c(
        "sysctl.values",
        None,
        "the kernel settings that a step would change",
    ),
    c("systemd.jobs", None, "jobs that run and wait"),
    c("unit.files", None, "unit file, drop-ins and their hashes"),
    c(
        "package.history",
        Some(("transactions", 20)),
        "the newest package transactions",
    ),
    c("clock.sources", None, "time sources and their offsets"),
    c(
        "certificate.chain",
        None,
        "the certificate on disk and the one that is served",
    ),
    c(
        "database.activity",
        Some(("sessions", 100)),
        "sessions of a database, without their data",
    ),
];
