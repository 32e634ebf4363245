//! What a detector of events noticed: not one fact, but how facts come, or that they stay away.

use serde::{Deserialize, Serialize};

use crate::{
    anomaly::Severity,
    subject::Subject,
    time::{At, Span},
};

/// Facts that come too often, again, together, or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// When it was noticed.
    pub at: At,
    /// What it is about.
    pub subject: Subject,
    /// What was noticed.
    pub noticed: Noticed,
    /// How much it matters.
    pub severity: Severity,
    /// What was seen, in the unit of `noticed`.
    pub observed: f64,
    /// What the subject's own past let expect, in the same unit.
    pub expected: f64,
    /// The time that `observed` and `expected` are about.
    pub over: Span,
}

/// What detectors of events can notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noticed {
    /// A unit starts and fails again and again: number of restarts and failures.
    CrashLoop,
    /// The out-of-memory killer came again to the same subject: number of kills.
    OomAgain,
    /// More deadly signals and failed exits than usual: number of them.
    ErrorSurge,
    /// More packets dropped than usual: number of packets.
    DropSurge,
    /// More TCP segments sent again than usual: number of segments.
    RetransmitSurge,
    /// More TCP connections reset than usual: number of resets.
    ResetSurge,
    /// More refused by the network stack than usual: how often.
    RefusalSurge,
    /// Numbers that came regularly come no more: seconds without any.
    Silent,
    /// Work that a timer started regularly was not started: seconds since the last start.
    NotStarted,
    /// The wall clock was set: by how many milliseconds.
    ClockStep,
    /// Many incidents opened at once: number of incidents.
    Storm,
    /// A unit writes lines of a kind that it never wrote before: number of lines.
    NewLogLines,
    /// An interface loses its link again and again: how often.
    LinkFlap,
}

impl Noticed {
    /// In a line: what is wrong.
    pub fn title(self) -> &'static str {
        match self {
            Self::CrashLoop => "unit crashes again and again",
            Self::OomAgain => "out-of-memory kill came again",
            Self::ErrorSurge => "processes fail more often than usual",
            Self::DropSurge => "packets are dropped more often than usual",
            Self::RetransmitSurge => "TCP sends again more often than usual",
            Self::ResetSurge => "connections are reset more often than usual",
            Self::RefusalSurge => "the network refuses more than usual",
            Self::Silent => "numbers come no more",
            Self::NotStarted => "scheduled work was not started",
            Self::ClockStep => "the wall clock was set",
            Self::Storm => "storm: many incidents at once",
            Self::NewLogLines => "unit writes a new kind of log line",
            Self::LinkFlap => "network link flaps",
        }
    }
}
