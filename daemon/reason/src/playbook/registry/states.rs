//! What is so now, as it is read just before deciding. Only units are read today.

use super::{Field, Slot, entry, may, must};

/// One kind of state.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Its name.
    pub name: &'static str,
    /// What can be asked of it.
    pub fields: &'static [Field],
    /// What it is.
    pub says: &'static str,
}

entry!(State);

/// The only state that is read today.
pub const UNIT: &str = "unit";

/// `ActiveState`; org.freedesktop.systemd1(5).
pub const ACTIVE: &[&str] = &[
    "active",
    "reloading",
    "refreshing",
    "inactive",
    "failed",
    "activating",
    "deactivating",
    "maintenance",
];

/// `Result` of units; systemd.service(5), systemd.socket(5) and their kin.
pub const RESULTS: &[&str] = &[
    "success",
    "protocol",
    "timeout",
    "exit-code",
    "signal",
    "core-dump",
    "watchdog",
    "start-limit-hit",
    "resources",
    "oom-kill",
    "exec-condition",
    "condition",
    "service-start-limit-hit",
    "trigger-limit-hit",
    "unit-start-limit-hit",
    "mount-start-limit-hit",
];

/// `Restart=`; systemd.service(5).
pub const RESTART: &[&str] = &[
    "no",
    "on-success",
    "on-failure",
    "on-abnormal",
    "on-watchdog",
    "on-abort",
    "always",
];

/// What the engine can ask of a unit: also the fields of `signal: unit.state`.
pub const UNIT_FIELDS: &[Field] = &[
    may("active_state", Slot::Words(ACTIVE)),
    may("result", Slot::Words(RESULTS)),
    may("result_not", Slot::Words(RESULTS)),
    may("restart_policy", Slot::Words(RESTART)),
];

/// Every kind of state.
pub const ALL: &[State] = &[
    State {
        name: UNIT,
        fields: UNIT_FIELDS,
        says: "the unit as systemd describes it; never while systemd itself is about to restart it",
    },
    State {
        name: "unit.dependents",
        fields: &[may("inactive", Slot::Flag)],
        says: "units that were active with it before the incident",
    },
    State {
        name: "unit.job",
        fields: &[
            may("type", Slot::Words(&["start", "stop", "restart", "reload"])),
            may("longer_than", Slot::Span),
        ],
        says: "the systemd job that runs for it",
    },
    State {
        name: "unit.config",
        fields: &[must("changed_within", Slot::Span)],
        says: "its unit file, drop-ins and the configuration that it reads",
    },
    State {
        name: "mount",
        fields: &[may("read_only", Slot::Flag), may("responds", Slot::Flag)],
        says: "the mount as the kernel describes it",
    },
    State {
        name: "device.raid",
        fields: &[may("syncing", Slot::Flag), may("degraded", Slot::Flag)],
        says: "the array that it belongs to",
    },
    State {
        name: "interface",
        fields: &[may("carrier", Slot::Flag), may("has_address", Slot::Flag)],
        says: "the interface as the kernel describes it",
    },
    State {
        name: "clock",
        fields: &[may("synchronised", Slot::Flag)],
        says: "whether a time source is followed",
    },
    State {
        name: "certificate",
        fields: &[
            may("ends_within", Slot::Span),
            may("renewer_known", Slot::Flag),
            may("served_is_older", Slot::Flag),
        ],
        says: "the certificate that a unit serves, beside the file on disk",
    },
    State {
        name: "timer",
        fields: &[
            may("last_result_not", Slot::Words(RESULTS)),
            may("overdue_by", Slot::Span),
        ],
        says: "the timer that starts the unit",
    },
    State {
        name: "package",
        fields: &[must("changed_within", Slot::Span)],
        says: "packages that the unit's files come from",
    },
    State {
        name: "reboot",
        fields: &[may("required", Slot::Flag)],
        says: "whether the running kernel or libraries wait for a reboot",
    },
    State {
        name: "network.peers",
        fields: &[may("reachable", Slot::Flag)],
        says: "other hosts on the same path",
    },
    State {
        name: "self",
        fields: &[may("degraded", Slot::Flag)],
        says: "hostmedic itself",
    },
];
