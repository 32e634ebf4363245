//! What is supposed to be happening on this host: the knowledge whose lack once lost a day of data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{subject::UnitName, time::At};

/// One reading of every calendar source, or why it could not be had.
///
/// An unreadable calendar means "hold", never "go".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reading", rename_all = "snake_case")]
pub enum CalendarReading {
    /// All sources answered.
    Readable(Calendar),
    /// A source did not answer.
    Unreadable {
        /// When we asked.
        at: At,
        /// Which source, and what it said.
        reason: String,
    },
}

/// What runs now, what is due, and what asks not to be disturbed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// When the last source was read.
    pub at: At,
    /// Work that runs now.
    pub running: Vec<Activity>,
    /// Timers that will fire.
    pub due: Vec<Due>,
    /// logind inhibitors.
    pub inhibitors: Vec<Inhibitor>,
}

/// Work that runs now and should be left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activity {
    /// Its unit or, where it has none, its program.
    pub name: String,
    /// What began it: the timer's name, `exec` for a program seen at exec or in /proc,
    /// `unit` for a unit that runs without a timer.
    pub began_by: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Process id, for a program.
    pub pid: Option<u32>,
    /// Units it works on or with: its dependencies in either direction, and what the
    /// configuration says it protects.
    pub related: Vec<UnitName>,
}

/// What scheduled work is for; decides how far its protection reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Copies data away. Which data cannot be known for sure, so it protects every unit.
    Backup,
    /// Installs or removes packages; protects every unit.
    PackageTransaction,
    /// Anything else; protects the units it is related to.
    Other,
}

/// A timer that will fire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    /// The timer.
    pub timer: UnitName,
    /// What it starts.
    pub unit: UnitName,
    /// When, as Unix milliseconds (`NextElapseUSecRealtime`, or the monotonic one converted).
    #[serde(with = "crate::wide")]
    pub at_wall_ms: i64,
    /// What it is for.
    pub purpose: Purpose,
    /// Units it works on or with.
    pub related: Vec<UnitName>,
}

/// A lock somebody took at logind; `systemd-inhibit --list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inhibitor {
    /// What it inhibits: `shutdown:sleep`, ...
    pub what: String,
    /// Who took it.
    pub who: String,
    /// Why.
    pub why: String,
    /// `block`, `block-weak` or `delay`.
    pub mode: String,
}
