//! The YAML form of a playbook, language version 1. Kept apart from the model, so that the file
//! format can stay while the model moves. `lint` judges it, `compile` turns it into the model,
//! `schema` writes it down for editors.

use hostmedic_model::playbook::{Phase, RiskClass};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    case::Case,
    placed::{Args, Placed, PlacedList},
    quantity::{Duration, Rate, Ratio},
};

/// A playbook: one reviewed remedy for one kind of trouble.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "hostmedic playbook, version 1")]
pub struct Document {
    /// Version of the language: `v1`. A file that has only `name` and `describe` may leave it out.
    #[serde(rename = "apiVersion")]
    pub api_version: Option<Placed<String>>,
    /// Always `Playbook`.
    pub kind: Option<Placed<String>>,
    /// Name alone, for a file that only describes; others say it in `metadata`.
    pub name: Option<Placed<String>>,
    /// Who it is.
    pub metadata: Option<Placed<Metadata>>,
    /// What it is for, in words. The only part that is matched by meaning.
    pub describe: Placed<Describe>,
    /// On which hosts it may be used at all; without it, on every one.
    pub hosts: Option<Placed<Hosts>>,
    /// When it applies.
    pub trigger: Option<Placed<Trigger>>,
    /// On what it works.
    pub target: Option<Placed<Target>>,
    /// How much harm it could do.
    pub risk: Option<Placed<Risk>>,
    /// How far it may go alone.
    pub autonomy: Option<Placed<Autonomy>>,
    /// How often it may act.
    pub limits: Option<Placed<Limits>>,
    /// What it must not run beside.
    pub concurrency: Option<Placed<Concurrency>>,
    /// When it must not act.
    pub windows: Option<Placed<Windows>>,
    /// What must hold just before the first step, beyond the guards that every act is asked by.
    pub pre_execution_checks: Option<PlacedList<PreCheck>>,
    /// Evidence taken before the first step, such as `unit.snapshot` or `journal.tail(30)`.
    pub capture: Option<PlacedList<String>>,
    /// What it does, in order. Without steps it only hands over to people.
    pub steps: Option<PlacedList<Step>>,
    /// How success is told from failure.
    pub verify: Option<Placed<Verify>>,
    /// How a wrong run is undone.
    pub rollback: Option<Placed<Rollback>>,
    /// What happens when it did not help, or when it has no steps at all.
    pub escalate: Option<Placed<Escalate>>,
    /// Controls of audit catalogues that a run of it is evidence for.
    #[serde(default)]
    pub compliance: Vec<Placed<String>>,
    /// Incidents that it was, or would have been, right for, as the daemon or people tell them: the
    /// text of `medic why`, for one. The more there are, the surer it is found again.
    #[serde(default)]
    pub examples: Vec<Placed<String>>,
    /// Cases: events in, one decision out.
    #[serde(default)]
    pub tests: Vec<Placed<Case>>,
}

/// Who a playbook is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The file's name without `.yaml`.
    pub name: Placed<String>,
    /// Rises with every change of meaning.
    pub version: Placed<u32>,
    /// Who answers for it.
    pub owner: Placed<String>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<Placed<String>>,
}

/// What a playbook is for, in words.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Describe {
    /// One or two sentences, in the words of somebody on call.
    pub summary: Placed<String>,
    /// What people see or say when it happens.
    #[serde(default)]
    pub symptoms: Vec<Placed<String>>,
    /// Fixed strings of logs and names of metrics that come with it.
    #[serde(default)]
    pub signals: Vec<Placed<String>>,
    /// What looks alike and is something else.
    #[serde(default)]
    pub not_for: Vec<Placed<String>>,
}

/// When a playbook applies.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// All of these must hold at once.
    pub all: Option<PlacedList<Condition>>,
    /// At least one of these must hold.
    pub any: Option<PlacedList<Condition>>,
    /// None of these may hold; what is not known might hold.
    #[serde(default)]
    pub none: Vec<Placed<Condition>>,
}

/// One condition: exactly one of `signal`, `state` and `measure`, or a group of conditions: exactly
/// one of `all`, `any` and `none`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Something that happened, heard within `within`.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::signal_name")]
    pub signal: Option<Placed<String>>,
    /// Something that is so now, as it was last read.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::state_name")]
    pub state: Option<Placed<String>>,
    /// A number of the incident's subject.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::measure_name")]
    pub measure: Option<Placed<String>>,
    /// All of these hold.
    pub all: Option<PlacedList<Condition>>,
    /// At least one of these holds.
    pub any: Option<PlacedList<Condition>>,
    /// None of these holds; what is not known might hold.
    pub none: Option<PlacedList<Condition>>,
    /// With `signal`: at least so many. Default 1.
    pub at_least: Option<Placed<u32>>,
    /// With `signal`: not longer ago than this.
    pub within: Option<Placed<Duration>>,
    /// With `signal` or `state`: only where these fields have one of these values.
    #[serde(default, rename = "where")]
    pub fields: Args,
    /// With `measure`: above this.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::quantity")]
    pub above: Option<Placed<super::placed::Value>>,
    /// With `measure`: below this.
    #[serde(default)]
    #[schemars(schema_with = "super::schema::quantity")]
    pub below: Option<Placed<super::placed::Value>>,
    /// With `state` or `measure`: it must have been so for so long, without a break.
    #[serde(rename = "for")]
    pub held_for: Option<Placed<Duration>>,
    /// Names for parts of what was heard: `{unit: event.unit}`.
    #[serde(default)]
    pub bind: Args,
}

/// On which hosts a playbook may be used, by `tags` in `[policy]` of a host's configuration.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    /// The host bears all of these tags, such as `database`.
    #[serde(default)]
    pub with: Vec<Placed<String>>,
    /// And none of these, such as `experiment`.
    #[serde(default)]
    pub without: Vec<Placed<String>>,
}

/// On what a playbook works.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// What it is.
    pub kind: Placed<TargetKind>,
    /// Which one: a binding of the trigger such as `"{{ unit }}"`.
    pub name: Option<Placed<String>>,
    /// At most so many. Default 1. An empty selection is an error, never everything.
    pub max_targets: Option<Placed<u32>>,
    /// Never these: `class:protected`, or globs of names.
    #[serde(default)]
    pub deny: Vec<Placed<String>>,
}

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A systemd unit.
    Unit,
    /// A mounted file system.
    Mount,
    /// A block device.
    Device,
    /// A network interface.
    Interface,
    /// The host as a whole.
    Host,
}

impl TargetKind {
    /// The word in the file, which is also the binding that names the target.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Mount => "mount",
            Self::Device => "device",
            Self::Interface => "interface",
            Self::Host => "host",
        }
    }
}

/// How much harm a playbook could do.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// At least the class of its most dangerous step.
    pub class: Placed<RiskClass>,
    /// Whether what it does can be taken back.
    pub reversible: Placed<bool>,
    /// Whether it may touch a unit that keeps data.
    pub stateful: Placed<Stateful>,
    /// Whether doing it twice is as good as once.
    pub idempotent: Placed<Claim>,
}

/// What to do about units that keep data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stateful {
    /// Makes no difference here.
    Allow,
    /// Asks an operator first.
    Ask,
    /// Leaves them alone.
    Refuse,
}

/// Something that is claimed, and why it is so.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim.
    pub value: Placed<bool>,
    /// Its reason.
    pub why: Placed<String>,
}

/// How far a playbook may go alone.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autonomy {
    /// It never goes further than this phase, whatever the host's phase.
    pub max_phase: Placed<Phase>,
    /// Shown to people from this confidence on. Default 85%.
    pub propose_confidence: Option<Placed<Ratio>>,
    /// May act from this confidence on. Default 90%.
    pub act_confidence: Option<Placed<Ratio>>,
    /// When people must agree first.
    pub approval: Option<Placed<Approval>>,
}

/// When people must agree first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// For incidents of these severities: 1 critical, 2 warning, 3 info.
    pub severity: PlacedList<u32>,
    /// How long an answer is waited for.
    pub ttl: Option<Placed<Duration>>,
    /// What happens when nobody answers.
    pub on_timeout: Option<Placed<OnTimeout>>,
}

/// What happens to a proposal that nobody answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// It is handed to people.
    Escalate,
}

/// How often a playbook may act. The host's policy holds beside these; the stricter wins.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Attempts on one target, such as `1/1h`.
    pub per_target: Placed<Rate>,
    /// Attempts in one slice.
    pub per_slice: Option<Placed<Rate>>,
    /// Attempts on the host.
    pub per_host: Option<Placed<Rate>>,
    /// Hosts of the fleet that may act at once.
    pub fleet: Option<Placed<Fleet>>,
    /// Pause between two attempts on one target.
    pub cooldown: Placed<Duration>,
    /// A unit that has run for less than this is left alone.
    pub min_unit_age: Option<Placed<Duration>>,
}

/// Hosts of the fleet that may act at once.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Share of the fleet.
    pub ratio: Placed<Ratio>,
    /// Within this time.
    pub window: Placed<Duration>,
}

/// What a playbook must not run beside.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concurrency {
    /// Runs of one group never overlap: `"unit:{{ unit }}"` or `host`.
    pub group: Placed<String>,
    /// What the second one does.
    pub on_conflict: Placed<OnConflict>,
    /// With `wait`: at most so long.
    pub max_wait: Option<Placed<Duration>>,
}

/// What a run does that meets another one of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Waits.
    Wait,
    /// Hands over to people.
    Escalate,
}

/// When a playbook must not act.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// Not during these.
    pub forbid: PlacedList<Window>,
    /// Not if one of them begins within this time.
    pub lookahead: Option<Placed<Duration>>,
    /// Not if one of them ended within this time.
    pub lookback: Option<Placed<Duration>>,
}

/// A time in which a playbook must not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// An operator's inhibit, or a lock that blocks a shutdown.
    Maintenance,
    /// A backup runs.
    Backup,
    /// Packages are being installed.
    PackageTransaction,
    /// An attack is being looked into.
    SecurityIncident,
}

/// What must hold just before the first step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::pre_check)]
pub struct PreCheck {
    /// What it is called in the audit record.
    pub name: Placed<String>,
    /// Kind of check.
    #[serde(rename = "type")]
    #[schemars(schema_with = "super::schema::pre_check_name")]
    pub check: Placed<String>,
    /// Its values.
    #[serde(default)]
    pub with: Args,
    /// What follows if it does not hold.
    pub fail_action: Placed<FailAction>,
    /// Why it is asked.
    pub reason: Placed<String>,
    /// It counts as failed after this. Default 5s.
    pub timeout: Option<Placed<Duration>>,
}

/// What follows when something that must hold does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailAction {
    /// Nothing is done, and people are told.
    Abort,
    /// Looked at again later.
    Wait,
    /// Handed to people.
    Escalate,
    /// An operator must agree.
    RequestApproval,
    /// What was done is undone.
    Rollback,
    /// Only noted.
    Warn,
}

/// One step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::step)]
pub struct Step {
    /// Its name in this playbook.
    pub id: Placed<String>,
    /// What it does.
    #[schemars(schema_with = "super::schema::step_name")]
    pub uses: Placed<String>,
    /// Its values.
    #[serde(default)]
    pub with: Args,
    /// How long its end is waited for. Default 60s.
    pub timeout: Option<Placed<Duration>>,
    /// What follows if it fails. Default `escalate`.
    pub on_failure: Option<Placed<OnFailure>>,
}

/// What follows when a step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// No further step; verified, then handed to people.
    Escalate,
    /// What was done is undone.
    Rollback,
    /// The next step is taken.
    Continue,
}

/// How success is told from failure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Nothing is judged before this.
    pub settle: Placed<Duration>,
    /// Until then the checks may still come true; after it, it did not help.
    pub window: Placed<Duration>,
    /// All must hold.
    pub all: PlacedList<VerifyCheck>,
}

/// One check of a verification.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::verify_check)]
pub struct VerifyCheck {
    /// Kind of check.
    #[schemars(schema_with = "super::schema::verify_check_name")]
    pub check: Placed<String>,
    /// Its values.
    #[serde(default)]
    pub with: Args,
    /// It must hold for so long without a break; a break begins it anew.
    #[serde(rename = "for")]
    pub held_for: Option<Placed<Duration>>,
    /// What follows if it does not hold.
    pub fail_action: Placed<FailAction>,
}

/// How a wrong run is undone: either steps, or why there is nothing to undo.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Steps, in order; `undo.journal` replays the recorded inverse of each step.
    pub steps: Option<PlacedList<Step>>,
    /// Why nothing can or need be undone.
    pub none: Option<Placed<String>>,
}

/// What happens when a playbook did not help, or has no steps.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Escalate {
    /// After so many attempts that did not help. Default 1.
    pub after_failures: Option<Placed<u32>>,
    /// To whom: `notify:oncall`, or the name of another playbook.
    pub to: PlacedList<String>,
    /// What people are told; needed where there are no steps.
    pub reason: Option<Placed<String>>,
}
