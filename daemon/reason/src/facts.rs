//! What is known now about subjects: newest unit states and samples, recent signals, and
//! watched programs that run. Everything is bounded; the oldest goes first.

mod hearing;
mod standing;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use hostmedic_model::{
    calendar::Purpose,
    loss::{HookCounters, HookReport, QueueCounters},
    playbook::{Condition, Playbook},
    sample::{Measure, Sample, Series},
    signal::{Fact, Signal, SignalKind},
    subject::{Subject, UnitName},
    time::At,
    unit::{ActiveState, UnitSnapshot, UnitState},
};

pub(crate) use self::standing::{Standing, as_condition};
use self::{hearing::Hearing, standing::Standings};

/// Signals of one kind kept for one subject.
const SIGNALS_PER_KIND_MAX: usize = 32;
/// Subjects, units, series and programs kept.
const KEPT_MAX: usize = 8192;
/// Starts kept for one unit; more than any sane `StartLimitBurst`.
const STARTS_MAX: usize = 64;

/// A number older than this is no word on now, unless numbers of its series come more seldom: the
/// default of `sample_every` three times.
const STALE_AFTER: Duration = Duration::from_secs(90);
/// The longest `sample_every` that there can be.
const EVERY_MAX: Duration = Duration::from_secs(300);

/// A unit as last heard of.
#[derive(Clone, Debug)]
pub(crate) struct UnitFacts {
    pub(crate) state: UnitState,
    pub(crate) at: At,
    /// Known only after an inspection.
    pub(crate) restart_policy: Option<String>,
    /// When new invocations were seen, oldest first.
    pub(crate) starts: VecDeque<At>,
    /// When it was first heard of.
    pub(crate) since: At,
    /// When it was last seen not to be active, or to have been started anew.
    pub(crate) broken: Option<At>,
    /// When somebody other than systemd's own restarts last started, stopped or reloaded it.
    pub(crate) handled: Option<At>,
    /// systemd counted a restart of its own whose new invocation has not been seen.
    restarting: bool,
}

impl UnitFacts {
    /// Whether the unit is as a condition on its state says.
    pub(crate) fn fits(&self, condition: &Condition) -> bool {
        let Condition::UnitState {
            active,
            result,
            result_not,
            restart_policy,
        } = condition
        else {
            return false;
        };
        let policy_fits = self
            .restart_policy
            .as_ref()
            // Before the first inspection the policy is unknown; the fresh look decides.
            .is_none_or(|policy| restart_policy.is_empty() || restart_policy.contains(policy));
        (active.is_empty() || active.contains(&self.state.active))
            && (result.is_empty() || result.contains(&self.state.result))
            && !result_not.contains(&self.state.result)
            && policy_fits
            // Where systemd itself is about to restart the unit, nobody else should.
            && self.state.sub != "auto-restart"
    }
}

/// The newest number of a series.
#[derive(Clone, Debug)]
struct Number {
    sample: Sample,
    /// How often such numbers come; zero until there were two.
    every: Duration,
}

impl Number {
    /// The number after this one.
    fn next(&self, sample: &Sample) -> Self {
        let gap = sample.at.since(self.sample.at).min(EVERY_MAX);
        // A pause must not make the series look slow at once, or what is old would pass for new.
        let every = if self.every.is_zero() {
            gap
        } else {
            gap.min(self.every * 2)
        };
        Self {
            sample: sample.clone(),
            every,
        }
    }

    fn is_fresh(&self, now: At) -> bool {
        now.since(self.sample.at) <= STALE_AFTER.max(self.every * 3)
    }
}

/// A watched program that was seen to begin.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) at: At,
    pub(crate) comm: String,
    pub(crate) purpose: Purpose,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    units: BTreeMap<UnitName, UnitFacts>,
    signals: BTreeMap<Subject, VecDeque<Signal>>,
    samples: BTreeMap<Series, Number>,
    standings: Standings,
    hearing: Hearing,
    /// By pid and start: safe from reuse of the pid.
    programs: BTreeMap<(u32, u64), Program>,
}

impl Facts {
    /// Follows what these playbooks ask a `for` of.
    pub(crate) fn follow(&mut self, playbooks: &[Playbook]) {
        self.standings.follow(playbooks);
    }

    /// Listens from this moment on.
    pub(crate) fn begin(&mut self, at: At) {
        self.hearing.begin(at);
    }

    /// Says of everything that is known that it was known since `at`, for a host in a test case,
    /// which nobody wants to watch for a day first.
    pub(crate) fn backdate(&mut self, at: At) {
        self.hearing.begin(at);
        for unit in self.units.values_mut() {
            unit.since = at;
        }
    }

    /// Takes in which hooks work here.
    pub(crate) fn learn_hooks(&mut self, reports: &[HookReport]) {
        self.hearing.learn_hooks(reports);
    }

    /// Takes in what hooks and queues have counted.
    pub(crate) fn count(&mut self, hooks: &[HookCounters], queues: &QueueCounters, now: At) {
        self.hearing.count(hooks, queues, now);
    }

    /// A hook does less than everything.
    pub(crate) fn reduced(&mut self, hook: &str, now: At) {
        self.hearing.reduced(hook, now);
    }

    /// Takes in a unit's state; `true` when it says something new.
    pub(crate) fn learn_state(&mut self, unit: &UnitName, state: &UnitState, at: At) -> bool {
        let (news, anew) = self.note_state(unit, state, at);
        if let Some(facts) = self.units.get(unit) {
            self.standings.unit(unit, facts, anew);
        }
        news
    }

    /// Notes a unit's state; whether it says something new, and whether the unit was started.
    fn note_state(&mut self, unit: &UnitName, state: &UnitState, at: At) -> (bool, bool) {
        let is_active = state.active == ActiveState::Active;
        let Some(known) = self.units.get_mut(unit) else {
            if self.units.len() >= KEPT_MAX {
                forget_oldest(&mut self.units, |facts| facts.at);
            }
            self.units.insert(
                unit.clone(),
                UnitFacts {
                    state: state.clone(),
                    at,
                    restart_policy: None,
                    starts: VecDeque::new(),
                    since: at,
                    broken: (!is_active).then_some(at),
                    handled: None,
                    restarting: false,
                },
            );
            return (true, false);
        };
        // Two witnesses: quick restarts can fall between two readings of the invocation, and
        // systemd's own counter knows only its own restarts and forgets them at times.
        let anew =
            state.invocation_id.is_some() && state.invocation_id != known.state.invocation_id;
        let by_systemd = state.n_restarts.saturating_sub(known.state.n_restarts);
        let starts = usize::try_from(by_systemd)
            .unwrap_or(STARTS_MAX)
            .max(usize::from(anew))
            .min(STARTS_MAX);
        for _ in 0..starts {
            if known.starts.len() == STARTS_MAX {
                known.starts.pop_front();
            }
            known.starts.push_back(at);
        }
        if !is_active || starts > 0 {
            known.broken = Some(at);
        }
        let news = known.state != *state;
        let by_itself = by_systemd > 0 || known.restarting;
        if anew && !by_itself || news && is_handled(&known.state, state) {
            known.handled = Some(at);
        }
        known.restarting = by_itself && !anew;
        known.state = state.clone();
        known.at = at;
        (news, starts > 0)
    }

    /// Takes in a fresh inspection of a unit.
    pub(crate) fn learn_snapshot(&mut self, snapshot: &UnitSnapshot) {
        let (_, anew) = self.note_state(&snapshot.unit, &snapshot.state, snapshot.at);
        if let Some(facts) = self.units.get_mut(&snapshot.unit) {
            facts.restart_policy = Some(snapshot.restart_policy.clone());
            self.standings.unit(&snapshot.unit, facts, anew);
        }
    }

    pub(crate) fn learn_signal(&mut self, signal: &Signal) {
        if !self.signals.contains_key(&signal.subject) && self.signals.len() >= KEPT_MAX {
            let newest = |signals: &VecDeque<Signal>| {
                signals.back().map_or(At::default(), |signal| signal.at)
            };
            if let Some(signals) = forget_oldest(&mut self.signals, newest) {
                self.hearing.forgot(newest(&signals));
            }
        }
        let signals = self.signals.entry(signal.subject.clone()).or_default();
        // A kind that comes often must not push out the one that matters.
        let kind = signal.fact.kind();
        let of_kind = |known: &Signal| known.fact.kind() == kind;
        if signals.iter().filter(|known| of_kind(known)).count() >= SIGNALS_PER_KIND_MAX
            && let Some(oldest) = signals.iter().position(of_kind)
        {
            signals.remove(oldest);
        }
        signals.push_back(signal.clone());
    }

    pub(crate) fn learn_sample(&mut self, sample: &Sample) {
        let known = self.samples.get(&sample.series);
        if known.is_none() && self.samples.len() >= KEPT_MAX {
            forget_oldest(&mut self.samples, |number| number.sample.at);
        }
        let known = self.samples.get(&sample.series);
        let unbroken = known.is_some_and(|known| known.is_fresh(sample.at));
        let next = known.map_or_else(
            || Number {
                sample: sample.clone(),
                every: Duration::ZERO,
            },
            |known| known.next(sample),
        );
        self.samples.insert(sample.series.clone(), next);
        self.standings.number(sample, unbroken);
    }

    pub(crate) fn learn_program(
        &mut self,
        fact: &Fact,
        at: At,
        purpose_of: impl Fn(&str) -> Option<Purpose>,
    ) {
        match fact {
            Fact::ProcessExec(exec) => {
                let key = (exec.pid, exec.started_boot_ns);
                let Some(purpose) = purpose_of(&exec.comm) else {
                    // The process became another program.
                    self.programs.remove(&key);
                    return;
                };
                if self.programs.len() >= KEPT_MAX {
                    forget_oldest(&mut self.programs, |program| program.at);
                }
                self.programs.insert(
                    key,
                    Program {
                        at,
                        comm: exec.comm.clone(),
                        purpose,
                    },
                );
            }
            Fact::ProcessExit(exit) => {
                self.programs.remove(&(exit.pid, exit.started_boot_ns));
            }
            _ => {}
        }
    }

    /// Forgets programs that a reading of the process table, begun well after they were seen,
    /// no longer shows: their exit was lost. Compared by name, because the daemon may see
    /// process ids of another namespace than the kernel's hooks do.
    pub(crate) fn reconcile_programs(&mut self, read_at: At, running: &[String]) {
        const SETTLED: Duration = Duration::from_secs(2);
        self.programs.retain(|_, program| {
            read_at.since(program.at) < SETTLED || running.contains(&program.comm)
        });
    }

    pub(crate) fn programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.values()
    }

    pub(crate) fn unit(&self, unit: &UnitName) -> Option<&UnitFacts> {
        self.units.get(unit)
    }

    pub(crate) fn is_active(&self, unit: &UnitName) -> bool {
        self.units
            .get(unit)
            .is_some_and(|facts| facts.state.active == ActiveState::Active)
    }

    pub(crate) fn forget_unit(&mut self, unit: &UnitName) {
        self.units.remove(unit);
        self.standings.forget(&Subject::Unit(unit.clone()));
    }

    /// The newest number of a series, however old.
    pub(crate) fn sample(&self, series: &Series) -> Option<&Sample> {
        self.samples.get(series).map(|number| &number.sample)
    }

    /// The newest number of a series, if it is a word on now.
    ///
    /// # Errors
    /// Says that there is none, or how old it is.
    pub(crate) fn fresh(&self, series: &Series, now: At) -> Result<&Sample, String> {
        let number = self
            .samples
            .get(series)
            .ok_or_else(|| format!("there is no {series}"))?;
        if number.is_fresh(now) {
            Ok(&number.sample)
        } else {
            let age = now.since(number.sample.at).as_secs();
            Err(format!("the newest {series} is {age} s old"))
        }
    }

    /// Since when a followed condition holds or does not.
    pub(crate) fn standing(&self, condition: &Condition, subject: &Subject) -> Option<Standing> {
        self.standings.of(condition, subject)
    }

    /// Whether anything that a playbook asks a `for` of is so of a subject.
    pub(crate) fn is_lasting(&self, subject: &Subject) -> bool {
        self.standings.any_holds(subject)
    }

    /// The moment from which on every signal of a kind was heard.
    ///
    /// # Errors
    /// Says why there is none.
    pub(crate) fn complete_since(&self, kind: SignalKind) -> Result<At, String> {
        self.hearing.complete_since(kind)
    }

    /// Since when every start, stop and reload of a unit was heard; `None` where it is not known.
    pub(crate) fn unit_since(&self, unit: &UnitName) -> Option<At> {
        let began = self.hearing.began()?;
        Some(self.units.get(unit)?.since.max(began))
    }

    /// The newest numbers of a subject, by measure.
    pub(crate) fn samples_of<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |(series, _)| series.subject == *subject)
            .map(|(_, number)| &number.sample)
    }

    /// The largest of a measure's newest numbers.
    pub(crate) fn largest(&self, measure: Measure) -> Option<&Sample> {
        let of_measure = self.samples.values().map(|number| &number.sample);
        of_measure
            .filter(|sample| sample.series.measure == measure)
            .max_by(|a, b| a.value.total_cmp(&b.value))
    }

    /// Signals about a subject within `span` before `now`, oldest first.
    pub(crate) fn signals_of<'a>(
        &'a self,
        subject: &Subject,
        span: Duration,
        now: At,
    ) -> impl Iterator<Item = &'a Signal> {
        let signals = self.signals.get(subject).into_iter().flatten();
        signals.filter(move |signal| now.since(signal.at) <= span)
    }

    /// The moment from which on all signals of a kind about a subject are remembered; `None` where
    /// none had to be forgotten for want of room.
    pub(crate) fn remembered_from(&self, subject: &Subject, kind: SignalKind) -> Option<At> {
        let signals = self.signals.get(subject)?;
        let mut of_kind = signals.iter().filter(|signal| signal.fact.kind() == kind);
        let oldest = of_kind.next()?.at;
        (of_kind.count() + 1 >= SIGNALS_PER_KIND_MAX).then_some(oldest)
    }

    /// The newest signal of a kind about a subject.
    pub(crate) fn newest_signal(&self, subject: &Subject, kind: SignalKind) -> Option<At> {
        let mut newest = self.signals.get(subject)?.iter().rev();
        newest
            .find(|signal| signal.fact.kind() == kind)
            .map(|signal| signal.at)
    }

    /// Signals of a kind about a subject that are newer than `after`.
    pub(crate) fn signals_since(&self, subject: &Subject, kind: SignalKind, after: At) -> usize {
        self.signals.get(subject).map_or(0, |signals| {
            signals
                .iter()
                .filter(|signal| signal.fact.kind() == kind && signal.at.boot_ns > after.boot_ns)
                .count()
        })
    }

    /// Signals of a kind about a subject within `span` before `now`.
    pub(crate) fn signals_within(
        &self,
        subject: &Subject,
        kind: SignalKind,
        span: Duration,
        now: At,
    ) -> usize {
        self.signals.get(subject).map_or(0, |signals| {
            signals
                .iter()
                .filter(|signal| signal.fact.kind() == kind && now.since(signal.at) <= span)
                .count()
        })
    }

    /// Starts of a unit within `span` before `now`.
    pub(crate) fn starts_within(&self, unit: &UnitName, span: Duration, now: At) -> usize {
        self.units.get(unit).map_or(0, |facts| {
            facts
                .starts
                .iter()
                .filter(|at| now.since(**at) <= span)
                .count()
        })
    }
}

/// Whether a change of state is somebody's doing: a reload, or an orderly stop.
fn is_handled(before: &UnitState, now: &UnitState) -> bool {
    let is_stop = matches!(
        now.active,
        ActiveState::Deactivating | ActiveState::Inactive | ActiveState::Maintenance
    ) && now.result == "success";
    let was_up = !before.active.is_down();
    is_stop && was_up || matches!(now.active, ActiveState::Reloading | ActiveState::Refreshing)
}

/// Removes the oldest and gives it.
fn forget_oldest<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, at: impl Fn(&V) -> At) -> Option<V> {
    let oldest = map
        .iter()
        .min_by_key(|(_, value)| at(value))
        .map(|(key, _)| key.clone())?;
    map.remove(&oldest)
}
