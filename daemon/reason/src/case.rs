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

use crate::{
    reading::Reading,
    undo::{Undo, Undoing},
};

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
    /// Steps of this attempt that systemd took or may have taken, oldest first.
    pub(crate) done: Vec<Done>,
    /// Why a step, and those after it, were not carried out.
    pub(crate) halted: Option<Halt>,
}

/// What ended the steps before their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Halt {
    /// The current step failed, or cannot be carried out on this unit.
    Failed(String),
    /// An operator said stop, or the ledger could not be written.
    Stopped(String),
}

impl Halt {
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Failed(why) | Self::Stopped(why) => why,
        }
    }
}

/// A step that systemd took or may have taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    pub(crate) intent: Intent,
    /// The unit's `InvocationID` right after it, as far as it could be read.
    pub(crate) invocation_after: Option<String>,
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
    /// It did not help: what was done is being taken back.
    Undoing { undo: Undo, at: Undoing },
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

    /// Its newest intent is not on disk, so its call was not and will not be made.
    pub(crate) fn intent_refused(&mut self, now: At, look_at: At) {
        self.decided = None;
        match self.stage.clone() {
            Stage::Undoing { undo, .. } => {
                let at = Undoing::Waiting { look_at };
                self.enter(Stage::Undoing { undo, at });
            }
            // Steps before it were carried out: what came of them is looked at.
            Stage::Acting { mut run, .. } if !run.done.is_empty() => {
                if let Some(last) = run.done.last() {
                    run.intent = last.intent.clone();
                }
                let why = "the ledger refused the next step's intent".to_owned();
                run.halted = Some(Halt::Stopped(why));
                self.enter(Stage::Settling {
                    run,
                    ended: now,
                    look_at,
                });
            }
            _ => self.enter(Stage::Held { look_at }),
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
            Stage::Undoing { .. } => IncidentStatus::Undoing,
            Stage::Escalated => IncidentStatus::Escalated,
            Stage::Over => self.incident.status,
        };
        self.stage = stage;
    }
}
