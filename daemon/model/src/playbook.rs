//! A reviewed rule, checked and ready to match. Its YAML form is read by `reason/playbook`.

mod condition;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    anomaly::Severity, capture::Wanted, property::Aim, sample::Measure, signal::SignalKind,
    subject::UnitName, time::Span,
};

pub use self::condition::{Condition, NumberLimit, SignalFilter};

/// How much harm a playbook could do, from least to most. `Containment` is a ladder of its own and
/// stands last, because nothing below it may include it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RiskClass {
    /// Changes nothing.
    ReadOnly,
    /// Changes a value whose prior value is recorded.
    Reversible,
    /// Stops or restarts something.
    Disruptive,
    /// Removes data; never autonomous.
    Destructive,
    /// Cuts something off; never autonomous.
    Containment,
}

impl RiskClass {
    /// The word in a file.
    pub fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "read_only",
            Self::Reversible => "reversible",
            Self::Disruptive => "disruptive",
            Self::Destructive => "destructive",
            Self::Containment => "containment",
        }
    }
}

/// What a playbook is for, in words: what it is matched by when meaning is compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Describe {
    /// One or two sentences, in the words of somebody on call.
    pub summary: String,
    /// What people see or say when it happens.
    pub symptoms: Vec<String>,
    /// Fixed strings of logs and names of metrics that come with it.
    pub signals: Vec<String>,
    /// What looks alike and is something else.
    pub not_for: Vec<String>,
    /// Incidents that it was, or would have been, right for, as the daemon or people tell them.
    pub examples: Vec<String>,
    /// Numbers that must all be so for it to be right, measured today or not. Only who reads its file
    /// knows them.
    #[serde(skip)]
    pub numbers: Vec<NumberLimit>,
}

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
    /// `StopUnit`.
    Stop,
    /// `ReloadUnit`.
    Reload,
    /// `SetUnitProperties` until the next boot; has no job.
    SetProperty,
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
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::SetProperty => "set-property",
        }
    }

    /// Whether the unit, or what needs it, may be started or stopped by it.
    pub fn moves(self) -> bool {
        match self {
            Self::Restart
            | Self::TryRestart
            | Self::Start
            | Self::ReloadOrTryRestart
            | Self::Stop => true,
            Self::ResetFailed | Self::Reload | Self::SetProperty => false,
        }
    }
}

/// On which unit a step works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The unit the incident is about.
    Subject,
    /// Another unit, by its name.
    Unit(UnitName),
    /// A shipped action: the template unit `hostmedic-<name>@.service`, with the incident's
    /// mount (escaped) or `host` as its instance.
    Action(String),
}

/// One step of a playbook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTemplate {
    /// What to ask for.
    pub verb: Verb,
    /// On what.
    pub target: Target,
    /// How long to wait for the job's end before calling its outcome unknown.
    pub wait_max: Span,
    /// What [`Verb::SetProperty`] sets; `None` for every other verb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<Aim>,
    /// What takes it back; `None` where nothing need be taken back or nothing can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inverse: Option<Verb>,
    /// Whether the steps are taken back if this one fails.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo_on_failure: bool,
}

impl fmt::Display for StepTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.set {
            Some(aim) => write!(f, "set {aim} of")?,
            None => f.write_str(self.verb.word())?,
        }
        match &self.target {
            Target::Subject => f.write_str(" the unit"),
            Target::Unit(unit) => write!(f, " {unit}"),
            Target::Action(name) => write!(f, " action {name}"),
        }
    }
}

/// What must hold just before the first step, beyond the guards that every act is asked by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreCheck {
    /// Its name in the playbook.
    pub name: String,
    /// What must hold.
    pub needs: Need,
    /// What follows if it does not.
    pub otherwise: Otherwise,
    /// Why it is asked.
    pub reason: String,
}

/// What a pre-check asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// What is known of the target is not older.
    Fresh(Span),
    /// The target is active.
    Active,
    /// At most so many other active units would be stopped with the target.
    ClosureAtMost(u32),
    /// So many starts are left before systemd's start limit.
    StartsLeft(u32),
    /// systemd has no job for the target.
    NoJob,
    /// The target's processes are not frozen.
    NotFrozen,
    /// systemd has no job for the target, and nobody started, stopped or reloaded it for so long;
    /// systemd's own restarts do not count.
    Quiet(Span),
    /// The newest sample of a measure lies below a limit; none, or an old one, is a failure.
    Below {
        /// Whose: the host's, or the incident's subject's.
        of_host: bool,
        /// What is measured.
        measure: Measure,
        /// The limit.
        limit: f64,
    },
    /// The newest sample of a measure lies above a limit; none, or an old one, is a failure.
    Above {
        /// Whose: the host's, or the incident's subject's.
        of_host: bool,
        /// What is measured.
        measure: Measure,
        /// The limit.
        limit: f64,
    },
    /// No signal of this kind about the subject within the span; where one could have gone
    /// unheard, it is a failure.
    NoSignal {
        /// Kind of signal.
        kind: SignalKind,
        /// How far back.
        within: Span,
    },
}

/// What follows when a pre-check does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// Not by a machine: people are told.
    Escalate,
    /// Looked at again later.
    Wait,
    /// An operator must agree.
    Ask,
}

/// One check of a verification. All must pass, on readings newer than the last step's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The unit is `active`.
    UnitActive,
    /// The unit's `InvocationID` differs from the one before the step.
    NewInvocation,
    /// The unit has reported to systemd's watchdog since the step ended, and in time.
    WatchdogPings,
    /// No signal of this kind about the subject since the step ended; where one could have gone
    /// unheard, nobody can tell.
    NoSignal(SignalKind),
    /// The newest sample of a measure, taken after the step ended, lies below a limit.
    Below {
        /// Whose: the host's, or the incident's subject's.
        #[serde(default)]
        of_host: bool,
        /// What is measured.
        measure: Measure,
        /// The limit.
        limit: f64,
    },
    /// The newest sample of a measure, taken after the step ended, lies above a limit.
    Above {
        /// Whose: the host's, or the incident's subject's.
        of_host: bool,
        /// What is measured.
        measure: Measure,
        /// The limit.
        limit: f64,
    },
    /// The newest sample of a measure, taken after the step ended, is this share smaller than the
    /// newest one before the first step.
    FellBy {
        /// What is measured.
        measure: Measure,
        /// By what share, above 0 and at most 1.
        by: f64,
    },
    /// Every unit of the stop closure that was active before is active again.
    ClosureRestored,
    /// This passes for at least the span, without a break; a break begins it anew.
    Held {
        /// What must pass.
        check: Box<Check>,
        /// How long.
        span: Span,
    },
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
    /// Places in `checks` of those without which the steps are taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo_without: Vec<usize>,
}

/// So many within a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// Within which time.
    pub within: Span,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.within)
    }
}

/// How often a playbook may act. The policy's own limits hold beside these; the stricter wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Pause between two attempts on one unit.
    pub cooldown: Span,
    /// Attempts on one unit.
    pub per_unit: Rate,
    /// Attempts in one slice.
    pub per_slice: Rate,
    /// Attempts on the host.
    pub per_host: Rate,
}

impl Default for Limits {
    /// What the policy allows at most.
    fn default() -> Self {
        let hourly = |count| Rate {
            count,
            within: Span::minutes(60),
        };
        Self {
            cooldown: Span::minutes(5),
            per_unit: hourly(1),
            per_slice: hourly(3),
            per_host: hourly(6),
        }
    }
}

/// When an operator must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// For incidents of these severities.
    pub severities: Vec<Severity>,
    /// How long a proposal waits; the policy's own time holds, too.
    pub valid: Option<Span>,
}

/// How sure the text matcher must be of a playbook, where the playbook asks for more than is asked
/// of every one; 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// To be proposed.
    pub propose: Option<f64>,
    /// To act.
    pub act: Option<f64>,
}

/// On which hosts a playbook is at home, by the tags that a host's configuration gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostTags {
    /// The host bears all of these.
    pub with: Vec<String>,
    /// And none of these.
    pub without: Vec<String>,
}

impl HostTags {
    /// Whether a host with these tags is one of them.
    pub fn admit(&self, tags: &[String]) -> bool {
        self.with.iter().all(|tag| tags.contains(tag))
            && !self.without.iter().any(|tag| tags.contains(tag))
    }

    /// Whether `tag` may be one: small letters, digits and `-`, at most 40, a letter first.
    pub fn is_tag(tag: &str) -> bool {
        tag.len() <= 40
            && tag.starts_with(|c: char| c.is_ascii_lowercase())
            && tag
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    }
}

/// How far a playbook or the host has come on its way to acting alone.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
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
    /// It would do what this version cannot do yet, in words; or nothing, for it only describes.
    /// It is shown and never acts.
    Unbuilt(String),
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
    pub describe: Describe,
    /// On which hosts it may be used at all; on others it is as if it were not there.
    pub hosts: HostTags,
    /// When it applies: all must hold.
    pub trigger: Vec<Condition>,
    /// None of these may hold; what is not known might hold.
    pub none: Vec<Condition>,
    /// How much harm it could do.
    pub class: RiskClass,
    /// What must hold just before it acts.
    pub pre_checks: Vec<PreCheck>,
    /// What evidence is kept before its first step, beyond what always is.
    pub captures: Vec<Wanted>,
    /// What it does.
    pub remedy: Remedy,
    /// How often.
    pub limits: Limits,
    /// It never goes further than this phase.
    pub phase_max: Phase,
    /// How sure the text matcher must be, beyond what is asked of every playbook.
    pub needs: Needs,
    /// When an operator must agree, beyond what phase and policy ask for.
    pub approval: Approval,
    /// It does not act if scheduled work begins within this time; the policy's own time holds, too.
    pub lookahead: Span,
    /// What it says that this version cannot see or do yet; if anything, it only observes.
    pub missing: Vec<String>,
    /// How a wrong run is undone, or why it needs no undoing.
    pub rollback: String,
    /// SHA-256 of the file's bytes, hex: an approval is bound to it.
    pub sha256: String,
}

impl Playbook {
    /// Its steps, in order; none if it only hands over or cannot be carried out yet.
    pub fn steps(&self) -> &[StepTemplate] {
        match &self.remedy {
            Remedy::Steps { steps, .. } => steps,
            Remedy::Escalate(_) | Remedy::Unbuilt(_) => &[],
        }
    }
}
