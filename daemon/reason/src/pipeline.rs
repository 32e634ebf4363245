//! The only loop's pure half: a wake in, effects out. It cannot fail and cannot wait.
//!
//! `gather` opens and extends incidents, `handle` moves them through their stages, `operator`
//! answers people, `recall` rebuilds everything from the audit chain.

use std::collections::{BTreeMap, VecDeque};

use hostmedic_model::{
    anomaly::Anomaly,
    calendar::{CalendarReading, Purpose},
    command::{Inhibit, Proposal},
    incident::{Incident, IncidentId, IncidentStatus},
    loss::{HookCounters, HookMode, QueueCounters},
    playbook::Playbook,
    record::Body,
    sample::{Sample, Series},
    time::{At, BootId},
    view,
    wake::{Effect, Wake},
};

use crate::{
    advice::Advisor,
    attempts::Attempts,
    budget::Costs,
    case::{Case, Stage},
    correlate::Correlation,
    detect::Detector,
    facts::Facts,
    guard::is_in_force,
    lessons::Lessons,
    matching::catalogue::Catalogue,
    notice::Notices,
    policy::Policy,
};

/// Records that wait for the disk; beyond it the oldest is dropped and counted.
const UNWRITTEN_MAX: usize = 4096;
/// Incidents that are over and still shown.
const OVER_MAX: usize = 256;

/// Everything `reason` knows. Built from the policy, the playbooks and the audit chain.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) policy: Policy,
    pub(crate) playbooks: Vec<Playbook>,
    pub(crate) host: String,
    pub(crate) boot: BootId,
    pub(crate) started: At,
    pub(crate) now: At,
    pub(crate) facts: Facts,
    pub(crate) detector: Detector,
    pub(crate) cases: BTreeMap<IncidentId, Case>,
    pub(crate) notices: Notices,
    pub(crate) correlation: Correlation,
    pub(crate) attempts: Attempts,
    pub(crate) inhibits: Vec<Inhibit>,
    pub(crate) inhibit_next: u64,
    pub(crate) paused: Option<String>,
    pub(crate) calendar: Option<CalendarReading>,
    pub(crate) unwritten: VecDeque<Body>,
    pub(crate) unwritten_dropped: u64,
    pub(crate) ledger_failing: Option<String>,
    /// Loss counters at the last sample, to tell a window with loss.
    losses: u64,
    window_lossy: bool,
    /// Hooks that do less.
    pub(crate) costs: Costs,
    /// What incidents' texts are compared with; without it structure alone decides.
    pub(crate) catalogue: Option<Catalogue>,
    /// Who is asked for a second opinion on a ranking; usually nobody.
    pub(crate) advisor: Option<Advisor>,
    pub(crate) lessons: Lessons,
}

impl State {
    /// An empty state. Call [`State::recall`] with the chain's records, oldest first, and then
    /// [`State::begin`]. Playbooks for hosts with other tags are left out: nothing is matched with
    /// them, and they never act.
    pub fn new(host: String, boot: BootId, policy: Policy, mut playbooks: Vec<Playbook>) -> Self {
        playbooks.retain(|playbook| playbook.hosts.admit(&policy.tags));
        let mut facts = Facts::default();
        facts.follow(&playbooks);
        Self {
            policy,
            playbooks,
            host,
            boot,
            started: At::default(),
            now: At::default(),
            facts,
            detector: Detector::default(),
            cases: BTreeMap::new(),
            notices: Notices::default(),
            correlation: Correlation::default(),
            attempts: Attempts::default(),
            inhibits: Vec::new(),
            inhibit_next: 1,
            paused: None,
            calendar: None,
            unwritten: VecDeque::new(),
            unwritten_dropped: 0,
            ledger_failing: None,
            losses: 0,
            window_lossy: false,
            costs: Costs::default(),
            catalogue: None,
            advisor: None,
            lessons: Lessons::default(),
        }
    }

    /// Takes one wake in at moment `at` and says what is to be done, in order.
    pub fn apply(&mut self, at: At, wake: Wake) -> Vec<Effect> {
        // The boot clock cannot go back; an answer that was delayed must not take it back.
        self.now = At {
            boot_ns: at.boot_ns.max(self.now.boot_ns),
            wall_ms: at.wall_ms,
        };
        self.attempts.live(self.now, &self.boot);
        let mut effects = Vec::new();
        if let Some(notice) = self.notices.live(at) {
            self.gather_notice(notice, &mut effects);
        }
        match wake {
            Wake::Tick => self.tick(&mut effects),
            Wake::Signal(signal) => self.gather_signal(&signal, &mut effects),
            Wake::Samples(samples) => self.fold(&samples, &mut effects),
            Wake::Counters { hooks, queues } => self.count(&hooks, &queues),
            Wake::HookLoads { budget, loads } => {
                let reduced = loads.iter().filter(|load| load.mode != HookMode::Stream);
                for load in reduced {
                    self.facts.reduced(&load.hook, self.now);
                }
                self.weigh_hooks(budget, &loads, &mut effects);
            }
            Wake::Calendar(reading) => self.learn_calendar(reading),
            Wake::Inspected {
                incident,
                inspection,
            } => self.inspected(&incident, &inspection, &mut effects),
            Wake::Embedded {
                incident,
                text,
                vector,
            } => self.embedded(&incident, &text, vector, &mut effects),
            Wake::Advised {
                incident,
                question,
                answer,
            } => self.advised(&incident, &question, answer, &mut effects),
            Wake::Captured(captured) => self.captured(captured, &mut effects),
            Wake::StepEnded(end) => self.step_ended(&end, &mut effects),
            Wake::Command {
                request,
                by,
                command,
            } => self.command(request, by, command, &mut effects),
            Wake::RecordFailed { bodies, reason } => self.record_failed(bodies, reason),
            Wake::RecordsWritten => self.ledger_failing = None,
        }
        effects
    }

    fn tick(&mut self, effects: &mut Vec<Effect>) {
        // What could not be written goes first: the chain's order is the order things happened.
        effects.extend(self.unwritten.drain(..).map(Effect::Record));
        let now = self.now;
        self.inhibits.retain(|inhibit| is_in_force(inhibit, now));
        let ids: Vec<_> = self.cases.keys().cloned().collect();
        for id in &ids {
            self.advance(id, effects);
        }
        let missed = self.notices.look(now, &self.facts, self.calendar.as_ref());
        for notice in missed {
            self.gather_notice(notice, effects);
        }
        self.learn_again(effects);
        self.forget_over();
    }

    /// Takes samples in: facts, baselines, anomalies, and triggers that rest on numbers.
    fn fold(&mut self, samples: &[Sample], effects: &mut Vec<Effect>) {
        let learn = !std::mem::take(&mut self.window_lossy);
        for sample in samples.iter().filter(|sample| sample.value.is_finite()) {
            self.facts.learn_sample(sample);
        }
        for anomaly in self.detector.detect(samples, learn, &self.policy) {
            self.gather_anomaly(anomaly, effects);
        }
        for sample in samples {
            self.gather_sample(sample, effects);
        }
    }

    /// Notes whether anything was lost since the last window.
    fn count(&mut self, hooks: &[HookCounters], queues: &QueueCounters) {
        self.facts.count(hooks, queues, self.now);
        let in_kernel: u64 = hooks.iter().map(HookCounters::overrun).sum();
        let losses = in_kernel
            .saturating_add(queues.undecodable)
            .saturating_add(queues.queue_full);
        if losses != self.losses {
            self.window_lossy = true;
            self.notices.lost();
        }
        self.losses = losses;
    }

    pub(crate) fn learn_calendar(&mut self, reading: CalendarReading) {
        if let CalendarReading::Readable(calendar) = &reading {
            let programs: Vec<_> = calendar
                .running
                .iter()
                .filter(|activity| activity.pid.is_some())
                .map(|activity| activity.name.clone())
                .collect();
            self.facts.reconcile_programs(calendar.at, &programs);
        }
        self.calendar = Some(reading);
    }

    /// What a program is for, by its name; `None` when it is not watched.
    pub(crate) fn purpose_of(policy: &Policy, comm: &str) -> Option<Purpose> {
        let named = |list: &[String]| list.iter().any(|name| name == comm);
        if named(&policy.backup_programs) {
            Some(Purpose::Backup)
        } else if named(&policy.package_programs) {
            Some(Purpose::PackageTransaction)
        } else {
            None
        }
    }

    /// Puts back what the disk refused, and takes back what must not happen without it.
    fn record_failed(&mut self, bodies: Vec<Body>, reason: String) {
        for body in bodies {
            match body {
                // An intent that is not durable was never carried out and never will be; with it
                // goes the decision to act. The next look decides, and records, anew.
                Body::Intent(intent) => {
                    let look_at = self.now.plus(self.policy.reconsider.0);
                    if let Some(case) = self.cases.get_mut(&intent.incident) {
                        case.intent_refused(self.now, look_at);
                    }
                }
                Body::Decision(decision)
                    if decision.verdict == hostmedic_model::decision::Verdict::Act => {}
                other => {
                    if self.unwritten.len() == UNWRITTEN_MAX {
                        self.unwritten.pop_front();
                        self.unwritten_dropped += 1;
                    }
                    self.unwritten.push_back(other);
                }
            }
        }
        self.ledger_failing = Some(reason);
    }

    fn forget_over(&mut self) {
        let mut over: Vec<_> = self
            .cases
            .values()
            .filter(|case| matches!(case.stage, Stage::Over))
            .map(|case| {
                (
                    case.incident.closed_at.unwrap_or_default(),
                    case.incident.id.clone(),
                )
            })
            .collect();
        over.sort();
        let excess = over.len().saturating_sub(OVER_MAX);
        for (_, id) in over.into_iter().take(excess) {
            self.cases.remove(&id);
        }
    }

    /// Incidents, newest first; those that are over only if `all`.
    pub fn incidents(&self, all: bool) -> Vec<Incident> {
        let mut incidents: Vec<_> = self
            .cases
            .values()
            .map(|case| &case.incident)
            .filter(|incident| all || !incident.status.is_over())
            .cloned()
            .collect();
        incidents.sort_by_key(|incident| {
            std::cmp::Reverse((incident.opened_at.wall_ms, incident.id.clone()))
        });
        incidents
    }

    /// One incident.
    pub fn incident(&self, id: &IncidentId) -> Option<&Incident> {
        self.cases.get(id).map(|case| &case.incident)
    }

    /// Proposals that wait for an operator.
    pub fn proposals(&self) -> Vec<Proposal> {
        self.cases
            .values()
            .filter_map(|case| match &case.stage {
                Stage::Proposed { proposal, .. } => Some(proposal.clone()),
                _ => None,
            })
            .collect()
    }

    /// Incidents that are held for now, and why.
    pub fn holds(&self) -> Vec<view::Hold> {
        let held = self
            .cases
            .values()
            .filter(|case| case.incident.status == IncidentStatus::Held);
        held.map(|case| view::Hold {
            incident: case.incident.id.clone(),
            subject: case.incident.subject.clone(),
            at: case.reason.0,
            reason: case.reason.1.clone(),
        })
        .collect()
    }

    /// Inhibits in force.
    pub fn inhibits(&self) -> &[Inhibit] {
        &self.inhibits
    }

    /// Why hostmedic is paused, if it is.
    pub fn paused(&self) -> Option<&str> {
        self.paused.as_deref()
    }

    /// The newest reading of the calendar.
    pub fn calendar(&self) -> Option<&CalendarReading> {
        self.calendar.as_ref()
    }

    /// Playbooks in force.
    pub fn playbooks(&self) -> &[Playbook] {
        &self.playbooks
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many baselines there are.
    pub fn baselines(&self) -> view::Baselines {
        self.detector.count()
    }

    /// What is normal for one series; `None` when nothing is known of it.
    pub fn baseline(&self, series: &Series) -> Option<view::BaselineView> {
        self.detector.view(series)
    }

    /// What is normal for every series.
    pub fn baseline_list(&self) -> view::BaselineList {
        self.detector.list()
    }

    /// The newest anomalies, oldest first; at most 512, and none from before the start.
    pub fn anomalies(&self) -> impl DoubleEndedIterator<Item = &Anomaly> {
        self.detector.anomalies()
    }

    /// All baselines as bytes, for [`State::load_baselines`] after a restart. At most 16 KiB a
    /// series and 1 MiB more.
    pub fn baselines_bytes(&self) -> Vec<u8> {
        self.detector.to_bytes()
    }

    /// Takes in baselines of an earlier run, and says of how many series.
    ///
    /// # Errors
    /// When the bytes are damaged, of another version or something else; then nothing has changed.
    pub fn load_baselines(&mut self, bytes: &[u8]) -> Result<usize, String> {
        self.detector.load(bytes)
    }

    /// Habits of the detectors of events as bytes, for [`State::load_habits`] after a restart. Some
    /// 2 MiB at most.
    pub fn habits_bytes(&self) -> Vec<u8> {
        self.notices.to_bytes()
    }

    /// Takes in habits of an earlier run, before time passes, and says how many.
    ///
    /// # Errors
    /// When the bytes are damaged, of another version or something else, or come late; then nothing
    /// has changed.
    pub fn load_habits(&mut self, bytes: &[u8]) -> Result<usize, String> {
        self.notices.load(bytes)
    }

    /// Whether records reach the disk: (why not, records waiting, records dropped).
    pub fn ledger_health(&self) -> (Option<&str>, u64, u64) {
        let waiting = u64::try_from(self.unwritten.len()).unwrap_or(u64::MAX);
        (
            self.ledger_failing.as_deref(),
            waiting,
            self.unwritten_dropped,
        )
    }
}
