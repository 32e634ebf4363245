//! Runs every shipped playbook's cases: events in, one decision out. A playbook whose cases do not
//! say what must not be acted on is not ready to ship.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, fs, path::Path};

use hostmedic_model::{
    calendar::{Activity, Calendar, CalendarReading},
    decision::{Decision, Stance, Verdict},
    playbook::{Phase, Playbook},
    record::Body,
    sample::{Measure, Sample, Series},
    signal::{Fact, OomKill, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, UnitSnapshot, UnitState},
    wake::{Effect, Inspection, Wake},
};
use hostmedic_reason::{pipeline::State, playbook, policy::Policy};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    subject: Subject,
    #[serde(default = "autonomous")]
    phase: Phase,
    already: Option<StateLine>,
    events: Vec<Event>,
    #[serde(default)]
    unit: UnitLine,
    #[serde(default)]
    running: Vec<ActivityLine>,
    calendar_unreadable: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivityLine {
    name: String,
    began_by: String,
    purpose: hostmedic_model::calendar::Purpose,
    #[serde(default)]
    related: Vec<UnitName>,
}

fn autonomous() -> Phase {
    Phase::Autonomous
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct StateLine {
    active: ActiveState,
    sub: String,
    result: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    at: Span,
    #[serde(default)]
    oom_kill: bool,
    state: Option<StateLine>,
    #[serde(default)]
    restarts: u32,
    sample: Option<SampleLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleLine {
    measure: Measure,
    value: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitLine {
    restart_policy: String,
}

impl Default for UnitLine {
    fn default() -> Self {
        Self {
            restart_policy: "no".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    none: bool,
    verdict: Option<Verdict>,
    playbook: Option<String>,
    guard: Option<String>,
    reason: Option<String>,
}

fn playbooks_dir() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks")
}

fn shipped() -> Vec<Playbook> {
    let mut playbooks = Vec::new();
    for entry in fs::read_dir(playbooks_dir()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path).unwrap();
            playbooks.push(
                playbook::parse(path.to_str().unwrap(), &text)
                    .unwrap_or_else(|error| panic!("{error}")),
            );
        }
    }
    playbooks
}

const START: At = At {
    boot_ns: 1_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};

struct World {
    state: State,
    subject: Subject,
    restart_policy: String,
    newest: UnitState,
    running: Vec<Activity>,
    unreadable: Option<String>,
    decision: Option<Decision>,
}

impl World {
    fn apply(&mut self, at: At, wake: Wake) {
        for effect in self.state.apply(at, wake) {
            match effect {
                Effect::Record(Body::Decision(decision)) => self.decision = Some(decision),
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
        let state = if self.subject.unit() == Some(&unit) {
            self.newest.clone()
        } else {
            state_of("inactive", "dead", "success")
        };
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
                at,
                unit,
                load_state: "loaded".into(),
                state,
                slice: Some(UnitName::new("system.slice").unwrap()),
                restart_policy: self.restart_policy.clone(),
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
            }),
            calendar,
            also_down: Vec::new(),
        }
    }
}

fn state_of(active: &str, sub: &str, result: &str) -> UnitState {
    UnitState {
        active: ActiveState::parse(active),
        sub: sub.into(),
        result: result.into(),
        invocation_id: Some("01".into()),
        n_restarts: 0,
    }
}

fn run(case: &Case, playbooks: Vec<Playbook>) -> Option<Decision> {
    let policy = Policy {
        phase: case.phase,
        ..Policy::default()
    };
    let mut state = State::new("host".into(), BootId("boot".into()), policy, playbooks);
    state.recall(std::iter::empty::<hostmedic_model::record::Record>(), START);
    let before = case.already.clone().unwrap_or(StateLine {
        active: ActiveState::Active,
        sub: "running".into(),
        result: "success".into(),
    });
    let mut world = World {
        state,
        subject: case.subject.clone(),
        restart_policy: case.unit.restart_policy.clone(),
        newest: UnitState {
            active: before.active,
            sub: before.sub,
            result: before.result,
            invocation_id: Some("01".into()),
            n_restarts: 0,
        },
        running: case
            .running
            .iter()
            .map(|line| Activity {
                name: line.name.clone(),
                began_by: line.began_by.clone(),
                purpose: line.purpose,
                pid: None,
                related: line.related.clone(),
            })
            .collect(),
        unreadable: case.calendar_unreadable.clone(),
        decision: None,
    };
    let signal = |at, fact| {
        Wake::Signal(Signal {
            at,
            subject: case.subject.clone(),
            fact,
        })
    };
    if case.subject.unit().is_some() {
        let first = signal(START, Fact::UnitState(world.newest.clone()));
        world.apply(START, first);
    }
    let mut now = START;
    for event in &case.events {
        now = START.plus(event.at.0);
        if event.oom_kill {
            let kill = OomKill {
                pid: 7,
                comm: "shop".into(),
                started_boot_ns: 1,
                cgroup_id: 1,
                ..OomKill::default()
            };
            world.apply(now, signal(now, Fact::OomKill(kill)));
        }
        if let Some(line) = &event.state {
            world.newest = UnitState {
                active: line.active,
                sub: line.sub.clone(),
                result: line.result.clone(),
                invocation_id: world.newest.invocation_id.clone(),
                n_restarts: event.restarts,
            };
            let wake = signal(now, Fact::UnitState(world.newest.clone()));
            world.apply(now, wake);
        }
        if let Some(line) = &event.sample {
            let series = Series {
                subject: case.subject.clone(),
                measure: line.measure,
            };
            world.apply(
                now,
                Wake::Samples(vec![Sample {
                    at: now,
                    series,
                    value: line.value,
                }]),
            );
        }
    }
    for second in 1..=15 {
        if world.decision.is_some() {
            break;
        }
        world.apply(now.plus(Span::secs(second).0), Wake::Tick);
    }
    world.decision
}

#[test]
fn every_case_of_every_playbook_decides_as_it_says() {
    let playbooks = shipped();
    let mut cases: BTreeMap<String, (usize, usize)> = playbooks
        .iter()
        .map(|playbook| (playbook.name.clone(), (0, 0)))
        .collect();
    for playbook in &playbooks {
        let dir = playbooks_dir().join("cases").join(&playbook.name);
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let case: Case = serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let decision = run(&case, playbooks.clone());
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            check(
                &format!("{}/{name}", playbook.name),
                &case.expect,
                decision.as_ref(),
            );
            let counts = cases.get_mut(&playbook.name).unwrap();
            if name.starts_with("must-match") {
                assert_eq!(
                    case.expect.playbook.as_deref(),
                    Some(playbook.name.as_str()),
                    "{name} is another playbook's case"
                );
                counts.0 += 1;
            } else {
                assert!(
                    name.starts_with("must-not-act"),
                    "{name}: a case is must-match-* or must-not-act-*"
                );
                assert_ne!(case.expect.verdict, Some(Verdict::Act), "{name}");
                counts.1 += 1;
            }
        }
    }
    for (name, (matching, not_acting)) in cases {
        assert!(
            matching > 0 && not_acting > 0,
            "{name} has {matching} must-match and {not_acting} must-not-act cases"
        );
    }
}

fn check(name: &str, expect: &Expect, decision: Option<&Decision>) {
    if expect.none {
        assert_eq!(decision, None, "{name}");
        return;
    }
    let decision = decision.unwrap_or_else(|| panic!("{name}: nothing was decided"));
    assert_eq!(
        Some(decision.verdict),
        expect.verdict,
        "{name}: {}",
        decision.reason
    );
    assert_eq!(
        decision.playbook.as_ref().map(|playbook| &playbook.name),
        expect.playbook.as_ref(),
        "{name}"
    );
    if let Some(reason) = &expect.reason {
        assert!(
            decision.reason.contains(reason),
            "{name}: {}",
            decision.reason
        );
    }
    if let Some(guard) = &expect.guard {
        let verdict = decision
            .guards
            .iter()
            .find(|verdict| verdict.guard == *guard)
            .unwrap();
        assert_ne!(verdict.stance, Stance::Pass, "{name}: {}", verdict.reason);
        assert!(
            decision.reason.starts_with(guard.as_str()),
            "{name}: {}",
            decision.reason
        );
    }
}
