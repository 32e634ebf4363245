//! A host with one unit that answers every question but those about meaning.

use std::time::Duration;

use hostmedic_model::{
    advice::Question,
    calendar::{Calendar, CalendarReading},
    command::{Command, Judgement, Operator},
    decision::{Decision, Stance},
    incident::IncidentId,
    matched::Matched,
    outcome::{StepEnd, StepResult},
    playbook::{Phase, Playbook},
    record::{Body, Captured, RECORD_VERSION, Record},
    signal::{Fact, OomKill, OomVerdict, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals},
    vector::{DIMENSIONS, Vector},
    wake::{Effect, Inspection, Wake},
};
use hostmedic_reason::matching::{catalogue::Catalogue, entry::Entry, library::Library};
use hostmedic_reason::{advice::Settings, pipeline::State, playbook, policy::Policy};

pub(crate) const START: At = At {
    boot_ns: 1_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};

pub(crate) fn library() -> Vec<Playbook> {
    [
        (
            "unit-oom-killed",
            include_str!("../../../../playbooks/unit-oom-killed.yaml"),
        ),
        (
            "unit-crash-loop-hold",
            include_str!("../../../../playbooks/unit-crash-loop-hold.yaml"),
        ),
        (
            "disk-full-journal",
            include_str!("../../../../playbooks/disk-full-journal.yaml"),
        ),
    ]
    .map(|(name, text)| playbook::parse(&format!("{name}.yaml"), text).unwrap())
    .to_vec()
}

/// A bag of words: near enough to a meaning for texts that share them.
pub(crate) fn embed(text: &str) -> Vector {
    let mut values = [0.0; DIMENSIONS];
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        let small = word.to_lowercase();
        let place = small.bytes().fold(7_usize, |sum, byte| {
            sum.wrapping_mul(31) + usize::from(byte)
        });
        values[place % DIMENSIONS] += if small.len() > 3 { 1.0 } else { 0.1 };
    }
    Vector::direction_of(&values)
}

/// The library as the text matcher knows it.
pub(crate) fn catalogue() -> Catalogue {
    let entries: Vec<_> = library().iter().map(Entry::from).collect();
    Catalogue::build(&Library::from(entries), embed)
}

/// A host with one unit that answers every question but those about meaning.
pub(crate) struct Desk {
    pub(crate) state: State,
    pub(crate) now: At,
    pub(crate) unit: UnitState,
    pub(crate) records: Vec<Body>,
    pub(crate) asked: Vec<(IncidentId, String)>,
    /// Questions to the language model that are out.
    pub(crate) questions: Vec<(IncidentId, Question)>,
    pub(crate) replies: Vec<Result<String, String>>,
    pub(crate) acts: usize,
}

pub(crate) fn name() -> UnitName {
    UnitName::new("shop.service").unwrap()
}

pub(crate) fn unit_state(active: ActiveState, result: &str, invocation: &str) -> UnitState {
    UnitState {
        active,
        sub: "x".into(),
        result: result.into(),
        invocation_id: Some(invocation.into()),
        n_restarts: 0,
    }
}

impl Desk {
    pub(crate) fn new(catalogue: Option<Catalogue>) -> Self {
        Self::recalling(catalogue, &[])
    }

    pub(crate) fn recalling(catalogue: Option<Catalogue>, past: &[Record]) -> Self {
        Self::begun(catalogue, None, past, Phase::Autonomous)
    }

    pub(crate) fn begun(
        catalogue: Option<Catalogue>,
        advisor: Option<Settings>,
        past: &[Record],
        phase: Phase,
    ) -> Self {
        let policy = Policy {
            phase,
            ..Policy::default()
        };
        let mut state = State::new("host".into(), BootId("b".into()), policy, library());
        if let Some(settings) = advisor {
            state.adopt_advisor(settings);
        }
        state.recall(past.iter(), START);
        if let Some(catalogue) = catalogue {
            state.adopt_catalogue(catalogue);
        }
        let mut desk = Self {
            state,
            now: START,
            unit: unit_state(ActiveState::Active, "success", "01"),
            records: Vec::new(),
            asked: Vec::new(),
            questions: Vec::new(),
            replies: Vec::new(),
            acts: 0,
        };
        desk.pass(10);
        desk.tell_state(unit_state(ActiveState::Active, "success", "01"));
        desk
    }

    pub(crate) fn with_texts() -> Self {
        Self::new(Some(catalogue()))
    }

    pub(crate) fn pass(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now = self.now.plus(Duration::from_secs(1));
            self.apply(Wake::Tick);
        }
    }

    pub(crate) fn tell(&mut self, fact: Fact) {
        let (at, subject) = (self.now, Subject::Unit(name()));
        self.apply(Wake::Signal(Signal { at, subject, fact }));
    }

    pub(crate) fn tell_state(&mut self, state: UnitState) {
        self.unit = state.clone();
        self.tell(Fact::UnitState(state));
    }

    pub(crate) fn kill(&mut self, verdict: OomVerdict) {
        self.tell(Fact::OomKill(OomKill {
            comm: "java".into(),
            verdict,
            ..OomKill::default()
        }));
        self.tell_state(unit_state(ActiveState::Failed, "oom-kill", "01"));
    }

    /// Brings what the language model wrote to every question that is out.
    pub(crate) fn advise(&mut self, write: impl Fn(&Question) -> Result<String, String>) {
        while let Some((incident, question)) = self.questions.pop() {
            let answer = write(&question);
            let question = question.sha256;
            self.apply(Wake::Advised {
                incident,
                question,
                answer,
            });
        }
    }

    /// Answers every question about meaning that is out.
    pub(crate) fn answer(&mut self, meaning: impl Fn(&str) -> Result<Vector, String>) {
        while let Some((incident, text)) = self.asked.pop() {
            let vector = meaning(&text);
            self.apply(Wake::Embedded {
                incident,
                text,
                vector,
            });
        }
    }

    pub(crate) fn apply(&mut self, wake: Wake) {
        for effect in self.state.apply(self.now, wake) {
            match effect {
                Effect::Record(body) => self.records.push(body),
                Effect::Embed { incident, text } => self.asked.push((incident, text)),
                Effect::Advise { incident, question } => self.questions.push((incident, question)),
                Effect::Inspect { incident, unit, .. } => {
                    let inspection = self.inspection(unit);
                    self.apply(Wake::Inspected {
                        incident,
                        inspection,
                    });
                }
                Effect::Capture {
                    incident, intent, ..
                } => self.apply(Wake::Captured(Captured {
                    incident,
                    intent,
                    at: self.now,
                    journal: Vec::new(),
                    cgroup: std::collections::BTreeMap::new(),
                    parts: Vec::new(),
                    missing: Vec::new(),
                })),
                Effect::Act(intent) => {
                    self.acts += 1;
                    self.unit = unit_state(ActiveState::Active, "success", "02");
                    self.apply(Wake::StepEnded(StepEnd {
                        at: self.now,
                        intent: intent.id,
                        result: StepResult::Job {
                            result: "done".into(),
                            path: "/1".into(),
                        },
                        after: None,
                    }));
                }
                Effect::Reply { answer, .. } => self.replies.push(answer),
                Effect::SetHookMode { .. } => {}
            }
        }
    }

    pub(crate) fn inspection(&self, unit: UnitName) -> Inspection {
        Inspection {
            unit: Ok(UnitSnapshot {
                at: self.now,
                unit,
                load_state: "loaded".into(),
                state: self.unit.clone(),
                slice: UnitName::new("system.slice").ok(),
                restart_policy: "no".into(),
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
                resources: Resources::default(),
                vitals: Vitals::default(),
            }),
            calendar: CalendarReading::Readable(Calendar {
                at: self.now,
                ..Calendar::default()
            }),
            also_down: Vec::new(),
        }
    }

    pub(crate) fn judge(
        &mut self,
        incident: &IncidentId,
        judgement: Judgement,
    ) -> Result<String, String> {
        self.apply(Wake::Command {
            request: 1,
            by: Operator {
                uid: 0,
                name: "root".into(),
            },
            command: Command::Judge {
                incident: incident.clone(),
                playbook: Some("unit-oom-killed".into()),
                judgement,
            },
        });
        self.replies.pop().unwrap()
    }

    pub(crate) fn decisions(&self) -> Vec<&Decision> {
        let decisions = self.records.iter().filter_map(|body| match body {
            Body::Decision(decision) => Some(decision),
            _ => None,
        });
        decisions.collect()
    }

    pub(crate) fn matched(&self) -> Vec<&Matched> {
        let matched = self.records.iter().filter_map(|body| match body {
            Body::Matched(matched) => Some(matched),
            _ => None,
        });
        matched.collect()
    }

    pub(crate) fn guard(&self, wanted: &str) -> (Stance, String) {
        let newest = self.decisions().into_iter().next_back().unwrap();
        let found = newest.guards.iter().find(|guard| guard.guard == wanted);
        found
            .map(|guard| (guard.stance, guard.reason.clone()))
            .unwrap()
    }

    /// The records as a chain, to be recalled from.
    pub(crate) fn chain(&self) -> Vec<Record> {
        (1..)
            .zip(&self.records)
            .map(|(seq, body)| Record {
                version: RECORD_VERSION,
                seq,
                host: "host".into(),
                boot: BootId("b".into()),
                at: START,
                prev: String::new(),
                body: body.clone(),
            })
            .collect()
    }
}
