//! The list itself.

use super::{
    Inverse, Privilege, RiskClass, Slot, Step, UNIT, Unit,
    make::{BYTES, CLEANED, DEAD_BEFORE, GONE, ONLY_UNIT, action, call, property, sql},
    may, must,
};
use Inverse::{Impossible, NotNeeded, PriorValue};
use Privilege::Service;
use RiskClass::{Containment, Destructive, Disruptive, ReadOnly, Reversible};

/// Every step.
pub const ALL: &[Step] = &[
    // systemd's jobs.
    call(
        "systemd.start",
        "start",
        (true, "StartUnit on an active unit does nothing"),
        Inverse::Step("systemd.stop"),
        "starts a unit",
    ),
    call(
        "systemd.restart",
        "restart",
        (true, "twice ends where once ends: the unit runs anew"),
        DEAD_BEFORE,
        "restarts a unit, or starts it if it is down",
    ),
    call(
        "systemd.try_restart",
        "restart",
        (true, "twice ends where once ends: the unit runs anew"),
        DEAD_BEFORE,
        "restarts a unit if it runs; never starts one that an admin stopped",
    ),
    call(
        "systemd.stop",
        "stop",
        (true, "StopUnit on an inactive unit does nothing"),
        Inverse::Step("systemd.start"),
        "stops a unit",
    ),
    Step {
        class: Reversible,
        ..call(
            "systemd.reload",
            "reload",
            (true, "a reload reads the same files again"),
            NotNeeded("a reload reads files and stops nothing"),
            "makes a unit read its configuration again",
        )
    },
    call(
        "systemd.reload_or_try_restart",
        "reload-or-try-restart",
        (true, "twice ends where once ends"),
        DEAD_BEFORE,
        "reloads a unit, or restarts it if it cannot reload",
    ),
    Step {
        class: Reversible,
        ..call(
            "systemd.reset_failed",
            "reset-failed",
            (true, "a unit that is not failed stays as it is"),
            NotNeeded("it only forgets that the unit failed"),
            "forgets that a unit failed, and its start limit",
        )
    },
    call(
        "systemd.cancel_job",
        "cancel",
        (true, "a job that is gone stays gone"),
        NotNeeded("the job can be asked for again"),
        "cancels the systemd job that runs for a unit",
    ),
    Step {
        fields: &[
            UNIT,
            must(
                "signal",
                Slot::Word(&[
                    "SIGABRT", "SIGCHLD", "SIGHUP", "SIGTERM", "SIGUSR1", "SIGUSR2",
                ]),
            ),
            may("whom", Slot::Word(&["main", "control", "all"])),
        ],
        ..call(
            "systemd.kill",
            "kill",
            (false, "each signal is another one"),
            Impossible("a signal that was sent was sent"),
            "sends a signal to a unit's processes",
        )
    },
    call(
        "systemd.start_dependents",
        "start",
        (true, "StartUnit on an active unit does nothing"),
        Inverse::Step("systemd.stop_dependents"),
        "starts the units that were active with it before, in order",
    ),
    call(
        "systemd.stop_dependents",
        "stop",
        (true, "StopUnit on an inactive unit does nothing"),
        Inverse::Step("systemd.start_dependents"),
        "stops the units that need it, in order",
    ),
    Step {
        class: Reversible,
        fields: &[],
        ..call(
            "systemd.daemon_reload",
            "reload-daemon",
            (true, "it reads the same files again"),
            NotNeeded("it reads files and stops nothing"),
            "makes systemd read unit files again",
        )
    },
    Step {
        class: Containment,
        inverse: Inverse::Step("systemd.thaw"),
        ..call(
            "systemd.freeze",
            "freeze",
            (true, "a frozen unit stays frozen"),
            PriorValue,
            "makes a unit's processes stand still",
        )
    },
    Step {
        class: Containment,
        ..call(
            "systemd.thaw",
            "thaw",
            (true, "a unit that runs goes on"),
            Inverse::Step("systemd.freeze"),
            "lets a frozen unit go on",
        )
    },
    Step {
        name: "wait",
        class: ReadOnly,
        privilege: Privilege::None,
        idempotent: (true, "nothing is done"),
        inverse: NotNeeded("nothing is done"),
        dry_run: "shows how long it would wait",
        fields: &[must("for", Slot::Span)],
        says: "waits; every guard is asked again after it",
    },
    // Unit properties, until the next boot.
    property(
        "systemd.set_memory_high",
        BYTES,
        "sets MemoryHigh: above it the unit is slowed and its memory reclaimed",
    ),
    property(
        "systemd.set_memory_low",
        BYTES,
        "sets MemoryLow: memory that others cannot take from it",
    ),
    property("systemd.set_memory_swap_max", BYTES, "sets MemorySwapMax"),
    property(
        "systemd.set_cpu_weight",
        &[UNIT, must("to", Slot::Number(Unit::Count))],
        "sets CPUWeight, 1 to 10000; 100 is the default",
    ),
    property(
        "systemd.set_cpu_quota",
        &[UNIT, must("to", Slot::Number(Unit::Ratio))],
        "sets CPUQuota as a share of one CPU",
    ),
    property(
        "systemd.set_tasks_max",
        &[
            UNIT,
            may("to", Slot::Number(Unit::Count)),
            may("of_current", Slot::Number(Unit::Ratio)),
        ],
        "sets TasksMax",
    ),
    property(
        "systemd.set_io_weight",
        &[UNIT, must("to", Slot::Number(Unit::Count))],
        "sets IOWeight, 1 to 10000; 100 is the default",
    ),
    property(
        "systemd.set_io_write_max",
        &[
            UNIT,
            must("device", Slot::Name),
            must("to", Slot::Number(Unit::BytesPerSecond)),
        ],
        "sets IOWriteBandwidthMax on one device",
    ),
    Step {
        class: Containment,
        ..property(
            "systemd.deny_network",
            ONLY_UNIT,
            "sets IPAddressDeny=any: the unit can send nothing",
        )
    },
    // Memory, journal, files.
    action(
        "memory.reclaim",
        Reversible,
        "memory-reclaim",
        NotNeeded("reclaimed pages are read again when needed"),
        &[
            must("slice", Slot::SystemdUnit),
            must("amount", Slot::Number(Unit::Bytes)),
        ],
        "asks the kernel to reclaim memory of a slice",
    ),
    action(
        "journal.vacuum",
        Destructive,
        "journal-vacuum",
        GONE,
        &[],
        "removes archived journal files down to a fixed size",
    ),
    action(
        "coredumps.prune",
        Destructive,
        "coredumps-prune",
        GONE,
        &[
            must("older_than", Slot::Span),
            must("keep_newest", Slot::Number(Unit::Count)),
        ],
        "removes old core dumps, but never the newest of a unit",
    ),
    action(
        "packages.clean_cache",
        Disruptive,
        "packages-clean",
        CLEANED,
        &[],
        "empties the cache of downloaded packages",
    ),
    action(
        "logs.rotate",
        Disruptive,
        "logs-rotate",
        NotNeeded("rotated logs are kept as their configuration says"),
        &[],
        "rotates logs by their own configuration",
    ),
    action(
        "tmp.clean",
        Disruptive,
        "tmp-clean",
        NotNeeded("only files are removed that their owner's age rule gives up"),
        &[],
        "removes temporary files by the age rules of tmpfiles.d",
    ),
    action(
        "config.restore_prior",
        Disruptive,
        "config-restore",
        Inverse::Step("config.reapply"),
        ONLY_UNIT,
        "puts the stored prior copy of a unit's configuration back",
    ),
    action(
        "config.reapply",
        Disruptive,
        "config-reapply",
        Inverse::Step("config.restore_prior"),
        ONLY_UNIT,
        "puts the newer configuration back",
    ),
    action(
        "packages.downgrade",
        Destructive,
        "packages-downgrade",
        Inverse::Step("packages.upgrade"),
        ONLY_UNIT,
        "installs the prior version of a unit's package and holds it",
    ),
    action(
        "packages.upgrade",
        Destructive,
        "packages-upgrade",
        Inverse::Step("packages.downgrade"),
        ONLY_UNIT,
        "installs the newer version again",
    ),
    // Devices and network.
    action(
        "raid.set_sync_max",
        Reversible,
        "raid-sync-max",
        PriorValue,
        &[
            must("device", Slot::Name),
            must("to", Slot::Number(Unit::BytesPerSecond)),
        ],
        "slows an array's resync down",
    ),
    action(
        "network.set_ring",
        Disruptive,
        "network-ring",
        PriorValue,
        &[
            must("interface", Slot::Name),
            must("of_current", Slot::Number(Unit::Ratio)),
        ],
        "gives an interface larger receive buffers",
    ),
    action(
        "network.set_conntrack_max",
        Reversible,
        "conntrack-max",
        PriorValue,
        &[must("of_current", Slot::Number(Unit::Ratio))],
        "makes room in the connection table",
    ),
    action(
        "network.widen_ports",
        Reversible,
        "port-range",
        PriorValue,
        &[must("lowest", Slot::Number(Unit::Count))],
        "widens the range of ports for outgoing connections",
    ),
    Step {
        privilege: Service("org.freedesktop.resolve1"),
        ..action(
            "dns.flush",
            Reversible,
            "",
            CLEANED,
            &[],
            "forgets cached names",
        )
    },
    Step {
        privilege: Service("org.freedesktop.resolve1"),
        ..action(
            "dns.reset_features",
            Reversible,
            "",
            NotNeeded("features are found out again"),
            &[],
            "forgets what servers are believed to be able to do",
        )
    },
    Step {
        privilege: Service("org.freedesktop.network1"),
        ..action(
            "network.renew_lease",
            Disruptive,
            "",
            PriorValue,
            &[must("interface", Slot::Name)],
            "asks for the interface's lease again",
        )
    },
    Step {
        privilege: Service("org.freedesktop.network1"),
        ..action(
            "network.reconfigure",
            Disruptive,
            "",
            PriorValue,
            &[must("interface", Slot::Name)],
            "configures an interface anew",
        )
    },
    Step {
        privilege: Service("org.freedesktop.login1"),
        ..action(
            "host.schedule_reboot",
            Disruptive,
            "",
            Inverse::Step("host.cancel_reboot"),
            &[must("in", Slot::Span)],
            "schedules a reboot, with a lease of the fleet",
        )
    },
    Step {
        privilege: Service("org.freedesktop.login1"),
        ..action(
            "host.cancel_reboot",
            Disruptive,
            "",
            Inverse::Step("host.schedule_reboot"),
            &[],
            "cancels a scheduled reboot",
        )
    },
    action(
        "host.mark_degraded",
        Reversible,
        "mark-degraded",
        PriorValue,
        &[],
        "marks the host so that the fleet sends it less",
    ),
    Step {
        privilege: Privilege::None,
        ..action(
            "self.observe_only",
            Reversible,
            "",
            PriorValue,
            &[],
            "lets hostmedic itself only observe until a person says otherwise",
        )
    },
    // Databases: each is one fixed statement.
    sql(
        "postgres.end_idle_sessions",
        Disruptive,
        "pg_signal_backend",
        Impossible("an ended session is ended; its client connects again"),
        &[
            UNIT,
            must("idle_for", Slot::Span),
            must("at_most", Slot::Number(Unit::Count)),
        ],
        "ends sessions that have been idle outside a transaction for so long",
    ),
    sql(
        "postgres.reload_config",
        Reversible,
        "pg_reload_conf",
        NotNeeded("a reload reads files and ends no session"),
        ONLY_UNIT,
        "makes the server read its configuration again",
    ),
    sql(
        "postgres.set_pool_size",
        Reversible,
        "pgbouncer admin",
        PriorValue,
        &[UNIT, must("of_current", Slot::Number(Unit::Ratio))],
        "changes the size of a pooler's pool",
    ),
    sql(
        "postgres.retry_archive",
        Reversible,
        "pg_switch_wal",
        NotNeeded("an archived file stays archived"),
        ONLY_UNIT,
        "lets the server try the waiting log files again",
    ),
    sql(
        "mysql.end_idle_sessions",
        Disruptive,
        "CONNECTION_ADMIN",
        Impossible("an ended session is ended; its client connects again"),
        &[
            UNIT,
            must("idle_for", Slot::Span),
            must("at_most", Slot::Number(Unit::Count)),
        ],
        "ends sessions that have been idle for so long",
    ),
    sql(
        "redis.end_idle_clients",
        Disruptive,
        "client|kill",
        Impossible("an ended client is ended; it connects again"),
        &[
            UNIT,
            must("idle_for", Slot::Span),
            must("at_most", Slot::Number(Unit::Count)),
        ],
        "ends clients that have been idle for so long",
    ),
    sql(
        "redis.set_max_clients",
        Reversible,
        "config|set maxclients",
        PriorValue,
        &[UNIT, must("of_current", Slot::Number(Unit::Ratio))],
        "raises the limit of clients within the limit of open files",
    ),
    // Only in `rollback`.
    Step {
        name: UNDO,
        class: ReadOnly,
        privilege: Privilege::None,
        idempotent: (true, "an inverse that was carried out is marked so"),
        inverse: NotNeeded("it is itself the way back"),
        dry_run: "shows the recorded inverses in the order they would be replayed",
        fields: &[],
        says: "replays the recorded inverse of each step that was carried out, last first",
    },
];

/// Replays the inverses; allowed in `rollback` only.
pub const UNDO: &str = "undo.journal";
