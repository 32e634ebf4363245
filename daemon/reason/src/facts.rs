//! What is known now about subjects: newest unit states and samples, recent signals, and
//! watched programs that run. Everything is bounded; the oldest goes first.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use hostmedic_model::{
    calendar::Purpose,
    sample::{Measure, Sample, Series},
    signal::{Fact, Signal, SignalKind},
    subject::{Subject, UnitName},
    time::At,
    unit::{ActiveState, UnitSnapshot, UnitState},
};

/// Signals of one kind kept for one subject.
const SIGNALS_PER_KIND_MAX: usize = 32;
/// Subjects, units, series and programs kept.
const KEPT_MAX: usize = 8192;
/// Starts kept for one unit; more than any sane `StartLimitBurst`.
const STARTS_MAX: usize = 64;

/// A unit as last heard of.
#[derive(Clone, Debug)]
pub(crate) struct UnitFacts {
    pub(crate) state: UnitState,
    pub(crate) at: At,
    /// Known only after an inspection.
    pub(crate) restart_policy: Option<String>,
    /// When new invocations were seen, oldest first.
    pub(crate) starts: VecDeque<At>,
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
    samples: BTreeMap<Series, Sample>,
    /// By pid and start: safe from reuse of the pid.
    programs: BTreeMap<(u32, u64), Program>,
}

impl Facts {
    /// Takes in a unit's state; `true` when it says something new.
    pub(crate) fn learn_state(&mut self, unit: &UnitName, state: &UnitState, at: At) -> bool {
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
                },
            );
            return true;
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
        let news = known.state != *state;
        known.state = state.clone();
        known.at = at;
        news
    }

    /// Takes in a fresh inspection of a unit.
    pub(crate) fn learn_snapshot(&mut self, snapshot: &UnitSnapshot) {
        self.learn_state(&snapshot.unit, &snapshot.state, snapshot.at);
        if let Some(facts) = self.units.get_mut(&snapshot.unit) {
            facts.restart_policy = Some(snapshot.restart_policy.clone());
        }
    }

    pub(crate) fn learn_signal(&mut self, signal: &Signal) {
        if !self.signals.contains_key(&signal.subject) && self.signals.len() >= KEPT_MAX {
            forget_oldest(&mut self.signals, |signals| {
                signals.back().map_or(At::default(), |signal| signal.at)
            });
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
        if !self.samples.contains_key(&sample.series) && self.samples.len() >= KEPT_MAX {
            forget_oldest(&mut self.samples, |sample| sample.at);
        }
        self.samples.insert(sample.series.clone(), sample.clone());
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
    }

    pub(crate) fn sample(&self, series: &Series) -> Option<&Sample> {
        self.samples.get(series)
    }

    /// The newest numbers of a subject, by measure.
    pub(crate) fn samples_of<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |(series, _)| series.subject == *subject)
            .map(|(_, sample)| sample)
    }

    /// The largest of a measure's newest numbers.
    pub(crate) fn largest(&self, measure: Measure) -> Option<&Sample> {
        let of_measure = self.samples.values();
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

fn forget_oldest<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, at: impl Fn(&V) -> At) {
    let oldest = map
        .iter()
        .min_by_key(|(_, value)| at(value))
        .map(|(key, _)| key.clone());
    if let Some(oldest) = oldest {
        map.remove(&oldest);
    }
}
