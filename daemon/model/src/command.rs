//! What an operator may ask of a running daemon, and who asks.

use serde::{Deserialize, Serialize};

use crate::{
    incident::IncidentId,
    subject::UnitName,
    time::{At, Span},
};

/// Who asked: taken from the socket's peer credentials, never from the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// User id of the peer.
    pub uid: u32,
    /// User name, or the number as text.
    pub name: String,
}

/// What an operator says of a match, for the matcher to learn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It was the right playbook.
    Right,
    /// It was the wrong one.
    Wrong,
    /// Take back what this incident has taught.
    Forget,
}

/// A request that changes what hostmedic may do. It can never make it do something at once
/// but approve a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Carry out the proposal of this incident: once, and only as it was shown.
    Approve {
        /// The incident.
        incident: IncidentId,
        /// Binding of the proposal that the operator saw: hash of playbook, target, evidence
        /// and expiry, as `incident ID` shows it. `None` takes the newest.
        binding: Option<String>,
    },
    /// Do not carry it out; the incident is escalated.
    Reject {
        /// The incident.
        incident: IncidentId,
        /// Why.
        reason: String,
    },
    /// Say whether a playbook was the right one for an incident: the matcher learns from it.
    Judge {
        /// The incident.
        incident: IncidentId,
        /// The playbook's name; `None` takes the one that the newest ranking has first.
        playbook: Option<String>,
        /// What is said of it.
        judgement: Judgement,
    },
    /// Leave a unit, or the whole host, alone for a while.
    Inhibit {
        /// The unit; `None` means every unit.
        unit: Option<UnitName>,
        /// For how long.
        span: Span,
        /// Why.
        reason: String,
    },
    /// Ends an inhibit early.
    LiftInhibit {
        /// Its number, as `medic inhibit` and `medic status` show it.
        #[serde(with = "crate::wide")]
        id: u64,
    },
    /// Stop acting at once; observing and recording go on.
    Pause {
        /// Why.
        reason: String,
    },
    /// Act again.
    Resume,
}

/// An inhibit in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inhibit {
    /// Its number.
    #[serde(with = "crate::wide")]
    pub id: u64,
    /// The unit; `None` means every unit.
    pub unit: Option<UnitName>,
    /// When it was taken.
    pub from: At,
    /// For how long.
    pub span: Span,
    /// Why.
    pub reason: String,
    /// By whom.
    pub by: Operator,
}

/// A proposal that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// Incident it belongs to.
    pub incident: IncidentId,
    /// Hash of (playbook, target, evidence, expiry), hex: what an approval is bound to.
    pub binding: String,
    /// What would be done, in words.
    pub summary: String,
    /// When it was made.
    pub from: At,
    /// After this an approval is refused.
    pub span: Span,
}
