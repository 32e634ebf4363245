//! Things that happen. What the model's `SignalKind` knows and is kept as a fact about its subject
//! can be heard today; the others are named so that playbooks can be written before.

use super::{Field, Slot, Witness, may, must, signal::Signal, states::UNIT_FIELDS};

/// New invocations of a unit, whoever began them.
pub const STARTED: &str = "unit.started";
/// A unit's state changed.
pub const STATE: &str = "unit.state";

type Str = &'static str;

const fn s(name: Str, word: Str, witness: Witness, fields: &'static [Field], says: Str) -> Signal {
    Signal {
        name,
        word,
        witness,
        fields,
        says,
    }
}

use Witness::{Database, Kernel, Log, Packages, People, Probe, Series, Systemd};

const NONE: &[Field] = &[];

/// Every signal.
pub const ALL: &[Signal] = &[
    // Kernel: memory and processes.
    s(
        "kernel.oom_kill",
        "oom_kill",
        Kernel,
        &[may("scope", Slot::Words(&["host", "unit", "cpuset"]))],
        "the kernel killed a process for lack of memory",
    ),
    s(
        "kernel.fatal_signal",
        "fatal_signal",
        Kernel,
        &[may("signal", Slot::Name)],
        "a deadly signal was sent to a process",
    ),
    s(
        "kernel.process_exit",
        "process_exit",
        Kernel,
        NONE,
        "a process ended",
    ),
    s(
        "kernel.zombies",
        "zombies",
        Kernel,
        NONE,
        "a process does not wait for its ended children",
    ),
    s(
        "kernel.hung_task",
        "hung_task",
        Kernel,
        NONE,
        "a task has been waiting without a break",
    ),
    s(
        "kernel.rcu_stall",
        "rcu_stall",
        Kernel,
        NONE,
        "a CPU does not come to rest",
    ),
    s(
        "kernel.memory_events",
        "memory_events",
        Kernel,
        &[may("event", Slot::Words(&["low", "high", "max", "oom"]))],
        "a unit met its memory limit or protection",
    ),
    s(
        "kernel.pressure",
        "pressure",
        Kernel,
        &[may("of", Slot::Words(&["cpu", "memory", "io"]))],
        "tasks waited longer than the threshold",
    ),
    s(
        "kernel.fork_storm",
        "fork_storm",
        Kernel,
        NONE,
        "a unit begins processes far faster than it ever did",
    ),
    s(
        "kernel.fd_exhausted",
        "fd_exhausted",
        Kernel,
        NONE,
        "a process found no free file descriptor (EMFILE)",
    ),
    s(
        "kernel.swap_thrash",
        "swap_thrash",
        Kernel,
        NONE,
        "pages go to swap and come back at once",
    ),
    // Kernel: disks.
    s(
        "kernel.block_error",
        "block_error",
        Kernel,
        NONE,
        "a block device failed a request",
    ),
    s(
        "kernel.scsi_error",
        "scsi_error",
        Kernel,
        NONE,
        "a disk did not answer, or refused a command",
    ),
    s(
        "kernel.writeback_error",
        "writeback_error",
        Kernel,
        NONE,
        "data that was promised to be written was not",
    ),
    s(
        "kernel.filesystem_error",
        "filesystem_error",
        Kernel,
        NONE,
        "a file system found itself damaged, or shut down",
    ),
    s(
        "kernel.mount_read_only",
        "mount_read_only",
        Kernel,
        NONE,
        "a mount that was writable is no more",
    ),
    s(
        "kernel.no_space",
        "no_space",
        Kernel,
        NONE,
        "a write found no space (ENOSPC)",
    ),
    s(
        "kernel.no_inodes",
        "no_inodes",
        Kernel,
        NONE,
        "a file could not be made for lack of inodes",
    ),
    s(
        "kernel.stale_handle",
        "stale_handle",
        Kernel,
        NONE,
        "a network file system lost its files (ESTALE)",
    ),
    s(
        "kernel.hardware_error",
        "hardware_error",
        Kernel,
        NONE,
        "memory, a bus or a CPU reported an error",
    ),
    s(
        "kernel.raid_event",
        "raid_event",
        Kernel,
        &[may("event", Slot::Words(&["resync", "degraded", "failed"]))],
        "an array lost a member or began to resync",
    ),
    // Kernel: network.
    s(
        "kernel.packet_drops",
        "packet_drops",
        Kernel,
        NONE,
        "packets were dropped",
    ),
    s(
        "kernel.tcp_trouble",
        "tcp_trouble",
        Kernel,
        NONE,
        "TCP sent again, or a connection was reset",
    ),
    s(
        "kernel.transmit_timeout",
        "transmit_timeout",
        Kernel,
        NONE,
        "an interface could not send",
    ),
    s(
        "kernel.net_counter",
        "net_counter",
        Kernel,
        NONE,
        "a counter of the network rose that should not",
    ),
    s(
        "kernel.link_changes",
        "link_changes",
        Kernel,
        NONE,
        "an interface lost its carrier or got it",
    ),
    s(
        "kernel.listen_overflow",
        "listen_overflow",
        Kernel,
        NONE,
        "a connection was dropped for a full backlog",
    ),
    s(
        "kernel.conntrack_full",
        "conntrack_full",
        Kernel,
        NONE,
        "the connection table had no room",
    ),
    s(
        "kernel.ports_exhausted",
        "ports_exhausted",
        Kernel,
        NONE,
        "a connection found no free port (EADDRNOTAVAIL)",
    ),
    s(
        "kernel.exec_deleted",
        "exec_deleted",
        Kernel,
        NONE,
        "a program runs from a deleted file",
    ),
    s(
        "kernel.exec_from_tmp",
        "exec_from_tmp",
        Kernel,
        NONE,
        "a program runs from a directory that anybody may write",
    ),
    // systemd and its kin.
    s(
        STATE,
        "unit_state",
        Systemd,
        UNIT_FIELDS,
        "the unit changed its state",
    ),
    s(
        STARTED,
        "unit_started",
        Systemd,
        NONE,
        "the unit was started, whoever began it",
    ),
    s(
        "unit.watchdog",
        "unit_watchdog",
        Systemd,
        NONE,
        "systemd killed the unit, for it had stopped to report",
    ),
    s(
        "unit.job_stuck",
        "unit_job_stuck",
        Systemd,
        NONE,
        "a systemd job runs far longer than it ever did",
    ),
    s(
        "unit.recovered",
        "unit_recovered",
        Systemd,
        NONE,
        "the unit is active again after an incident",
    ),
    s(
        "unit.config_changed",
        "unit_config_changed",
        Systemd,
        NONE,
        "unit file, drop-in or configuration changed",
    ),
    s(
        "timer.missed",
        "timer_missed",
        Systemd,
        NONE,
        "a timer's job failed or did not run when due",
    ),
    s(
        "link.lease_lost",
        "link_lease_lost",
        Systemd,
        &[may("carrier", Slot::Flag)],
        "an interface lost its address",
    ),
    s(
        "clock.unsynced",
        "clock_unsynced",
        Systemd,
        NONE,
        "the clock follows no source",
    ),
    s(
        "reboot.required",
        "reboot_required",
        Packages,
        NONE,
        "kernel or libraries wait for a reboot",
    ),
    s(
        "package.transaction",
        "package_transaction",
        Packages,
        NONE,
        "packages were changed",
    ),
    // Detectors over numbers.
    s(
        "detect.anomaly",
        "anomaly",
        Series,
        &[must("measure", Slot::Measure)],
        "a number is far from what is usual for it at this hour",
    ),
    s(
        "detect.slope",
        "slope",
        Series,
        &[must("measure", Slot::Measure)],
        "a number rises without a break",
    ),
    s(
        "detect.oom_offender",
        "oom_offender",
        Series,
        NONE,
        "the unit's growth was the reason that another one was killed",
    ),
    // Our own tries.
    s(
        "probe.failed",
        "probe_failed",
        Probe,
        &[may("probe", Slot::Name)],
        "a health probe of the unit failed",
    ),
    s(
        "dns.failed",
        "dns_failed",
        Probe,
        NONE,
        "names could not be resolved",
    ),
    s(
        "certificate.expiring",
        "certificate_expiring",
        Probe,
        NONE,
        "a certificate ends soon",
    ),
    s(
        "certificate.stale",
        "certificate_stale",
        Probe,
        NONE,
        "a unit serves an older certificate than the file on disk",
    ),
    s(
        "container.runtime_hung",
        "container_runtime_hung",
        Probe,
        NONE,
        "the container runtime does not answer",
    ),
    // Logs, databases, people.
    s(
        "log.error_burst",
        "log_error_burst",
        Log,
        NONE,
        "the unit writes far more errors than usual",
    ),
    s(
        "log.lines",
        "log_lines",
        Log,
        NONE,
        "the unit writes lines of `warning` or worse to the journal",
    ),
    s(
        "postgres.connections_high",
        "postgres_connections_high",
        Database,
        NONE,
        "connections are close to max_connections",
    ),
    s(
        "postgres.archive_failing",
        "postgres_archive_failing",
        Database,
        NONE,
        "the archive command fails and log files pile up",
    ),
    s(
        "postgres.not_accepting",
        "postgres_not_accepting",
        Database,
        NONE,
        "the server runs and takes no connection",
    ),
    s(
        "mysql.connections_high",
        "mysql_connections_high",
        Database,
        NONE,
        "connections are close to max_connections",
    ),
    s(
        "redis.clients_high",
        "redis_clients_high",
        Database,
        NONE,
        "clients are close to maxclients",
    ),
    s(
        "security.incident_active",
        "security_incident_active",
        People,
        NONE,
        "an attack is being looked into",
    ),
    s(
        "security.policy_hit",
        "security_policy_hit",
        Kernel,
        NONE,
        "a unit did what its policy forbids",
    ),
    s(
        "self.events_lost",
        "self_events_lost",
        Kernel,
        NONE,
        "hostmedic's own hooks lost events",
    ),
    s(
        "self.over_budget",
        "self_over_budget",
        Series,
        NONE,
        "hostmedic costs more than it may",
    ),
];
