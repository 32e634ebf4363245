//! What systemd says about a unit.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    property::{Property, Setting},
    subject::UnitName,
    time::{At, Span},
};

/// `ActiveState` of a unit; org.freedesktop.systemd1(5).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ActiveState {
    /// Running, or done for a oneshot with `RemainAfterExit`.
    Active,
    /// Active and reloading its configuration.
    Reloading,
    /// Active and refreshing its mount namespace.
    Refreshing,
    /// Not running; the last run, if any, ended well.
    Inactive,
    /// Not running; the last run failed (see `Result`).
    Failed,
    /// On its way up; `SubState=auto-restart` means that systemd itself will restart it.
    Activating,
    /// On its way down.
    Deactivating,
    /// Stopped for maintenance.
    Maintenance,
    /// A word this version does not know: treated as "do not touch".
    Unknown,
}

impl ActiveState {
    /// Reads systemd's word.
    pub fn parse(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "reloading" => Self::Reloading,
            "refreshing" => Self::Refreshing,
            "inactive" => Self::Inactive,
            "failed" => Self::Failed,
            "activating" => Self::Activating,
            "deactivating" => Self::Deactivating,
            "maintenance" => Self::Maintenance,
            _ => Self::Unknown,
        }
    }

    /// Whether the unit is down and nothing is bringing it up.
    pub fn is_down(self) -> bool {
        matches!(self, Self::Inactive | Self::Failed)
    }
}

/// State of a unit at one moment, as systemd gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitState {
    /// `ActiveState`.
    pub active: ActiveState,
    /// `SubState`: `running`, `dead`, `auto-restart`, ...
    pub sub: String,
    /// `Result` of the last run: `success`, `exit-code`, `signal`, `oom-kill`,
    /// `start-limit-hit`, ...; empty where the unit type has none.
    pub result: String,
    /// `InvocationID` of the newest run as 32 hex digits; a new one proves a new run.
    pub invocation_id: Option<String>,
    /// `NRestarts`: systemd's own automatic restarts since it last forgot them.
    pub n_restarts: u32,
}

/// Everything a decision about a unit needs, read at once and just before deciding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSnapshot {
    /// When the last property was read.
    pub at: At,
    /// The unit's primary name (aliases resolved by systemd).
    pub unit: UnitName,
    /// `LoadState`: anything but `loaded` is a reason to hold.
    pub load_state: String,
    /// Its state.
    pub state: UnitState,
    /// Slice it runs in.
    pub slice: Option<UnitName>,
    /// `Restart=` of a service: `no`, `on-failure`, ...
    pub restart_policy: String,
    /// `StartLimitBurst`; 0 means no limit.
    pub start_limit_burst: u32,
    /// `StartLimitIntervalUSec`.
    pub start_limit_interval: Span,
    /// Type of a job queued or running for the unit now, such as `start`.
    pub pending_job: Option<String>,
    /// `RefuseManualStart`.
    pub refuse_manual_start: bool,
    /// `RefuseManualStop`.
    pub refuse_manual_stop: bool,
    /// Active units that a stop of this one would stop too (`RequiredBy`, `RequisiteOf`,
    /// `BoundBy`, `ConsistsOf`, `PropagatesStopTo`), sorted.
    pub stop_closure: Vec<UnitName>,
    /// Cgroup path below the root, as in `/proc/PID/cgroup`; empty when it has none.
    pub control_group: String,
    /// `MemoryCurrent` in bytes, where systemd accounts memory.
    #[serde(default, with = "crate::wide::option")]
    pub memory_current_bytes: Option<u64>,
    /// `MainPID`; 0 when none.
    pub main_pid: u32,
    /// `ExecMainCode` (`CLD_EXITED` 1, `CLD_KILLED` 2, `CLD_DUMPED` 3) of the last main process.
    pub exec_main_code: i32,
    /// `ExecMainStatus`: exit status or signal number.
    pub exec_main_status: i32,
    /// What it may use and what it does use.
    #[serde(default, skip_serializing_if = "Resources::is_unknown")]
    pub resources: Resources,
    /// Whether its processes run and report.
    #[serde(default, skip_serializing_if = "Vitals::is_unknown")]
    pub vitals: Vitals,
}

/// Whether a unit's processes run and report, as far as its type and this systemd tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vitals {
    /// `FreezerState`: `running`, `frozen`, ...; empty where systemd (before 246) freezes nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub freezer: String,
    /// Its keep-alive, where it has to send one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Watchdog>,
}

impl Vitals {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// What a service with `WatchdogSec=` sends to systemd; systemd.service(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// `WatchdogUSec`: the longest time between two.
    pub timeout: Span,
    /// `WatchdogTimestampMonotonic`: when the newest came. The start counts as one.
    pub reported: At,
}

/// What a unit may use and what it uses, as far as its type and this systemd tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Properties that can be set while it runs.
    pub set: BTreeMap<Property, Setting>,
    /// `TasksCurrent`, where systemd accounts tasks.
    #[serde(default, with = "crate::wide::option")]
    pub tasks_current: Option<u64>,
    /// `MemorySwapCurrent` in bytes, where systemd (255 or newer) accounts it.
    #[serde(default, with = "crate::wide::option")]
    pub swap_current_bytes: Option<u64>,
}

impl Resources {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
