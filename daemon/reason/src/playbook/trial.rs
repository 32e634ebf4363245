//! Runs a playbook's own cases through the real state machine: a host that answers every question
//! at once and truly, events in, one decision out.

mod facts;

use std::collections::BTreeMap;

use hostmedic_model::{
    calendar::{Activity, Calendar, CalendarReading},
    decision::{Decision, Stance},
    matched::Matched,
    playbook::{Condition, Phase, Playbook},
    record::{Body, Record},
    sample::{Measure, Sample, Series},
    signal::{Fact, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState},
    vector::Vector,
    wake::{Effect, Inspection, Wake},
};
use serde::Serialize;

use super::{
    case::{Case, Event, Given, UnitLine},
    placed::{Placed, Value},
    quantity::Unit,
    registry::{find, measures, signal, signals},
};
use crate::{
    matching::catalogue::Catalogue,
    pipeline::State,
    policy::Policy,
    replay::{snapshot, unit_state},
};

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Trial {
    /// It decided as the case says.
    Passed {
        /// What was decided.
        decided: String,
    },
    /// It did not.
    Failed {
        /// What was expected and what was decided.
        why: String,
    },
    /// It cannot be tried, for this version cannot see or do all that the playbook says.
    Pending {
        /// What is missing.
        missing: Vec<String>,
    },
}

/// A text matcher beside the triggers.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The library's texts.
    pub catalogue: &'a Catalogue,
    /// What gives an incident's text its meaning.
    pub embed: &'a dyn Fn(&str) -> Vector,
}

/// The moment at which every case begins.
const START: At = At {
    boot_ns: 1_000_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};
/// Since then the host of a case has been watched: longer than any condition looks back.
const LONG_AGO: At = At {
    boot_ns: 1_000_000_000,
    wall_ms: START.wall_ms,
};
/// Numbers come so often.
const MEASURE_EVERY: Span = Span::secs(10);
/// After the last event the host waits so long for a decision.
const PATIENCE_S: u64 = 15;
/// More events of one kind than this show nothing new.
const TIMES_MAX: u32 = 32;

/// Runs one case of `playbook` beside all of `library`, which holds it, too.
pub fn run(case: &Case, playbook: &Playbook, library: &[Playbook]) -> Trial {
    run_with(case, playbook, library, None).0
}

/// Like [`run`], with the text matcher's word if there is a `reader`; with the newest ranking that
/// the case recorded.
pub fn run_with(
    case: &Case,
    playbook: &Playbook,
    library: &[Playbook],
    reader: Option<Reader<'_>>,
) -> (Trial, Option<Matched>) {
    if !playbook.missing.is_empty() {
        let missing = playbook.missing.clone();
        return (Trial::Pending { missing }, None);
    }
    let subject = match case.given.about.subject() {
        Ok(subject) => subject,
        Err(why) => return (Trial::Failed { why }, None),
    };
    let desk = Desk::new(&case.given, subject, library, reader);
    let desk = desk.play(&case.given, longest_for(playbook));
    let trial = match judge(case, &playbook.name, desk.decision.as_ref()) {
        Ok(decided) => Trial::Passed { decided },
        Err(why) => Trial::Failed { why },
    };
    (trial, desk.matched)
}

/// Compares a decision with what the case expects.
fn judge(case: &Case, name: &str, decision: Option<&Decision>) -> Result<String, String> {
    let expect = &case.expect;
    let Some(wanted) = expect.decision.as_ref().map(|wanted| wanted.value) else {
        return decision.map_or_else(
            || Ok("nothing was decided".to_owned()),
            |decision| {
                Err(format!(
                    "expected that nothing is decided, but: {}",
                    said(decision)
                ))
            },
        );
    };
    let Some(decision) = decision else {
        return Err(format!("expected {wanted:?}, but nothing was decided").to_lowercase());
    };
    let wrong = |what: String| Err(format!("{what}, but: {}", said(decision)));
    if decision.verdict != wanted {
        return wrong(format!("expected {}", word(wanted)));
    }
    let named = decision
        .playbook
        .as_ref()
        .map(|playbook| playbook.name.as_str());
    if expect.matches.value != (named == Some(name)) {
        let should = if expect.matches.value {
            "match"
        } else {
            "not match"
        };
        return wrong(format!("expected {name} to {should}"));
    }
    if let Some(other) = &expect.playbook
        && named != Some(other.as_str())
    {
        return wrong(format!("expected playbook {}", other.value));
    }
    if let Some(reason) = &expect.reason
        && !decision.reason.contains(reason.as_str())
    {
        return wrong(format!("expected the reason to say `{}`", reason.value));
    }
    if let Some(guard) = &expect.guard {
        let objects = decision
            .guards
            .iter()
            .any(|verdict| verdict.guard == guard.value && verdict.stance != Stance::Pass);
        if !objects || !decision.reason.starts_with(guard.as_str()) {
            return wrong(format!("expected guard {} to decide", guard.value));
        }
    }
    Ok(said(decision))
}

fn said(decision: &Decision) -> String {
    let named = decision.playbook.as_ref();
    let playbook = named.map_or_else(String::new, |playbook| format!(" {}", playbook.name));
    format!("{}{playbook}: {}", word(decision.verdict), decision.reason)
}

fn word(verdict: hostmedic_model::decision::Verdict) -> String {
    format!("{verdict:?}").to_lowercase()
}

/// A host with one subject.
struct Desk<'a> {
    state: State,
    reader: Option<Reader<'a>>,
    subject: Subject,
    restart_policy: String,
    dependents: Vec<UnitName>,
    newest: UnitState,
    running: Vec<Activity>,
    unreadable: Option<String>,
    /// The newest number of each series, and when all were last measured.
    numbers: BTreeMap<Series, Sample>,
    measured_at: At,
    decision: Option<Decision>,
    matched: Option<Matched>,
}

impl<'a> Desk<'a> {
    fn new(
        given: &Given,
        subject: Subject,
        library: &[Playbook],
        reader: Option<Reader<'a>>,
    ) -> Self {
        let policy = Policy {
            phase: given
                .phase
                .as_ref()
                .map_or(Phase::Autonomous, |phase| phase.value),
            ..Policy::default()
        };
        let boot = BootId("boot".to_owned());
        let mut state = State::new("host".to_owned(), boot, policy, library.to_vec());
        state.recall(std::iter::empty::<Record>(), START);
        if let Some(reader) = reader {
            state.adopt_catalogue(reader.catalogue.clone());
        }
        let units = |list: &[Placed<String>]| -> Vec<UnitName> {
            list.iter()
                .filter_map(|name| UnitName::new(name.value.as_str()).ok())
                .collect()
        };
        Self {
            state,
            reader,
            subject,
            restart_policy: given
                .restart_policy
                .as_ref()
                .map_or_else(|| "no".to_owned(), |policy| policy.value.clone()),
            dependents: units(&given.dependents),
            newest: given.already.as_ref().map_or_else(
                || unit_state(ActiveState::Active, "running", "success", 0),
                |line| from_line(line, 0),
            ),
            running: given
                .running
                .iter()
                .map(|activity| Activity {
                    name: activity.name.clone(),
                    began_by: activity.began_by.clone(),
                    purpose: activity.purpose,
                    pid: None,
                    related: units(&activity.related),
                })
                .collect(),
            unreadable: given.calendar_unreadable.clone(),
            numbers: BTreeMap::new(),
            measured_at: START,
            decision: None,
            matched: None,
        }
    }

    /// Plays the events, and lets the host go on as it is until something is decided; a playbook
    /// that asks for a `for` of at most `lasting` must have the time to come to hold.
    fn play(mut self, given: &Given, lasting: Span) -> Self {
        if self.subject.unit().is_some() {
            self.tell(START, Fact::UnitState(self.newest.clone()));
        }
        // The host has been watched for long, and nothing happened.
        self.state.facts.backdate(LONG_AGO);
        self.measure(START, host_samples(given));
        let mut now = START;
        for event in &given.events.value {
            let at = START.plus(event.at.0.0);
            self.measure_until(now, at);
            now = at;
            self.happen(now, &event.value);
        }
        let lasting = lasting.0.as_secs();
        let end = now;
        for second in 1..=PATIENCE_S.saturating_add(lasting) {
            // What has to last may fit later than the word that nothing fits.
            let is_last = |decision: &Decision| lasting == 0 || decision.playbook.is_some();
            if second > lasting && self.decision.as_ref().is_some_and(is_last) {
                break;
            }
            let at = end.plus(Span::secs(second).0);
            self.measure_until(now, at);
            now = at;
            self.apply(at, Wake::Tick);
        }
        self
    }

    /// Numbers go on as they are between two moments.
    fn measure_until(&mut self, from: At, to: At) {
        let mut at = self.measured_at.max(from);
        while to.since(at) > MEASURE_EVERY.0 {
            at = at.plus(MEASURE_EVERY.0);
            let again: Vec<_> = self.numbers.values().cloned().collect();
            let again = again.into_iter().map(|sample| Sample { at, ..sample });
            self.measure(at, again.collect());
        }
    }

    fn measure(&mut self, at: At, samples: Vec<Sample>) {
        for sample in &samples {
            self.numbers.insert(sample.series.clone(), sample.clone());
        }
        self.measured_at = at;
        self.apply(at, Wake::Samples(samples));
    }

    fn happen(&mut self, now: At, event: &Event) {
        if let Some(name) = &event.signal {
            let kind = find(signals::ALL, name).and_then(signal::Signal::kind);
            let times = event.times.as_ref().map_or(1, |times| times.value);
            if let Some(fact) = kind.and_then(|kind| facts::example(kind, &event.fields)) {
                for _ in 0..times.min(TIMES_MAX) {
                    self.tell(now, fact.clone());
                }
            }
        }
        if let Some(line) = &event.state {
            self.newest = from_line(line, event.restarts);
            self.tell(now, Fact::UnitState(self.newest.clone()));
        }
        if let Some((entry, value)) =
            event
                .measure
                .as_ref()
                .zip(event.value.as_ref())
                .and_then(|(name, value)| {
                    let entry = find(measures::ALL, name)?;
                    Some((entry, number(&value.value, entry.unit)?))
                })
            && let Some(measure) = entry.model()
        {
            let series = Series {
                subject: self.subject.clone(),
                measure,
            };
            let sample = Sample {
                at: now,
                series,
                value,
            };
            self.numbers.insert(sample.series.clone(), sample.clone());
            self.apply(now, Wake::Samples(vec![sample]));
        }
    }

    fn tell(&mut self, at: At, fact: Fact) {
        let subject = self.subject.clone();
        self.apply(at, Wake::Signal(Signal { at, subject, fact }));
    }

    fn apply(&mut self, at: At, wake: Wake) {
        for effect in self.state.apply(at, wake) {
            match effect {
                Effect::Record(Body::Decision(decision)) => self.decision = Some(decision),
                Effect::Record(Body::Matched(matched)) => self.matched = Some(matched),
                Effect::Embed { incident, text } => {
                    if let Some(reader) = self.reader {
                        let vector = Ok((reader.embed)(&text));
                        let answer = Wake::Embedded {
                            incident,
                            text,
                            vector,
                        };
                        self.apply(at, answer);
                    }
                }
                Effect::Inspect { incident, unit, .. } => {
                    let inspection = self.inspection(at, unit);
                    self.apply(
                        at,
                        Wake::Inspected {
                            incident,
                            inspection,
                        },
                    );
                }
                _ => {}
            }
        }
    }

    fn inspection(&self, at: At, unit: UnitName) -> Inspection {
        let own = self.subject.unit() == Some(&unit);
        let state = if own {
            self.newest.clone()
        } else {
            unit_state(ActiveState::Inactive, "dead", "success", 0)
        };
        let known = snapshot(at, unit, state);
        let calendar = match &self.unreadable {
            Some(reason) => CalendarReading::Unreadable {
                at,
                reason: reason.clone(),
            },
            None => CalendarReading::Readable(Calendar {
                at,
                running: self.running.clone(),
                ..Calendar::default()
            }),
        };
        Inspection {
            unit: Ok(UnitSnapshot {
                memory_current_bytes: Some(1 << 30),
                resources: Resources {
                    tasks_current: Some(100),
                    swap_current_bytes: Some(1 << 26),
                    ..known.resources.clone()
                },
                restart_policy: self.restart_policy.clone(),
                stop_closure: if own {
                    self.dependents.clone()
                } else {
                    Vec::new()
                },
                ..known
            }),
            calendar,
            also_down: Vec::new(),
        }
    }
}

/// The longest `for` that a trigger asks.
fn longest_for(playbook: &Playbook) -> Span {
    let conditions = playbook.trigger.iter().chain(&playbook.none);
    let spans = conditions
        .flat_map(Condition::flat)
        .filter_map(|condition| match condition {
            Condition::Held { span, .. } => Some(*span),
            _ => None,
        });
    spans.max().unwrap_or(Span::secs(0))
}

/// Numbers of a host that has room for everything, but for what the case says.
fn host_samples(given: &Given) -> Vec<Sample> {
    let calm = [
        (Measure::CpuBusyRatio, 0.1),
        (Measure::MemoryUsedRatio, 0.4),
        (Measure::LoadPerCpu, 0.1),
    ];
    let own = given.host.0.iter().filter_map(|(name, value)| {
        let entry = find(measures::ALL, name)?;
        Some((entry.model()?, number(&value.value, entry.unit)?))
    });
    let sample = |(measure, value)| Sample {
        at: START,
        series: Series {
            subject: Subject::Host,
            measure,
        },
        value,
    };
    calm.into_iter().chain(own).map(sample).collect()
}

fn from_line(line: &UnitLine, restarts: u32) -> UnitState {
    unit_state(line.active, &line.sub, &line.result, restarts)
}

fn number(value: &Value, unit: Unit) -> Option<f64> {
    match value {
        Value::Text(text) => unit.parse(text).ok(),
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Bool(_) | Value::List(_) => None,
    }
}
