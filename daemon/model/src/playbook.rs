//! A reviewed rule, checked and ready to match. Its YAML form is read by `reason/playbook`.

use serde::{Deserialize, Serialize};

use crate::{sample::Measure, signal::SignalKind, time::Span, unit::ActiveState};

/// What a step asks systemd to do. A closed list: nothing else can be done to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// `RestartUnit`: starts a unit that is down, too.
    Restart,
    /// `TryRestartUnit`: leaves a stopped unit stopped.
    TryRestart,
    /// `StartUnit`.
    Start,
    /// `ReloadOrTryRestartUnit`.
    ReloadOrTryRestart,
    /// `ResetFailedUnit`; has no job.
    ResetFailed,
}

impl Verb {
    /// The word polkit sees as `verb` (manage-units) and people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::TryRestart => "try-restart",
            Self::Start => "start",
            Self::ReloadOrTryRestart => "reload-or-try-restart",
            Self::ResetFailed => "reset-failed",
        }
    }
}

/// On which unit a step works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The unit the incident is about.
    Subject,
    /// A shipped action: the template unit `hostmedic-<name>@.service`, with the incident's
    /// mount (escaped) or `host` as its instance.
    Action(String),
}

/// One step of a playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTemplate {
    /// What to ask for.
    pub verb: Verb,
    /// On what.
    pub target: Target,
    /// How long to wait for the job's end before calling its outcome unknown.
    pub wait_max: Span,
}

/// One condition of a trigger. All of a trigger's conditions must hold at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// At least `at_least` signals of this kind about the subject within the span before now.
    Signal {
        /// Kind of signal.
        kind: SignalKind,
        /// How many.
        at_least: u32,
        /// How far back.
        within: Span,
    },
    /// The subject's newest known unit state.
    UnitState {
        /// Any of these; empty means any.
        active: Vec<ActiveState>,
        /// Any of these results; empty means any.
        result: Vec<String>,
        /// None of these results.
        result_not: Vec<String>,
        /// Any of these `Restart=` policies; empty means any.
        restart_policy: Vec<String>,
    },
    /// At least this many starts of the subject (new `InvocationID`s) within the span.
    Starts {
        /// How many.
        at_least: u32,
        /// How far back.
        within: Span,
    },
    /// The newest sample of a measure of the subject lies above a limit.
    Above {
        /// What is measured.
        measure: Measure,
        /// The limit.
        limit: f64,
    },
}

/// One check of a verification. All must pass, on readings newer than the last step's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The unit is `active`.
    UnitActive,
    /// The unit's `InvocationID` differs from the one before the step.
    NewInvocation,
    /// No signal of this kind about the subject since the step ended.
    NoSignal(SignalKind),
    /// The newest sample of a measure, taken after the step ended, lies below a limit.
    Below {
        /// What is measured.
        measure: Measure,
        /// The limit.
        limit: f64,
    },
    /// Every unit of the stop closure that was active before is active again.
    ClosureRestored,
}

/// How a playbook's success is told from its failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyPlan {
    /// Wait after the last step before the first check: effects need time to show.
    pub settle: Span,
    /// Checks may fail until this long after the last step; then it did not help.
    pub within: Span,
    /// What must hold.
    pub checks: Vec<Check>,
}

/// How often a playbook may act. The policy's own limits hold beside these; the stricter wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Pause between two attempts on one unit.
    pub cooldown: Span,
    /// Attempts on one unit within an hour.
    pub per_unit_per_hour: u32,
    /// Attempts in one slice within an hour.
    pub per_slice_per_hour: u32,
}

/// How far a playbook or the host has come on its way to acting alone.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Only says what it would do.
    #[default]
    Observe,
    /// Acts after an operator's approval.
    Assist,
    /// Acts within its limits.
    Autonomous,
}

/// What a playbook does when it matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Steps, then verification.
    Steps {
        /// In this order.
        steps: Vec<StepTemplate>,
        /// Did they help?
        verify: VerifyPlan,
    },
    /// Nothing may be done by a machine: hand it to people, with this reason.
    Escalate(String),
}

/// A reviewed rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// Its name, which is its file's name.
    pub name: String,
    /// Rises with every change of meaning.
    pub version: u32,
    /// What it is for, in words people would use at 3 a.m.
    pub describe: String,
    /// When it applies: all must hold.
    pub trigger: Vec<Condition>,
    /// What it does.
    pub remedy: Remedy,
    /// How often.
    pub limits: Limits,
    /// It never goes further than this phase.
    pub phase_max: Phase,
    /// How a wrong run is undone, or why it needs no undoing.
    pub rollback: String,
    /// SHA-256 of the file's bytes, hex: an approval is bound to it.
    pub sha256: String,
}
