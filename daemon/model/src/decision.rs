//! What was decided about an incident, with every reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    calendar::CalendarReading, incident::IncidentId, playbook::Phase, subject::UnitName, time::At,
    unit::UnitSnapshot,
};

/// What follows from an incident, its playbook and every guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Carry the steps out now.
    Act,
    /// Would act: ask an operator.
    Propose,
    /// Would act, but the phase is observe: say so and do nothing.
    Shadow,
    /// Not now; a guard said why.
    Hold,
    /// Not by a machine; hand it to people.
    Escalate,
}

/// What one guard said. All guards speak on every decision; silence would hide a broken one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardVerdict {
    /// The guard's name, which is its file's.
    pub guard: String,
    /// What it wants.
    pub stance: Stance,
    /// Why, with the numbers it looked at.
    pub reason: String,
}

/// What one guard wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stance {
    /// No objection.
    Pass,
    /// Not now: the reason can go away by itself.
    Wait,
    /// An operator must agree.
    Ask,
    /// Only pretend.
    Shadow,
    /// Never by a machine, or not again: people must look.
    Refuse,
}

/// The playbook that a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaybookRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 of its file, hex.
    pub sha256: String,
}

/// A decision, complete enough to be judged years later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// When.
    pub at: At,
    /// About what.
    pub incident: IncidentId,
    /// What follows.
    pub verdict: Verdict,
    /// The reason in one line, naming the guard that decided.
    pub reason: String,
    /// The playbook; `None` when none fits.
    pub playbook: Option<PlaybookRef>,
    /// Unit that would be touched.
    pub target: Option<UnitName>,
    /// Phase in force.
    pub phase: Phase,
    /// Every guard's word.
    pub guards: Vec<GuardVerdict>,
    /// What the guards looked at.
    pub unit: Option<UnitSnapshot>,
    /// What was supposed to be happening.
    pub calendar: Option<CalendarReading>,
}
