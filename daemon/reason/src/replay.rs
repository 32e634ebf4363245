//! Runs what was heard and measured through the real state machine once more: the same events always
//! give the same incidents and decisions.
//!
//! The host of a replay answers every question at once, with what the events have told so far. It
//! only observes: whatever the policy says, nothing can be acted on a second time.

use std::{collections::BTreeMap, time::Duration};

use hostmedic_model::{
    calendar::{Calendar, CalendarReading},
    playbook::{Phase, Playbook},
    property::{Property, Setting},
    record::{Body, Record},
    sample::Sample,
    signal::{Fact, Signal},
    subject::UnitName,
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals},
    wake::{Effect, Inspection, Wake},
};

use crate::{pipeline::State, policy::Policy};

/// Time passes second by second for so long after each event ...
const CLOSE_LOOK_S: u64 = 120;
/// ... and then in steps of this length while an incident is open.
const FAR_STEP: Duration = Duration::from_secs(60);
/// Steps between two events, at most: a gap of a year is a gap.
const STEPS_MAX: usize = 4096;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// A signal.
    Signal(Signal),
    /// Numbers of one moment.
    Samples(Vec<Sample>),
}

impl Happening {
    /// When; `None` for no samples at all.
    pub fn at(&self) -> Option<At> {
        match self {
            Self::Signal(signal) => Some(signal.at),
            Self::Samples(samples) => samples.iter().map(|sample| sample.at).max(),
        }
    }
}

/// What a replay says, at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// When it would have been said.
    pub at: At,
    /// The record that would have gone into the chain.
    pub body: Body,
}

/// A replay under way.
#[derive(Clone, Debug)]
pub struct Replay {
    state: State,
    units: BTreeMap<UnitName, UnitState>,
    now: Option<At>,
    said: Vec<Said>,
}

impl Replay {
    /// A host that has seen nothing, with these playbooks.
    pub fn new(policy: Policy, playbooks: Vec<Playbook>) -> Self {
        let policy = Policy {
            phase: Phase::Observe,
            ..policy
        };
        let boot = BootId("replay".to_owned());
        Self {
            state: State::new("replay".to_owned(), boot, policy, playbooks),
            units: BTreeMap::new(),
            now: None,
            said: Vec::new(),
        }
    }

    /// Takes one happening in and gives what is said until and at its moment. What is older than the
    /// newest one is taken as if it came now.
    pub fn take(&mut self, happening: Happening) -> Vec<Said> {
        let Some(at) = happening.at() else {
            return Vec::new();
        };
        let at = match self.now {
            None => {
                self.state.recall(std::iter::empty::<Record>(), at);
                at
            }
            Some(now) => {
                self.pass_time(now, at);
                now.max(at)
            }
        };
        self.now = Some(at);
        let wake = match happening {
            Happening::Signal(signal) => {
                if let (Some(unit), Fact::UnitState(state)) = (signal.subject.unit(), &signal.fact)
                {
                    self.units.insert(unit.clone(), state.clone());
                }
                Wake::Signal(signal)
            }
            Happening::Samples(samples) => Wake::Samples(samples),
        };
        self.apply(at, wake);
        std::mem::take(&mut self.said)
    }

    /// Lets `span` pass after the last happening: time to decide, and to close what has gone quiet.
    pub fn finish(&mut self, span: Duration) -> Vec<Said> {
        if let Some(now) = self.now {
            let end = now.plus(span);
            self.pass_time(now, end);
            self.now = Some(end);
        }
        std::mem::take(&mut self.said)
    }

    fn pass_time(&mut self, from: At, to: At) {
        let mut at = from;
        for step in 0..STEPS_MAX {
            // Without an open incident nothing waits for time to pass.
            if step as u64 >= CLOSE_LOOK_S && self.state.incidents(false).is_empty() {
                return;
            }
            let length = if (step as u64) < CLOSE_LOOK_S {
                Duration::from_secs(1)
            } else {
                FAR_STEP
            };
            at = at.plus(length);
            if at >= to {
                return;
            }
            self.apply(at, Wake::Tick);
        }
    }

    fn apply(&mut self, at: At, wake: Wake) {
        for effect in self.state.apply(at, wake) {
            match effect {
                Effect::Record(body) => self.said.push(Said { at, body }),
                Effect::Inspect { incident, unit, .. } => {
                    let inspection = self.inspection(at, unit);
                    let wake = Wake::Inspected {
                        incident,
                        inspection,
                    };
                    self.apply(at, wake);
                }
                // An observer acts on nothing, captures nothing and is asked nothing.
                _ => {}
            }
        }
    }

    fn inspection(&self, at: At, unit: UnitName) -> Inspection {
        let unit = match self.units.get(&unit) {
            Some(state) => Ok(snapshot(at, unit, state.clone())),
            None => Err(format!("the events do not tell the state of {unit}")),
        };
        Inspection {
            unit,
            calendar: CalendarReading::Readable(Calendar {
                at,
                ..Calendar::default()
            }),
            also_down: Vec::new(),
        }
    }
}

/// A unit of which no more than its state is known: with systemd's defaults, and nothing in the way.
pub(crate) fn snapshot(at: At, unit: UnitName, state: UnitState) -> UnitSnapshot {
    UnitSnapshot {
        at,
        unit,
        load_state: "loaded".to_owned(),
        state,
        slice: UnitName::new("system.slice").ok(),
        restart_policy: "no".to_owned(),
        start_limit_burst: 5,
        start_limit_interval: Span::secs(10),
        pending_job: None,
        refuse_manual_start: false,
        refuse_manual_stop: false,
        stop_closure: Vec::new(),
        control_group: String::new(),
        memory_current_bytes: None,
        main_pid: 0,
        exec_main_code: 0,
        exec_main_status: 0,
        vitals: Vitals::default(),
        resources: Resources {
            set: BTreeMap::from([
                (Property::MemoryHigh, Setting::NONE),
                (Property::MemoryLow, Setting(0)),
                (Property::MemorySwapMax, Setting::NONE),
                (Property::CpuWeight, Setting::NONE),
                (Property::CpuQuota, Setting::NONE),
                (Property::TasksMax, Setting(4915)),
                (Property::IoWeight, Setting::NONE),
            ]),
            ..Resources::default()
        },
    }
}

/// A unit's state without anything out of the ordinary.
pub(crate) fn unit_state(
    active: ActiveState,
    sub: &str,
    result: &str,
    n_restarts: u32,
) -> UnitState {
    UnitState {
        active,
        sub: sub.to_owned(),
        result: result.to_owned(),
        invocation_id: Some("01".to_owned()),
        n_restarts,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::{
        sample::{Measure, Series},
        subject::Subject,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::playbook;

    const START: At = At {
        boot_ns: 1_000_000_000_000,
        wall_ms: 1_790_000_000_000,
    };

    fn at(seconds: u64) -> At {
        START.plus(Duration::from_secs(seconds))
    }

    fn state(seconds: u64, unit: &str, active: ActiveState, result: &str) -> Happening {
        let sub = if active == ActiveState::Failed {
            "failed"
        } else {
            "running"
        };
        Happening::Signal(Signal {
            at: at(seconds),
            subject: Subject::Unit(UnitName::new(unit).unwrap()),
            fact: Fact::UnitState(unit_state(active, sub, result, 0)),
        })
    }

    fn library() -> Vec<Playbook> {
        let text = include_str!("../../../playbooks/unit-failed-restart.yaml");
        vec![playbook::parse("unit-failed-restart.yaml", text).unwrap()]
    }

    fn play(happenings: &[Happening]) -> Vec<Said> {
        let mut replay = Replay::new(Policy::default(), library());
        let mut said: Vec<_> = happenings
            .iter()
            .flat_map(|happening| replay.take(happening.clone()))
            .collect();
        said.extend(replay.finish(Duration::from_secs(60)));
        said
    }

    #[test]
    fn a_failure_is_decided_again_and_never_acted_on() {
        let said = play(&[
            state(0, "a.service", ActiveState::Active, "success"),
            state(30, "a.service", ActiveState::Failed, "signal"),
        ]);
        let opened = said
            .iter()
            .any(|said| matches!(said.body, Body::IncidentOpened(_)));
        let decided = said
            .iter()
            .any(|said| matches!(said.body, Body::Decision(_)));
        assert!(opened && decided, "{said:#?}");
        assert!(!said.iter().any(|said| matches!(said.body, Body::Intent(_))));
    }

    fn happening() -> impl Strategy<Value = Happening> {
        let unit = prop_oneof![Just("a.service"), Just("b.service")];
        let active = prop_oneof![Just(ActiveState::Active), Just(ActiveState::Failed)];
        let of_unit = (
            0..4000_u64,
            unit,
            active,
            prop_oneof![Just("success"), Just("signal")],
        )
            .prop_map(|(seconds, unit, active, result)| state(seconds, unit, active, result));
        let sample = (0..4000_u64, -1e3..1e3_f64).prop_map(|(seconds, value)| {
            Happening::Samples(vec![Sample {
                at: at(seconds),
                series: Series {
                    subject: Subject::Host,
                    measure: Measure::LoadPerCpu,
                },
                value,
            }])
        });
        prop_oneof![of_unit, sample]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Goal: a replay is evidence. Also of events that come out of order.
        #[test]
        fn twice_the_same_events_are_twice_the_same_story(
            happenings in proptest::collection::vec(happening(), 0..60),
        ) {
            prop_assert_eq!(play(&happenings), play(&happenings));
        }
    }
}
