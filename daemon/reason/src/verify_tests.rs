//! What a verification comes to: by numbers, by what was not heard, and by what has to last.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::{
    calendar::{Calendar, CalendarReading},
    decision::PlaybookRef,
    incident::IncidentId,
    intent::IntentId,
    loss::{HookCounters, QueueCounters},
    playbook::{Remedy, Verb},
    signal::{Fact, OomKill, Signal},
    time::BootId,
    unit::{UnitState, Vitals, Watchdog},
};

use super::*;
use crate::{
    playbook,
    replay::{snapshot, unit_state},
};

fn at(s: u64) -> At {
    At::default().plus(Duration::from_secs(s))
}

fn web() -> UnitName {
    UnitName::new("web.service").unwrap()
}

fn subject() -> Subject {
    Subject::Unit(web())
}

/// A step on a unit that ended at 100 s, looked at again and again.
struct Desk {
    plan: VerifyPlan,
    facts: Facts,
    before: Vec<Sample>,
    held: Vec<Option<At>>,
    is_waiting: bool,
    vitals: Vitals,
}

fn sample(s: u64, value: f64) -> Sample {
    Sample {
        at: at(s),
        series: Series {
            subject: subject(),
            measure: Measure::UnitMemoryBytes,
        },
        value,
    }
}

impl Desk {
    fn new(check: Check) -> Self {
        let plan = VerifyPlan {
            settle: Span::secs(1),
            within: Span::minutes(10),
            checks: vec![check],
            undo_without: Vec::new(),
        };
        let text = include_str!("../../../playbooks/unit-failed-restart.yaml");
        let mut playbook = playbook::parse("unit-failed-restart.yaml", text).unwrap();
        if let Remedy::Steps { verify, .. } = &mut playbook.remedy {
            *verify = plan.clone();
        }
        let mut facts = Facts::default();
        facts.follow(&[playbook]);
        facts.begin(at(0));
        Self {
            plan,
            facts,
            before: Vec::new(),
            held: Vec::new(),
            is_waiting: false,
            vitals: Vitals::default(),
        }
    }

    fn number(mut self, s: u64, value: f64) -> Self {
        self.facts.learn_sample(&sample(s, value));
        self
    }

    fn tell(&mut self, s: u64, active: ActiveState, run: u32) -> UnitState {
        let state = UnitState {
            invocation_id: Some(run.to_string()),
            ..unit_state(active, "x", "success", 0)
        };
        self.facts.learn_state(&web(), &state, at(s));
        state
    }

    /// Looks at moment `s`, at a unit in this state.
    fn look_at(&mut self, s: u64, active: ActiveState, run: u32) -> Verification {
        let state = self.tell(s, active, run);
        let intent = Intent {
            id: IntentId("inc/1.1".into()),
            at: at(90),
            boot: BootId("b".into()),
            incident: IncidentId("inc".into()),
            playbook: PlaybookRef {
                name: "p".into(),
                version: 1,
                sha256: String::new(),
            },
            verb: Verb::Restart,
            unit: web(),
            slice: None,
            wait_max: Span::secs(30),
            invocation_before: None,
            closure_before: Vec::new(),
            approved_by: None,
            change: None,
            inverse: None,
            undoes: None,
        };
        let unit = UnitSnapshot {
            vitals: self.vitals.clone(),
            ..snapshot(at(s), web(), state)
        };
        let inspection = Inspection {
            unit: Ok(unit),
            calendar: CalendarReading::Readable(Calendar::default()),
            also_down: Vec::new(),
        };
        let verified = verify(
            &self.plan,
            &Seen {
                now: at(s),
                subject: &subject(),
                intent: &intent,
                ended: at(100),
                inspection: &inspection,
                facts: &self.facts,
                before: &self.before,
                held: &self.held,
            },
        );
        self.held = verified.held;
        self.is_waiting = verified.is_waiting;
        verified.verification
    }

    fn look(&mut self, s: u64) -> Verification {
        self.look_at(s, ActiveState::Active, 1)
    }
}

fn below(limit: f64) -> Check {
    Check::Below {
        of_host: false,
        measure: Measure::UnitMemoryBytes,
        limit,
    }
}

fn lasting(check: Check, s: u64) -> Check {
    Check::Held {
        check: Box::new(check),
        span: Span::secs(s),
    }
}

use Verification::{Indeterminate, Resolved, Unchanged};

#[test]
fn only_a_number_from_after_the_step_says_anything() {
    assert_eq!(Desk::new(below(5.0)).look(110), Indeterminate);
    assert_eq!(
        Desk::new(below(5.0)).number(100, 1.0).look(110),
        Indeterminate
    );
    assert_eq!(Desk::new(below(5.0)).number(101, 1.0).look(110), Resolved);
    assert_eq!(Desk::new(below(5.0)).number(101, 5.0).look(110), Unchanged);
    // An old one is no word on now.
    assert_eq!(
        Desk::new(below(5.0)).number(101, 1.0).look(192),
        Indeterminate
    );
    let above = Check::Above {
        of_host: false,
        measure: Measure::UnitMemoryBytes,
        limit: 5.0,
    };
    assert_eq!(
        Desk::new(above.clone()).number(101, 6.0).look(110),
        Resolved
    );
    assert_eq!(Desk::new(above).number(101, 5.0).look(110), Unchanged);
}

#[test]
fn a_watchdog_is_content_with_a_report_from_after_the_step_and_in_time() {
    let mut desk = Desk::new(Check::WatchdogPings);
    assert_eq!(desk.look(110), Unchanged, "it has none");
    let mut reported = |s, look| {
        desk.vitals.watchdog = Some(Watchdog {
            timeout: Span::secs(30),
            reported: at(s),
        });
        desk.look(look)
    };
    // The start that the step itself made.
    assert_eq!(reported(99, 110), Unchanged);
    assert_eq!(reported(105, 110), Resolved);
    assert_eq!(reported(105, 135), Resolved);
    assert_eq!(reported(105, 136), Unchanged);
}

#[test]
fn a_number_is_compared_with_what_it_was_before() {
    let fell = || {
        Desk::new(Check::FellBy {
            measure: Measure::UnitMemoryBytes,
            by: 0.5,
        })
    };
    let with_before = |value| Desk {
        before: vec![sample(90, value)],
        ..fell()
    };
    assert_eq!(with_before(10.0).number(101, 5.0).look(110), Resolved);
    assert_eq!(with_before(10.0).number(101, 5.1).look(110), Unchanged);
    assert_eq!(with_before(0.0).number(101, 0.0).look(110), Unchanged);
    assert_eq!(fell().number(101, 5.0).look(110), Indeterminate);
}

#[test]
fn silence_counts_where_it_was_listened_to() {
    let none = || Desk::new(Check::NoSignal(SignalKind::OomKill));
    assert_eq!(none().look(110), Resolved);
    let mut heard = none();
    heard.facts.learn_signal(&kill(105));
    assert_eq!(heard.look(110), Unchanged);
    let mut lossy = none();
    lossy
        .facts
        .count(&[lost(1)], &QueueCounters::default(), at(105));
    assert_eq!(lossy.look(110), Indeterminate);
}

fn kill(s: u64) -> Signal {
    Signal {
        at: at(s),
        subject: subject(),
        fact: Fact::OomKill(OomKill::default()),
    }
}

fn lost(ring_full: u64) -> HookCounters {
    HookCounters {
        hook: "oom_victim".to_owned(),
        ring_full,
        ..HookCounters::default()
    }
}

#[test]
fn a_unit_must_stay_up_and_a_break_between_two_looks_is_seen() {
    let mut desk = Desk::new(lasting(Check::UnitActive, 60));
    assert_eq!(desk.look(110), Unchanged);
    assert!(desk.is_waiting);
    assert_eq!(desk.look(169), Unchanged);
    // It fell over and came back while nobody looked.
    desk.tell(175, ActiveState::Failed, 1);
    desk.tell(176, ActiveState::Active, 2);
    assert_eq!(desk.look_at(180, ActiveState::Active, 2), Unchanged);
    assert_eq!(desk.look_at(235, ActiveState::Active, 2), Unchanged);
    assert_eq!(desk.look_at(236, ActiveState::Active, 2), Resolved);
    assert_eq!(desk.look_at(237, ActiveState::Failed, 2), Unchanged);
    assert!(!desk.is_waiting);
    assert_eq!(desk.look_at(240, ActiveState::Active, 3), Unchanged);
    assert_eq!(desk.look_at(300, ActiveState::Active, 3), Resolved);
}

#[test]
fn every_number_must_be_so_and_the_newest_ends_the_span() {
    let mut desk = Desk::new(lasting(below(5.0), 60))
        .number(90, 1.0)
        .number(105, 1.0);
    // What was before the step does not count.
    assert_eq!(desk.look(110), Unchanged);
    desk = desk.number(130, 9.0).number(135, 1.0).number(160, 1.0);
    assert_eq!(desk.look(166), Unchanged);
    desk = desk.number(194, 1.0);
    assert_eq!(desk.look(196), Unchanged);
    desk = desk.number(195, 1.0);
    assert_eq!(desk.look(196), Resolved);
}

#[test]
fn silence_must_last_and_a_loss_begins_it_anew() {
    let mut desk = Desk::new(lasting(Check::NoSignal(SignalKind::OomKill), 60));
    assert_eq!(desk.look(159), Unchanged);
    assert_eq!(desk.look(160), Resolved);
    desk.facts.learn_signal(&kill(170));
    assert_eq!(desk.look(229), Unchanged);
    assert_eq!(desk.look(230), Resolved);
    desk.facts
        .count(&[lost(1)], &QueueCounters::default(), at(240));
    assert_eq!(desk.look(299), Unchanged);
    assert_eq!(desk.look(300), Resolved);
}
