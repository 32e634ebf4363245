//! Numbers that a trigger or a check can compare. A name that the model's `Measure` knows is
//! measured today; the others are named here so that playbooks can be written before.

use hostmedic_model::sample::Measure as ModelMeasure;
use serde::{Deserialize as _, de::IntoDeserializer as _};

use super::{Unit, entry};

/// One measure.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name; the model's word for it.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Whose number it is, and what it counts.
    pub says: &'static str,
}

entry!(Measure);

impl Measure {
    /// Where it is read: two measures of one source are one witness.
    pub fn source(&self) -> &'static str {
        let begins = |start: &str| self.name.starts_with(start);
        if begins("disk_") || begins("inodes_") {
            "statvfs"
        } else if self.name.ends_with("_share_ratio") {
            "files"
        } else if begins("unit_memory") || begins("unit_anon") || begins("memory_limit") {
            "cgroup memory"
        } else if begins("certificate_") {
            "certificate file"
        } else if self.name.contains("_pressure_") {
            "pressure"
        } else {
            self.name
        }
    }

    /// The model's measure; `None` while nothing measures it.
    pub fn model(&self) -> Option<ModelMeasure> {
        let word: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            self.name.into_deserializer();
        ModelMeasure::deserialize(word).ok()
    }
}

const fn m(name: &'static str, unit: Unit, says: &'static str) -> Measure {
    Measure { name, unit, says }
}

use Unit::{Bytes, Count, PerSecond, Ratio, Seconds};

/// Every measure.
pub const ALL: &[Measure] = &[
    m(
        "cpu_busy_ratio",
        Ratio,
        "host: CPU time neither idle nor waiting for I/O",
    ),
    m(
        "memory_used_ratio",
        Ratio,
        "host: memory that is not available",
    ),
    m(
        "load_per_cpu",
        Count,
        "host: one-minute load average per CPU",
    ),
    m(
        "disk_used_ratio",
        Ratio,
        "mount: space used, as df counts it",
    ),
    m(
        "journal_share_ratio",
        Ratio,
        "mount: share of the used space that is journal files",
    ),
    m("unit_memory_bytes", Bytes, "unit: memory in use"),
    m("unit_anon_bytes", Bytes, "unit: memory that no file backs"),
    m("exec_per_s", PerSecond, "host: programs begun"),
    // Memory.
    m(
        "memory_pressure_some_ratio",
        Ratio,
        "host or unit: time in which some task waited for memory",
    ),
    m(
        "memory_limit_eta_s",
        Seconds,
        "unit: time until its memory limit at the present slope",
    ),
    m(
        "unit_memory_slope_bytes_per_s",
        Unit::BytesPerSecond,
        "unit: growth of anonymous memory",
    ),
    m(
        "unit_memory_limit_ratio",
        Ratio,
        "unit: memory in use of its limit",
    ),
    m(
        "unit_anon_share_ratio",
        Ratio,
        "unit: share of its memory that is not cache",
    ),
    m(
        "unit_refault_per_s",
        PerSecond,
        "unit: pages read again soon after they were dropped",
    ),
    m(
        "swap_in_per_s",
        PerSecond,
        "host or unit: pages read from swap",
    ),
    m("swap_used_ratio", Ratio, "host: swap in use"),
    // CPU.
    m(
        "cpu_pressure_some_ratio",
        Ratio,
        "host or unit: time in which some task waited for a CPU",
    ),
    m(
        "unit_cpu_share_ratio",
        Ratio,
        "unit: share of the host's CPU time",
    ),
    m("fork_per_s", PerSecond, "host or unit: processes begun"),
    m("unit_tasks_count", Count, "unit: tasks"),
    m("unit_tasks_limit_ratio", Ratio, "unit: tasks of TasksMax"),
    m(
        "unit_fds_limit_ratio",
        Ratio,
        "unit: open files of LimitNOFILE, of its fullest process",
    ),
    m(
        "zombies_count",
        Count,
        "unit: children that ended and are not waited for",
    ),
    m(
        "unit_age_s",
        Seconds,
        "unit: time since it last became active",
    ),
    m(
        "job_running_s",
        Seconds,
        "unit: time that its systemd job has been running",
    ),
    // Disks.
    m(
        "io_pressure_some_ratio",
        Ratio,
        "host or unit: time in which some task waited for a disk",
    ),
    m(
        "unit_io_share_ratio",
        Ratio,
        "unit: share of a device's traffic",
    ),
    m(
        "disk_fill_eta_s",
        Seconds,
        "mount: time until it is full at the present slope",
    ),
    m("disk_free_bytes", Bytes, "mount: space left for users"),
    m("inodes_used_ratio", Ratio, "mount: inodes used"),
    m(
        "inodes_fill_eta_s",
        Seconds,
        "mount: time until no inode is left",
    ),
    m(
        "logs_share_ratio",
        Ratio,
        "mount: share of the used space below /var/log",
    ),
    m(
        "tmp_share_ratio",
        Ratio,
        "mount: share of the used space below /tmp and /var/tmp",
    ),
    m(
        "coredumps_share_ratio",
        Ratio,
        "mount: share of the used space that is core dumps",
    ),
    m(
        "package_cache_share_ratio",
        Ratio,
        "mount: share of the used space that is packages",
    ),
    m(
        "deleted_open_ratio",
        Ratio,
        "mount: share of the used space in files deleted but open",
    ),
    m(
        "wal_share_ratio",
        Ratio,
        "mount: share of the used space that is a database's log",
    ),
    m(
        "device_latency_p99_s",
        Seconds,
        "device: 99th percentile of a request's time",
    ),
    m(
        "device_errors_per_s",
        PerSecond,
        "device: requests that failed",
    ),
    m(
        "raid_resync_ratio",
        Ratio,
        "device: how far a resync has come",
    ),
    m(
        "raid_missing_count",
        Count,
        "device: members that are missing",
    ),
    // Network.
    m(
        "accept_queue_ratio",
        Ratio,
        "unit: connections waiting to be accepted of the backlog",
    ),
    m(
        "accept_queue_drops_per_s",
        PerSecond,
        "unit: connections dropped for a full backlog",
    ),
    m(
        "interface_no_buffer_drops_per_s",
        PerSecond,
        "interface: packets dropped for lack of buffers",
    ),
    m(
        "conntrack_used_ratio",
        Ratio,
        "host: entries of the connection table",
    ),
    m(
        "packet_drops_per_s",
        PerSecond,
        "host: packets that the kernel dropped for a reason",
    ),
    m(
        "tcp_retransmits_per_s",
        PerSecond,
        "host: TCP segments sent again",
    ),
    m(
        "address_not_available_per_s",
        PerSecond,
        "host or unit: connections that found no free port",
    ),
    m(
        "unit_connections_per_s",
        PerSecond,
        "unit: connections accepted",
    ),
    m(
        "dns_failures_per_s",
        PerSecond,
        "host: name look-ups that failed",
    ),
    // Clock and certificates.
    m("clock_offset_s", Seconds, "host: distance from true time"),
    m(
        "certificate_left_s",
        Seconds,
        "certificate: time until it ends; below zero since it ended",
    ),
    m(
        "certificate_used_ratio",
        Ratio,
        "certificate: share gone of its life, or of its last 90 days if it lives longer",
    ),
    m(
        "timer_last_run_s",
        Seconds,
        "unit: time since its timer last ran it",
    ),
    // Databases, over their own protocol.
    m(
        "postgres_connections_ratio",
        Ratio,
        "unit: connections of max_connections",
    ),
    m(
        "postgres_idle_connections_ratio",
        Ratio,
        "unit: connections that have been idle for an hour",
    ),
    m(
        "postgres_archive_lag_bytes",
        Bytes,
        "unit: write-ahead log not yet archived",
    ),
    m(
        "postgres_archive_failures_per_s",
        PerSecond,
        "unit: archive commands that failed",
    ),
    m(
        "mysql_connections_ratio",
        Ratio,
        "unit: connections of max_connections",
    ),
    m("redis_clients_ratio", Ratio, "unit: clients of maxclients"),
    // Ourselves.
    m(
        "lost_events_per_s",
        PerSecond,
        "host: events that hostmedic's own hooks lost",
    ),
    m(
        "own_cpu_ratio",
        Ratio,
        "host: CPU time that hostmedic itself uses",
    ),
];
