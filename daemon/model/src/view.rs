//! What the local API shows of the daemon's state.

mod baseline;
mod capture;
mod coverage;
mod journal;
mod question;
mod series;

use serde::{Deserialize, Serialize};

pub use self::capture::{
    Budget, EventPage, EventRow, Flow, FlowEnd, ProbeRow, Probes, Top, TopDevice, TopDrop, TopUnit,
};
pub use self::{
    baseline::{BaselineList, BaselineView, Warmth},
    coverage::{CoveragePart, Gap, HookCoverage, WallSpan},
    journal::JournalStatus,
    question::{CoverageQuery, EventQuery},
    series::{Point, SeriesView},
};
use crate::{
    calendar::CalendarReading,
    command::{Inhibit, Proposal},
    decision::{Decision, PlaybookRef},
    incident::{Incident, IncidentId, IncidentStatus},
    loss::{HookCounters, HookReport, QueueCounters},
    matched::Matched,
    playbook::Phase,
    record::{Body, Record},
    subject::Subject,
    time::At,
};

/// The host at a glance: `medic status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Version of medicd.
    pub version: String,
    /// Host name.
    pub hostname: String,
    /// Host id of the audit chain.
    pub host: String,
    /// When this was put together.
    pub at: At,
    /// When the daemon started.
    pub started_at: At,
    /// Phase in force.
    pub phase: Phase,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// Incidents that are not over.
    pub open_incidents: u32,
    /// Incidents that wait for an operator.
    pub proposals: Vec<Proposal>,
    /// Incidents that are left alone for now, and why.
    pub holds: Vec<Hold>,
    /// Inhibits in force.
    pub inhibits: Vec<Inhibit>,
    /// What is supposed to be happening.
    pub calendar: Option<CalendarReading>,
    /// Playbooks in force.
    pub playbooks: Vec<PlaybookRef>,
    /// Hooks.
    pub hooks: Vec<HookReport>,
    /// Their counters.
    pub counters: Vec<HookCounters>,
    /// Queues.
    pub queues: QueueCounters,
    /// The journal; `None` where the configuration does not let it be followed.
    pub journal: Option<JournalStatus>,
    /// Series with a baseline, and how many of them are warm.
    pub baselines: Baselines,
    /// The audit chain.
    pub audit: AuditStatus,
    /// The collector.
    pub replication: ReplicationStatus,
    /// The language model; `None` where the configuration names none.
    pub language_model: Option<LanguageModelStatus>,
    /// What hostmedic itself costs.
    pub cost: Cost,
}

/// An incident that is left alone for now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The incident.
    pub incident: IncidentId,
    /// What it is about.
    pub subject: Subject,
    /// When its newest decision was made.
    pub at: At,
    /// The newest decision's reason, naming the guard.
    pub reason: String,
}

/// How many baselines there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baselines {
    /// Series known.
    pub series: u32,
    /// Of these, with a warm baseline.
    pub warm: u32,
}

/// The audit chain's newest state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditStatus {
    /// Newest record.
    pub seq: u64,
    /// Its hash, hex.
    pub head: String,
    /// Why records cannot be written, if so. Then nothing is done to the host.
    pub failing: Option<String>,
    /// Records waiting to be written because of that.
    pub unwritten: u64,
    /// Records dropped because too many were waiting.
    pub dropped: u64,
}

/// The link to the collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicationStatus {
    /// Its address; `None` when none is configured.
    pub collector: Option<String>,
    /// Whether the link is up.
    pub connected: bool,
    /// Newest record that the collector has verified and stored durably.
    pub acknowledged_seq: u64,
    /// Why the last try failed; empty when it did not.
    pub last_error: String,
}

/// The language model that is asked for its opinion, and its hourly limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageModelStatus {
    /// Its name, as the configuration has it.
    pub model: String,
    /// Questions within the last hour.
    pub asked: u32,
    /// Questions that any hour may have.
    pub per_hour: u32,
    /// Rankings that were not asked about for that limit, since the daemon's start.
    pub refused: u64,
}

/// What hostmedic costs the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Resident memory of the daemon in bytes (`VmRSS`).
    pub rss_bytes: u64,
    /// Kernel memory of the BPF maps in bytes.
    pub kernel_map_bytes: u64,
    /// CPU time of the daemon / time since its start, of one core.
    pub cpu_ratio: f64,
    /// CPU time over the last interval / that interval, of one core.
    pub cpu_recent_ratio: f64,
    /// Average run of each hook, when last sampled.
    pub hook_ns: Vec<HookCost>,
}

/// Cost of one hook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookCost {
    /// The hook.
    pub hook: String,
    /// Runs in the sampled time.
    pub runs: u64,
    /// Nanoseconds a run; 0 when there was none.
    pub ns_per_run: u64,
}

/// One incident with its records, oldest first: `medic incident ID`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IncidentDetail {
    /// The incident as it stands.
    pub incident: Incident,
    /// Its proposal, if one waits.
    pub proposal: Option<Proposal>,
    /// Its audit records, in chain order.
    pub timeline: Vec<Record>,
}

impl IncidentDetail {
    /// The newest ranking of the library by the incident's text.
    pub fn matched(&self) -> Option<&Matched> {
        let mut newest_first = self.timeline.iter().rev();
        newest_first.find_map(|record| match &record.body {
            Body::Matched(matched) => Some(matched),
            _ => None,
        })
    }
}

/// Why hostmedic did, or did not, act on an incident: `medic why ID`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// The incident.
    pub incident: IncidentId,
    /// What it is about.
    pub subject: Subject,
    /// One line: what is wrong.
    pub title: String,
    /// Where it stands.
    pub status: IncidentStatus,
    /// The newest ranking of the library by its text; `None` where none was made.
    #[serde(default)]
    pub matched: Option<Matched>,
    /// The newest decision, with every guard; `None` while nothing is decided.
    pub decision: Option<Decision>,
    /// Its proposal, if one waits.
    pub proposal: Option<Proposal>,
}

impl From<IncidentDetail> for Why {
    fn from(detail: IncidentDetail) -> Self {
        let matched = detail.matched().cloned();
        let decision = detail
            .timeline
            .into_iter()
            .rev()
            .find_map(|record| match record.body {
                Body::Decision(decision) => Some(decision),
                _ => None,
            });
        Self {
            incident: detail.incident.id,
            subject: detail.incident.subject,
            title: detail.incident.title,
            status: detail.incident.status,
            matched,
            decision,
            proposal: detail.proposal,
        }
    }
}

/// The answer to an accepted command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandAnswer {
    /// One sentence: what follows.
    pub answer: String,
}

/// Told to a watcher that could not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missed {
    /// Records that were not delivered; they are in the audit chain.
    pub missed: u64,
}

/// The body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What went wrong.
    pub error: FailureBody,
}

/// What went wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureBody {
    /// A word for programs: `bad_request`, `forbidden`, `not_found`, ...
    pub code: String,
    /// What failed, on which thing.
    pub message: String,
    /// What to do.
    pub hint: String,
}
