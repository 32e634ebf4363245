//! The text matcher inside the loop: what is asked and when, what a lost answer costs, what a
//! ranking may hold back, and what outcomes and operators teach.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use hostmedic_model::{
    calendar::{Calendar, CalendarReading},
    command::{Command, Judgement, Operator},
    decision::{Decision, Stance, Verdict},
    incident::IncidentId,
    matched::{MatchRoute, Matched},
    outcome::{StepEnd, StepResult, Verification},
    playbook::{Phase, Playbook},
    record::{Body, Captured, RECORD_VERSION, Record},
    signal::{Fact, OomKill, OomVerdict, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, UnitSnapshot, UnitState},
    vector::{DIMENSIONS, Vector},
    wake::{Effect, Inspection, Wake},
};
use hostmedic_reason::{
    matching::{catalogue::Catalogue, entry::Entry},
    pipeline::State,
    playbook,
    policy::Policy,
};

const START: At = At {
    boot_ns: 1_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};

fn library() -> Vec<Playbook> {
    [
        (
            "unit-oom-left-dead",
            include_str!("../../../playbooks/unit-oom-left-dead.yaml"),
        ),
        (
            "crash-loop-held",
            include_str!("../../../playbooks/crash-loop-held.yaml"),
        ),
        (
            "disk-filling-journal",
            include_str!("../../../playbooks/disk-filling-journal.yaml"),
        ),
    ]
    .map(|(name, text)| playbook::parse(&format!("{name}.yaml"), text).unwrap())
    .to_vec()
}

/// A bag of words: near enough to a meaning for texts that share them.
fn embed(text: &str) -> Vector {
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

/// A host with one unit that answers every question but those about meaning.
struct Desk {
    state: State,
    now: At,
    unit: UnitState,
    records: Vec<Body>,
    asked: Vec<(IncidentId, String)>,
    replies: Vec<Result<String, String>>,
    acts: usize,
}

fn name() -> UnitName {
    UnitName::new("shop.service").unwrap()
}

fn unit_state(active: ActiveState, result: &str, invocation: &str) -> UnitState {
    UnitState {
        active,
        sub: "x".into(),
        result: result.into(),
        invocation_id: Some(invocation.into()),
        n_restarts: 0,
    }
}

impl Desk {
    fn new(catalogue: Option<Catalogue>) -> Self {
        Self::recalling(catalogue, &[])
    }

    fn recalling(catalogue: Option<Catalogue>, past: &[Record]) -> Self {
        let policy = Policy {
            phase: Phase::Autonomous,
            ..Policy::default()
        };
        let mut state = State::new("host".into(), BootId("b".into()), policy, library());
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
            replies: Vec::new(),
            acts: 0,
        };
        desk.pass(10);
        desk.tell_state(unit_state(ActiveState::Active, "success", "01"));
        desk
    }

    fn with_texts() -> Self {
        let entries: Vec<_> = library().iter().map(Entry::from).collect();
        Self::new(Some(Catalogue::build(&entries, embed)))
    }

    fn pass(&mut self, secs: u64) {
        for _ in 0..secs {
            self.now = self.now.plus(Duration::from_secs(1));
            self.apply(Wake::Tick);
        }
    }

    fn tell(&mut self, fact: Fact) {
        let (at, subject) = (self.now, Subject::Unit(name()));
        self.apply(Wake::Signal(Signal { at, subject, fact }));
    }

    fn tell_state(&mut self, state: UnitState) {
        self.unit = state.clone();
        self.tell(Fact::UnitState(state));
    }

    fn kill(&mut self, verdict: OomVerdict) {
        self.tell(Fact::OomKill(OomKill {
            comm: "java".into(),
            verdict,
            ..OomKill::default()
        }));
        self.tell_state(unit_state(ActiveState::Failed, "oom-kill", "01"));
    }

    /// Answers every question about meaning that is out.
    fn answer(&mut self, meaning: impl Fn(&str) -> Result<Vector, String>) {
        while let Some((incident, text)) = self.asked.pop() {
            let vector = meaning(&text);
            self.apply(Wake::Embedded {
                incident,
                text,
                vector,
            });
        }
    }

    fn apply(&mut self, wake: Wake) {
        for effect in self.state.apply(self.now, wake) {
            match effect {
                Effect::Record(body) => self.records.push(body),
                Effect::Embed { incident, text } => self.asked.push((incident, text)),
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

    fn inspection(&self, unit: UnitName) -> Inspection {
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
            }),
            calendar: CalendarReading::Readable(Calendar {
                at: self.now,
                ..Calendar::default()
            }),
            also_down: Vec::new(),
        }
    }

    fn judge(&mut self, incident: &IncidentId, judgement: Judgement) -> Result<String, String> {
        self.apply(Wake::Command {
            request: 1,
            by: Operator {
                uid: 0,
                name: "root".into(),
            },
            command: Command::Judge {
                incident: incident.clone(),
                playbook: Some("unit-oom-left-dead".into()),
                judgement,
            },
        });
        self.replies.pop().unwrap()
    }

    fn decisions(&self) -> Vec<&Decision> {
        let decisions = self.records.iter().filter_map(|body| match body {
            Body::Decision(decision) => Some(decision),
            _ => None,
        });
        decisions.collect()
    }

    fn matched(&self) -> Vec<&Matched> {
        let matched = self.records.iter().filter_map(|body| match body {
            Body::Matched(matched) => Some(matched),
            _ => None,
        });
        matched.collect()
    }

    fn guard(&self, wanted: &str) -> (Stance, String) {
        let newest = self.decisions().into_iter().next_back().unwrap();
        let found = newest.guards.iter().find(|guard| guard.guard == wanted);
        found
            .map(|guard| (guard.stance, guard.reason.clone()))
            .unwrap()
    }

    /// The records as a chain, to be recalled from.
    fn chain(&self) -> Vec<Record> {
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

/// A meaning that is like nothing.
fn nothing(_: &str) -> Result<Vector, String> {
    Ok(Vector::zero())
}

fn meaning(text: &str) -> Result<Vector, String> {
    Ok(embed(text))
}

#[test]
fn without_a_catalogue_nothing_is_asked_and_structure_alone_acts() {
    let mut desk = Desk::new(None);
    desk.kill(OomVerdict::Killed);
    assert!(desk.asked.is_empty() && desk.matched().is_empty());
    assert_eq!(desk.acts, 1);
    let (stance, reason) = desk.guard("confidence");
    assert_eq!(stance, Stance::Pass);
    assert!(
        reason.starts_with("no text matcher: structure alone"),
        "{reason}"
    );
}

#[test]
fn a_ranking_comes_before_the_decision_and_is_recorded_with_its_parts() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    assert_eq!(
        (desk.acts, desk.asked.len()),
        (0, 1),
        "it waits for the answer"
    );
    desk.answer(meaning);
    assert_eq!(desk.acts, 1, "{:#?}", desk.decisions());
    let place = |wanted: fn(&Body) -> bool| desk.records.iter().position(wanted).unwrap();
    let decided = place(|body| matches!(body, Body::Decision(_)));
    assert!(place(|body| matches!(body, Body::Matched(_))) < decided);
    let newest = desk.matched().pop().unwrap();
    let first = &newest.candidates[0];
    assert_eq!(first.playbook, "unit-oom-left-dead");
    assert!(
        first.trigger_fired && first.evidence_shift > 0.0,
        "{first:#?}"
    );
    assert!(first.evidence.contradicted.is_empty(), "{first:#?}");
    assert!(
        newest.text.contains("killed process java"),
        "{}",
        newest.text
    );
    // What cannot be about a unit is not among them.
    assert!(
        newest
            .candidates
            .iter()
            .all(|near| near.playbook != "disk-filling-journal")
    );
}

#[test]
fn a_lost_answer_costs_two_seconds_and_never_the_act() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    desk.pass(2);
    assert_eq!(desk.acts, 0);
    desk.pass(1);
    assert_eq!(desk.acts, 1);
    assert!(
        desk.guard("confidence")
            .1
            .contains("was not read within 2 s")
    );
    // It is too late to say anything about this text that would be acted on.
    let before = desk.decisions().len();
    desk.answer(nothing);
    assert_eq!((desk.acts, desk.decisions().len()), (1, before));
}

#[test]
fn a_failed_answer_is_said_and_recorded() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    desk.answer(|_| Err("the model is damaged".into()));
    assert_eq!(desk.acts, 1);
    let newest = desk.matched().pop().unwrap();
    assert_eq!(newest.problem.as_deref(), Some("the model is damaged"));
    assert_eq!(newest.route, MatchRoute::None);
    assert!(!newest.text.is_empty());
}

#[test]
fn a_text_that_speaks_against_it_holds_the_act_back() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    desk.answer(|_| Ok(embed("the clock of the kitchen is five minutes late")));
    assert_eq!(desk.acts, 0);
    let decision = desk.decisions().pop().unwrap();
    assert_eq!(decision.verdict, Verdict::Hold, "{}", decision.reason);
    assert!(
        decision.reason.starts_with("confidence: "),
        "{}",
        decision.reason
    );
}

#[test]
fn contradicted_evidence_never_acts() {
    for texts in [Desk::with_texts(), Desk::new(None)] {
        let mut desk = texts;
        desk.kill(OomVerdict::AlreadyExiting);
        desk.answer(meaning);
        assert_eq!(desk.acts, 0);
        let (stance, reason) = desk.guard("evidence");
        assert_eq!(stance, Stance::Wait, "{reason}");
        assert!(reason.contains("killed nobody"), "{reason}");
    }
}

#[test]
fn where_no_trigger_holds_people_are_told_what_is_near() {
    let mut desk = Desk::with_texts();
    desk.tell(Fact::OomKill(OomKill {
        comm: "java".into(),
        ..OomKill::default()
    }));
    desk.answer(meaning);
    desk.pass(15);
    let decision = desk.decisions().pop().unwrap();
    assert_eq!(decision.verdict, Verdict::Hold);
    assert!(decision.playbook.is_none());
    let told = decision
        .reason
        .contains("no playbook's trigger holds; nearest by its text: unit-oom");
    let none = decision
        .reason
        .contains("neither by its trigger nor by its text");
    assert!(told || none, "{}", decision.reason);
}

#[test]
fn repeats_are_not_read_again_and_what_is_asked_and_recorded_is_bounded() {
    let mut desk = Desk::with_texts();
    desk.tell(Fact::OomKill(OomKill::default()));
    desk.answer(nothing);
    for pid in 1..50 {
        desk.tell(Fact::OomKill(OomKill {
            pid,
            ..OomKill::default()
        }));
        desk.pass(1);
    }
    assert!(desk.asked.is_empty(), "{:?}", desk.asked);
    // Each result is something new.
    let mut asked = 0;
    for number in 0..40 {
        desk.tell_state(unit_state(
            ActiveState::Failed,
            &format!("result-{}", "x".repeat(number)),
            "01",
        ));
        asked += desk.asked.len();
        desk.answer(nothing);
        desk.pass(40);
    }
    assert!((3..=8).contains(&asked), "{asked}");
    for one in desk.matched() {
        let of_one = desk.matched().into_iter();
        let count = of_one
            .filter(|other| other.incident == one.incident)
            .count();
        assert!(count <= 4, "{count}");
    }
}

#[test]
fn outcomes_teach_and_come_back_from_the_chain() {
    let mut desk = Desk::with_texts();
    desk.kill(OomVerdict::Killed);
    desk.answer(meaning);
    desk.pass(30);
    let helped = desk.records.iter().any(
        |body| matches!(body, Body::Outcome(outcome) if outcome.verification == Verification::Resolved),
    );
    assert!(helped, "{:#?}", desk.records.last());
    let record_of = |desk: &Desk| {
        let catalogue = desk.state.catalogue().unwrap();
        let text = "a service was killed";
        let vector = embed(text);
        let query = hostmedic_reason::matching::catalogue::Query::plain(text, &vector);
        let scored = catalogue.scored(&query);
        let found = scored
            .iter()
            .find(|found| found.playbook == "unit-oom-left-dead");
        found.unwrap().record
    };
    assert_eq!(record_of(&desk).helped, 1);

    let entries: Vec<_> = library().iter().map(Entry::from).collect();
    let catalogue = Catalogue::build(&entries, embed);
    let mut again = Desk::recalling(Some(catalogue), &desk.chain());
    assert_eq!(record_of(&again).helped, 0, "its text has to be read again");
    again.answer(meaning);
    assert_eq!(record_of(&again).helped, 1);

    // An operator knows better, and can take it back.
    let incident = desk.matched()[0].incident.clone();
    assert!(again.judge(&incident, Judgement::Wrong).is_ok());
    assert_eq!(record_of(&again).helped, 0, "the last word counts");
    again.pass(1);
    again.answer(meaning);
    assert_eq!((record_of(&again).helped, record_of(&again).failed), (0, 1));
    assert!(again.judge(&incident, Judgement::Forget).is_ok());
    assert!(again.judge(&incident, Judgement::Forget).is_err());
    assert_eq!(record_of(&again).failed, 0);
    let stranger = IncidentId("inc_x".into());
    assert!(again.judge(&stranger, Judgement::Right).is_err());
}
