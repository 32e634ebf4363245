//! What will be done: durable before it is done.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    decision::PlaybookRef,
    incident::IncidentId,
    playbook::Verb,
    property::Change,
    subject::UnitName,
    time::{At, BootId, Span},
};

/// How the name of an intent ends that takes another one back.
const UNDO: &str = ".undo";

/// Identity of one call: the incident's id, `/`, the number of the attempt, `.`, and the number of the
/// call within it; `.undo` after that for the call that takes it back.
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
    /// What [`Verb::SetProperty`] changes, with the value before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// What takes it back, if it did not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<Verb>,
    /// The intent of the same attempt that this one takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<IntentId>,
}

impl Intent {
    /// The call in words: `restart web.service`, `set CPUWeight=20 (was CPUWeight=) of web.service`.
    pub fn says(&self) -> String {
        match &self.change {
            Some(change) => format!("set {change} of {}", self.unit),
            None => format!("{} {}", self.verb.word(), self.unit),
        }
    }
}

impl IntentId {
    /// The incident that the intent belongs to: the part before the slash.
    pub fn incident(&self) -> Option<IncidentId> {
        let (incident, _) = self.0.split_once('/')?;
        Some(IncidentId(incident.to_owned()))
    }

    /// Name of the intent that takes this one back; there is at most one.
    pub fn undo(&self) -> Self {
        Self(format!("{self}{UNDO}"))
    }

    /// Whether it is the name of an intent that takes another one back.
    pub fn is_undo(&self) -> bool {
        self.0.ends_with(UNDO)
    }
}
