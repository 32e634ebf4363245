//! An incident and where its handling stands.

use std::time::Duration;

use hostmedic_model::{
    command::{Operator, Proposal},
    decision::Verdict,
    incident::{Incident, IncidentStatus},
    intent::Intent,
    playbook::Playbook,
    sample::Sample,
    time::At,
};

use crate::reading::Reading;

/// Evidence kept in one incident.
pub(crate) const EVIDENCE_MAX: usize = 64;
/// How long an answer from outside is waited for, beyond its own deadline.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long capturing evidence may take before the act is called off.
pub(crate) const CAPTURE_MAX: Duration = Duration::from_secs(20);
/// An answer to a step may be this much later than the step's own deadline.
pub(crate) const STEP_GRACE: Duration = Duration::from_secs(30);

/// An incident under way.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) incident: Incident,
    pub(crate) stage: Stage,
    /// Verdict and objectors of the newest recorded decision: only news is recorded.
    pub(crate) decided: Option<(Verdict, Vec<String>)>,
    /// The newest decision's moment and reason, recorded or not.
    pub(crate) reason: (At, String),
    /// Plans begun, including failed ones.
    pub(crate) attempts: u32,
    /// How often it came back of late: one that flaps closes later.
    pub(crate) flaps: u32,
    /// The incident in words, and what they mean.
    pub(crate) reading: Reading,
}

/// A plan being carried out.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) playbook: Playbook,
    /// Index of the current step.
    pub(crate) step: usize,
    /// Intent of the current step.
    pub(crate) intent: Intent,
    /// Why nobody knows how the last call ended; `None` when it is known.
    pub(crate) unknown: Option<String>,
    /// The subject's numbers just before the first step.
    pub(crate) before: Vec<Sample>,
    /// Since when each check of the verification has held at every look.
    pub(crate) held: Vec<Option<At>>,
}

/// Where the handling stands. Every stage that waits for an answer knows since when, so that a
/// lost answer can never leave an incident hanging.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Waiting for a playbook to fit; looked at again at this moment.
    Waiting { look_at: At },
    /// The meaning of its text was asked for.
    Reading { since: At },
    /// A fresh look was asked for; with the approval it is for, if any.
    Inspecting {
        since: At,
        approval: Option<Approval>,
    },
    /// A playbook would act or be proposed, if a language model does not speak against it. How long
    /// it is waited for, its question knows.
    Advising,
    /// Held; looked at again at this moment.
    Held { look_at: At },
    /// An operator was asked.
    Proposed {
        proposal: Proposal,
        evidence: String,
    },
    /// The intent is durable; evidence is being captured.
    Capturing { run: Run, since: At },
    /// The call is out.
    Acting { run: Run, since: At },
    /// The last step ended then; looked at again at `look_at`.
    Settling { run: Run, ended: At, look_at: At },
    /// A fresh look for the verification was asked for.
    Checking { run: Run, ended: At, since: At },
    /// Handed to people.
    Escalated,
    /// Over.
    Over,
}

/// An operator's yes, bound to what was shown.
#[derive(Clone, Debug)]
pub(crate) struct Approval {
    pub(crate) by: Operator,
    /// Hash of the evidence that the operator saw.
    pub(crate) evidence: String,
}

impl Case {
    pub(crate) fn new(incident: Incident, look_at: At) -> Self {
        Self {
            incident,
            stage: Stage::Waiting { look_at },
            decided: None,
            reason: (look_at, String::new()),
            attempts: 0,
            flaps: 0,
            reading: Reading::default(),
        }
    }

    /// Moves to a stage and keeps the status that people see in step with it.
    pub(crate) fn enter(&mut self, stage: Stage) {
        self.incident.status = match &stage {
            Stage::Waiting { .. } => IncidentStatus::Open,
            // A look changes nothing that people should see.
            Stage::Reading { .. } | Stage::Inspecting { .. } | Stage::Advising => {
                self.incident.status
            }
            Stage::Held { .. } => IncidentStatus::Held,
            Stage::Proposed { .. } => IncidentStatus::AwaitingApproval,
            Stage::Capturing { .. } | Stage::Acting { .. } => IncidentStatus::Acting,
            Stage::Settling { .. } | Stage::Checking { .. } => IncidentStatus::Verifying,
            Stage::Escalated => IncidentStatus::Escalated,
            Stage::Over => self.incident.status,
        };
        self.stage = stage;
    }
}
