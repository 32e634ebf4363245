//! Facts about what programs write to the journal.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Lines of one kind that a unit wrote to the journal within some seconds, at `warning` or worse.
/// Source: journalctl(1), `--follow --output=json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLines {
    /// What the lines have in common, without secrets: what differs from line to line is a word
    /// in brackets, such as `(n)` for a number or `(any)` for a word. May be cut at its end.
    pub template: String,
    /// Names the template for as long as the daemon runs, also when its text becomes more general.
    #[serde(with = "crate::wide")]
    pub id: u64,
    /// How many lines.
    #[serde(with = "crate::wide")]
    pub count: u64,
    /// The most severe of them.
    pub priority: LogPriority,
    /// Further lines of the unit in the same seconds of which no fact tells: beyond the unit's
    /// share they are only counted. On one fact of the unit, zero on its others.
    #[serde(with = "crate::wide", default)]
    pub left_out: u64,
}

/// How bad a line is, the least first. Source: syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogPriority {
    /// `LOG_WARNING`.
    Warning,
    /// `LOG_ERR`.
    Error,
    /// `LOG_CRIT`.
    Critical,
    /// `LOG_ALERT`.
    Alert,
    /// `LOG_EMERG`.
    Emergency,
}

impl LogPriority {
    /// From syslog's number; `None` for `notice` and what is less, and for what is no priority.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Emergency,
            1 => Self::Alert,
            2 => Self::Critical,
            3 => Self::Error,
            4 => Self::Warning,
            _ => return None,
        })
    }
}

impl fmt::Display for LogPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        })
    }
}
