//! What will be done: durable before it is done.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    decision::PlaybookRef,
    incident::IncidentId,
    playbook::Verb,
    subject::UnitName,
    time::{At, BootId, Span},
};

/// Identity of one attempt: the incident's id, `/`, and the number of the step and attempt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IntentId(pub String);

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One call to systemd that will be made once this is durable, and never a second time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Its identity.
    pub id: IntentId,
    /// When it was decided.
    pub at: At,
    /// Boot it was decided in.
    pub boot: BootId,
    /// For which incident.
    pub incident: IncidentId,
    /// By which playbook.
    pub playbook: PlaybookRef,
    /// The call.
    pub verb: Verb,
    /// Its unit.
    pub unit: UnitName,
    /// Slice of the incident's unit, for the slice's limit.
    pub slice: Option<UnitName>,
    /// How long to wait for the job's end.
    pub wait_max: Span,
    /// `InvocationID` before the call.
    pub invocation_before: Option<String>,
    /// Active units that the call may stop, to be found active again afterwards.
    pub closure_before: Vec<UnitName>,
    /// The operator who approved it; `None` when it needed no approval.
    pub approved_by: Option<String>,
}

impl IntentId {
    /// The incident that the intent belongs to: the part before the slash.
    pub fn incident(&self) -> Option<IncidentId> {
        let (incident, _) = self.0.split_once('/')?;
        Some(IncidentId(incident.to_owned()))
    }
}
