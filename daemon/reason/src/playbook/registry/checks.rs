//! What can be asked before the first step and after the last one.

use super::{Field, Slot, Unit, entry, may, must};

/// One kind of check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub fields: &'static [Field],
    /// Whether it may stand in `pre_execution_checks`.
    pub before: bool,
    /// Whether it may stand in `verify`.
    pub after: bool,
    /// What must hold.
    pub says: &'static str,
}

entry!(Check);

/// Asked before a step.
const fn pre(name: &'static str, fields: &'static [Field], says: &'static str) -> Check {
    Check {
        name,
        fields,
        before: true,
        after: false,
        says,
    }
}

/// Asked after the last step.
const fn post(name: &'static str, fields: &'static [Field], says: &'static str) -> Check {
    Check {
        name,
        fields,
        before: false,
        after: true,
        says,
    }
}

/// Asked at either time.
const fn both(name: &'static str, fields: &'static [Field], says: &'static str) -> Check {
    Check {
        name,
        fields,
        before: true,
        after: true,
        says,
    }
}

const NONE: &[Field] = &[];
const UNIT: &[Field] = &[may("unit", Slot::SystemdUnit)];
const LIMIT: &[Field] = &[
    must("measure", Slot::Measure),
    must("limit", Slot::OfMeasure),
    may("of", Slot::Word(&["target", "host"])),
];
const MAX_RATIO: &[Field] = &[must("max", Slot::Number(Unit::Ratio))];
const MIN_RATIO: &[Field] = &[must("min", Slot::Number(Unit::Ratio))];

/// Every check.
pub const ALL: &[Check] = &[
    // The unit.
    pre(
        "telemetry.fresh",
        &[must("max_age", Slot::Span)],
        "what is known of the target is not older",
    ),
    pre(
        "unit.stop_closure",
        &[must("max_active", Slot::Number(Unit::Count))],
        "at most so many other active units would be stopped with it",
    ),
    pre(
        "unit.start_budget",
        &[must("min_remaining", Slot::Number(Unit::Count))],
        "so many starts are left before systemd's start limit",
    ),
    pre(
        "unit.quiet",
        &[
            may("no_job", Slot::Flag),
            may("no_admin_action_for", Slot::Span),
        ],
        "systemd has no job for it, and nobody started, stopped or reloaded it for so long",
    ),
    pre("unit.can_reload", UNIT, "the unit knows how to reload"),
    pre("unit.not_frozen", UNIT, "the unit is not frozen"),
    pre(
        "unit.config_unchanged",
        &[must("within", Slot::Span)],
        "nobody changed its configuration within this time",
    ),
    pre(
        "unit.single_change",
        &[must("within", Slot::Span)],
        "exactly one thing was changed, and its prior copy is stored",
    ),
    pre(
        "unit.not_in_own_window",
        UNIT,
        "it is not doing the work that it is scheduled for",
    ),
    pre(
        "unit.not_busy_with",
        &[must(
            "work",
            Slot::Words(&[
                "fsck",
                "mkfs",
                "database_recovery",
                "backup",
                "scrub",
                "trim",
                "resync",
            ]),
        )],
        "it is not doing work that must not be broken off",
    ),
    pre("unit.parent_is_unit", UNIT, "the process belongs to a unit"),
    pre(
        "unit.not_login_shell",
        UNIT,
        "it is not the session of an operator",
    ),
    pre(
        "unit.was_active_before",
        UNIT,
        "it was active before the incident",
    ),
    both("unit.active", UNIT, "the unit is active"),
    post("unit.new_invocation", UNIT, "the unit runs anew"),
    post("unit.inactive", UNIT, "the unit is down"),
    post(
        "unit.closure_restored",
        NONE,
        "every unit that was active with it is active again",
    ),
    post("unit.job_ended", UNIT, "no systemd job runs for it"),
    post("unit.result_success", UNIT, "its last run ended well"),
    post("unit.watchdog_pings", UNIT, "it reports to systemd again"),
    post("unit.frozen", UNIT, "its processes stand still"),
    post("unit.loop_ended", UNIT, "it is not started again and again"),
    // Signals, numbers, logs.
    both(
        "signal.none",
        &[must("signal", Slot::Signal), may("within", Slot::Span)],
        "no such signal about the target, and none can have gone unheard; after a step: since it ended",
    ),
    both(
        "measure.below",
        LIMIT,
        "the newest number lies below the limit; an old one or none does not",
    ),
    both(
        "measure.above",
        LIMIT,
        "the newest number lies above the limit; an old one or none does not",
    ),
    both(
        "measure.usual",
        &[must("measure", Slot::Measure)],
        "the number is within what is usual for it at this hour",
    ),
    post(
        "measure.slope_broken",
        &[must("measure", Slot::Measure)],
        "the number does not rise any more",
    ),
    post(
        "measure.fell_by",
        &[
            must("measure", Slot::Measure),
            must("by", Slot::Number(Unit::Ratio)),
        ],
        "the number is this share smaller than just before the first step",
    ),
    post(
        "journal.errors",
        &[must("max", Slot::Number(Unit::Count))],
        "at most so many new error lines",
    ),
    pre(
        "memory.available",
        MIN_RATIO,
        "the host has this share of its memory available",
    ),
    pre("memory.swap_room", MIN_RATIO, "this share of swap is free"),
    pre(
        "memory.not_cache",
        MIN_RATIO,
        "this share of its memory is not cache",
    ),
    pre(
        "memory.protected_sum",
        MAX_RATIO,
        "all MemoryLow together stay below this share of memory",
    ),
    pre(
        "memory.target_is_offender",
        MIN_RATIO,
        "the target makes this share of the trouble",
    ),
    pre(
        "host.load_ok",
        &[must("max_per_cpu", Slot::Number(Unit::Count))],
        "the host is not overloaded",
    ),
    pre(
        "host.tag",
        &[must("tag", Slot::Name), must("expect", Slot::Name)],
        "the host bears this tag",
    ),
    pre(
        "host.own_log_excluded",
        NONE,
        "hostmedic's own ledger is not among what would be removed",
    ),
    // Disks.
    both("mount.responds", NONE, "the mount answers"),
    pre(
        "mount.top_consumer_known",
        NONE,
        "it is known what fills the mount",
    ),
    pre(
        "logrotate.config_valid",
        NONE,
        "logrotate accepts its configuration",
    ),
    pre(
        "package.no_lock",
        NONE,
        "no package transaction is under way",
    ),
    pre(
        "package.prior_available",
        NONE,
        "the prior version can be installed",
    ),
    pre(
        "package.no_migration",
        NONE,
        "the newer version has not migrated data",
    ),
    pre(
        "device.repeats",
        &[
            must("at_least", Slot::Number(Unit::Count)),
            must("within", Slot::Span),
        ],
        "the same device failed so often",
    ),
    pre(
        "device.no_maintenance",
        NONE,
        "no scrub, trim or resync runs on it",
    ),
    pre(
        "device.redundant",
        NONE,
        "the array can lose one more member",
    ),
    // Network.
    pre(
        "network.other_path",
        NONE,
        "the collector can be reached by another way",
    ),
    pre(
        "network.peers_well",
        NONE,
        "probes of other hosts do not fail, too",
    ),
    pre(
        "network.upstream_reachable",
        NONE,
        "the server above answers",
    ),
    pre(
        "network.driver_allows",
        NONE,
        "the driver can do it without losing the link",
    ),
    pre(
        "network.not_management",
        NONE,
        "it is not the interface that the host is reached by",
    ),
    pre(
        "network.bounded",
        &[must("max", Slot::Number(Unit::Count))],
        "the new value stays within this bound",
    ),
    post("network.has_address", NONE, "address and gateway are there"),
    both(
        "probe.ok",
        &[must("probe", Slot::Name)],
        "the health probe passes",
    ),
    post(
        "socket.accepts",
        &[must("within", Slot::Span)],
        "a connection is accepted in time",
    ),
    post(
        "dns.resolves",
        &[must("names", Slot::Number(Unit::Count))],
        "so many names can be resolved",
    ),
    post(
        "http.status",
        &[
            must("probe", Slot::Name),
            must("code", Slot::Number(Unit::Count)),
        ],
        "the probe's request is answered with this code",
    ),
    pre("clock.sources_reachable", NONE, "a time source answers"),
    pre(
        "unit.not_database_leader",
        UNIT,
        "no database on this host leads others",
    ),
    pre(
        "certificate.challenge_free",
        NONE,
        "the port for the renewal is free",
    ),
    post(
        "certificate.renewed",
        NONE,
        "the certificate on disk ends later than before",
    ),
    post(
        "certificate.served",
        NONE,
        "the certificate that is served is the one on disk",
    ),
    pre("timer.in_window", NONE, "its job may run at this hour"),
    // Containment.
    pre(
        "containment.scope_known",
        NONE,
        "the smallest boundary for this signal is known",
    ),
    pre(
        "containment.proven",
        NONE,
        "a probe has proved that containment works on this kernel",
    ),
    post(
        "containment.no_egress",
        NONE,
        "the unit sends nothing any more",
    ),
    post(
        "unit.failures_only_there",
        UNIT,
        "only the target runs into the new limit",
    ),
    // Databases, over their own protocol. There is no free SQL: each is one fixed question.
    both(
        "postgres.accepts",
        &[must("within", Slot::Span)],
        "a new connection is accepted in time",
    ),
    both(
        "postgres.connections_below",
        MAX_RATIO,
        "connections lie below this share of max_connections",
    ),
    both(
        "postgres.write_works",
        NONE,
        "a row can be written to the probe's own table",
    ),
    pre(
        "postgres.replication_healthy",
        NONE,
        "no replica is cut off",
    ),
    pre(
        "postgres.not_in_recovery",
        NONE,
        "the server has finished its recovery",
    ),
    pre(
        "postgres.no_long_transaction",
        &[must("longer_than", Slot::Span)],
        "no transaction has been open for so long",
    ),
    pre(
        "postgres.archive_target_writable",
        NONE,
        "the place that is archived to takes a file",
    ),
    post("postgres.archiving", NONE, "log files are archived again"),
    both(
        "mysql.accepts",
        &[must("within", Slot::Span)],
        "a new connection is accepted in time",
    ),
    both(
        "mysql.connections_below",
        MAX_RATIO,
        "connections lie below this share of max_connections",
    ),
    both(
        "redis.answers",
        &[must("within", Slot::Span)],
        "a ping is answered in time",
    ),
    both(
        "redis.clients_below",
        MAX_RATIO,
        "clients lie below this share of maxclients",
    ),
];
