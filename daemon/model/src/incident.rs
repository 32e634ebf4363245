//! Signals and anomalies that belong together.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    anomaly::{Anomaly, Severity},
    notice::Notice,
    sample::Sample,
    signal::Signal,
    subject::Subject,
    time::At,
};

/// Identity of an incident: `inc_YYYYMMDD_HHMMSS_xxxxxxxx` (UTC, then a hash of host, boot,
/// subject and moment: no randomness, so that a replay gives the same name).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub String);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One piece of evidence of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Evidence {
    /// A discrete fact.
    Signal(Signal),
    /// A number off its baseline.
    Anomaly(Anomaly),
    /// A number beyond a limit that a playbook's trigger names.
    Sample(Sample),
    /// What a detector of events noticed.
    Notice(Notice),
    /// Another incident of the same cause, now shown below this one.
    Child(Child),
}

/// An incident that another one is taken to have caused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Child {
    /// When the two were put together.
    pub at: At,
    /// Its identity.
    pub incident: IncidentId,
    /// What it is about.
    pub subject: Subject,
    /// Its title.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
}

/// Incidents of the same title on other subjects of the same kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Similar {
    /// How many opened in the 30 days before.
    pub count: u32,
    /// The newest of them.
    pub last: IncidentId,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStatus {
    /// Seen; nothing decided yet.
    Open,
    /// Decided not to act for now; reconsidered when the reason to hold goes away.
    Held,
    /// Waits for an operator's yes or no.
    AwaitingApproval,
    /// A step is being carried out.
    Acting,
    /// The steps ended; waiting to see whether they helped.
    Verifying,
    /// It did not help, so what was done is being taken back.
    Undoing,
    /// Handed to people: hostmedic will not act on it any more.
    Escalated,
    /// Over, and verified to be over.
    Resolved,
    /// Over without our doing, or gone quiet.
    Closed,
}

impl IncidentStatus {
    /// Whether the incident is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Resolved | Self::Closed)
    }
}

/// Signals and anomalies that belong together, from opening to closing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// Its identity.
    pub id: IncidentId,
    /// What it is about.
    pub subject: Subject,
    /// One line: what is wrong.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// Where it stands.
    pub status: IncidentStatus,
    /// First evidence.
    pub opened_at: At,
    /// Newest evidence.
    pub last_at: At,
    /// When it was over.
    pub closed_at: Option<At>,
    /// Evidence, oldest first; at most 64 are kept, the rest is counted in `extended`.
    pub evidence: Vec<Evidence>,
    /// Evidence that came after the first.
    pub extended: u32,
    /// Incidents with the same subject and title that opened in the 30 days before.
    pub recurrences_30d: u32,
    /// The incident that this one is shown below: its cause, as far as that is known. It is handled
    /// like any other, but people are told of its parent only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<IncidentId>,
    /// The same trouble elsewhere on this host, if there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similar: Option<Similar>,
}

impl Incident {
    /// Whether people are to be told of it: it has no parent that they are told of, or it was
    /// handed to them.
    pub fn notifies(&self) -> bool {
        self.parent.is_none() || self.status == IncidentStatus::Escalated
    }
}
