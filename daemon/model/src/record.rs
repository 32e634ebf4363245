//! Audit entries: what is written to the hash chain, in its order.

use serde::{Deserialize, Serialize};

use crate::{
    capture::Part,
    command::{Command, Inhibit, Operator, Proposal},
    decision::Decision,
    incident::{Evidence, Incident, IncidentId},
    intent::{Intent, IntentId},
    loss::{Blind, HookCounters, HookMode, HookModeChange, HookReport, QueueCounters},
    matched::Matched,
    outcome::{Outcome, StepEnd},
    time::{At, BootId},
};

/// Version of the record's form. A reader refuses a version it does not know.
pub const RECORD_VERSION: u32 = 1;

/// One audit entry. Its bytes are RFC 8785 canonical JSON; its hash is their SHA-256.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// Position in the host's chain; the first is 1.
    #[serde(with = "crate::wide")]
    pub seq: u64,
    /// Host whose chain it is: SHA-256 of its Ed25519 public key, first 16 bytes as hex.
    pub host: String,
    /// Boot it was written in.
    pub boot: BootId,
    /// When it was written.
    pub at: At,
    /// SHA-256 of the record before it, hex; 64 zeros for the first.
    pub prev: String,
    /// What it says.
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// The daemon started: coverage of every hook begins here.
    Started(Started),
    /// The daemon stopped in order.
    Stopped {
        /// Why.
        reason: String,
    },
    /// Counters of the hooks and queues, once per interval: a gap is visible, silence is not.
    Coverage(CoverageRow),
    /// A hook does less, because it cost too much, or more again.
    HookMode(HookModeChange),
    /// An incident opened.
    IncidentOpened(Incident),
    /// An incident got more evidence; repeated evidence is counted, not written.
    IncidentExtended {
        /// The incident.
        incident: IncidentId,
        /// What came.
        evidence: Evidence,
    },
    /// An incident is over or was handed to people.
    IncidentClosed {
        /// The incident.
        incident: IncidentId,
        /// `resolved`, `closed` or `escalated`.
        status: crate::incident::IncidentStatus,
        /// Why.
        reason: String,
    },
    /// The library was ranked for an incident; only news is written.
    Matched(Matched),
    /// Something was decided.
    Decision(Decision),
    /// An operator is asked.
    Proposed(Proposal),
    /// An operator's command, accepted or refused.
    Command(CommandRecord),
    /// An inhibit began.
    Inhibited(Inhibit),
    /// Something will be done.
    Intent(Intent),
    /// What things looked like before it was done.
    Captured(Captured),
    /// A call to systemd ended.
    StepEnded(StepEnd),
    /// After a restart of the daemon: this intent has no outcome, so what came of it is unknown.
    Indeterminate {
        /// The intent.
        intent: IntentId,
        /// Its incident.
        incident: IncidentId,
        /// What is known.
        reason: String,
    },
    /// Verification's word.
    Outcome(Outcome),
    /// The collector refused our chain, or its copy disagrees with ours.
    ReplicationRefused {
        /// What the collector said.
        reason: String,
    },
}

impl Body {
    /// The incident this record belongs to, for the timeline.
    pub fn incident(&self) -> Option<IncidentId> {
        let incident = match self {
            Self::IncidentOpened(incident) => &incident.id,
            Self::IncidentExtended { incident, .. }
            | Self::IncidentClosed { incident, .. }
            | Self::Indeterminate { incident, .. } => incident,
            Self::Matched(matched) => &matched.incident,
            Self::Decision(decision) => &decision.incident,
            Self::Proposed(proposal) => &proposal.incident,
            Self::Intent(intent) => &intent.incident,
            Self::Captured(captured) => &captured.incident,
            Self::StepEnded(end) => return end.intent.incident(),
            Self::Outcome(outcome) => &outcome.incident,
            Self::Command(command) => match &command.command {
                Command::Approve { incident, .. }
                | Command::Reject { incident, .. }
                | Command::Judge { incident, .. } => incident,
                _ => return None,
            },
            Self::Started(_)
            | Self::Stopped { .. }
            | Self::Coverage(_)
            | Self::HookMode(_)
            | Self::Inhibited(_)
            | Self::ReplicationRefused { .. } => return None,
        };
        Some(incident.clone())
    }
}

/// The daemon's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Started {
    /// Version of medicd.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// Host name.
    pub hostname: String,
    /// What each hook gives here.
    pub hooks: Vec<HookReport>,
    /// Playbooks in force: name, version and hash.
    pub playbooks: Vec<crate::decision::PlaybookRef>,
    /// Phase in force.
    pub phase: crate::playbook::Phase,
    /// Time before this start in which nothing was captured; `None` in a new chain.
    #[serde(default)]
    pub blind: Option<Blind>,
}

/// The loss ledger at the end of an interval. The interval's own numbers are the difference to
/// the row before it; the record's own time is the interval's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoverageRow {
    /// Beginning of the interval: the end of the row before it, or the daemon's start.
    #[serde(default)]
    pub from: At,
    /// End of the interval: when the counters had been read. The record is written a little later.
    #[serde(default)]
    pub to: At,
    /// Mode of each hook that is not [`HookMode::Stream`].
    #[serde(default)]
    pub reduced: Vec<(String, HookMode)>,
    /// Per hook, since load.
    pub hooks: Vec<HookCounters>,
    /// After the rings, since start.
    pub queues: QueueCounters,
}

/// An operator's command and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRecord {
    /// Who.
    pub by: Operator,
    /// What.
    pub command: Command,
    /// Whether it was accepted.
    pub accepted: bool,
    /// What was answered.
    pub answer: String,
}

/// Evidence captured before the first step, while it still exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Captured {
    /// For which incident.
    pub incident: IncidentId,
    /// For which intent.
    pub intent: IntentId,
    /// When it was complete.
    pub at: At,
    /// Last lines of the unit's journal, oldest first, each cut at 512 bytes.
    pub journal: Vec<String>,
    /// Files of the unit's memory cgroup, by name, as they were.
    pub cgroup: std::collections::BTreeMap<String, String>,
    /// What the playbook asked for beyond these, one part each, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// What could not be had, and why.
    pub missing: Vec<String>,
}
