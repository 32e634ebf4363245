//! What came of an intent: systemd's word, and ours after looking again.

use serde::{Deserialize, Serialize};

use crate::{incident::IncidentId, intent::IntentId, time::At, unit::UnitSnapshot};

/// How a call to systemd ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum StepResult {
    /// Our job ended; the word is systemd's: `done`, `canceled`, `timeout`, `failed`,
    /// `dependency`, `skipped`, ... Only `done` is a success, and not a proof.
    Job {
        /// `JobRemoved`'s result.
        result: String,
        /// D-Bus path of the job; empty for a call without a job.
        path: String,
    },
    /// systemd refused the call; nothing was changed.
    Refused {
        /// What we tried, on what, what it said, what to do.
        reason: String,
    },
    /// We do not know: bus lost, deadline passed, or we died in between. Verify, never retry.
    Unknown {
        /// What happened to us.
        reason: String,
    },
}

impl StepResult {
    /// Whether systemd says that the job was done.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Job { result, .. } if result == "done")
    }
}

/// The end of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepEnd {
    /// When.
    pub at: At,
    /// Of which intent.
    pub intent: IntentId,
    /// How it ended.
    pub result: StepResult,
    /// The unit, re-read after the end; `None` when that failed.
    pub after: Option<UnitSnapshot>,
}

/// What verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// Every check passed on fresh readings.
    Resolved,
    /// The symptom is still there.
    Unchanged,
    /// Something that was well before is not.
    Worse,
    /// It cannot be told.
    Indeterminate,
}

/// One check of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckResult {
    /// The check, in words.
    pub check: String,
    /// Whether it held.
    pub passed: bool,
    /// What was seen.
    pub observed: String,
}

/// The last word on an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// When.
    pub at: At,
    /// Of which intent.
    pub intent: IntentId,
    /// For which incident.
    pub incident: IncidentId,
    /// What was found.
    pub verification: Verification,
    /// Why, check by check.
    pub checks: Vec<CheckResult>,
    /// Intents that are taken back because of it, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undoing: Vec<IntentId>,
}
