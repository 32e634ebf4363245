//! What operators can and cannot make happen: approve, reject, pause, inhibit.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::{
    calendar::{Calendar, CalendarReading},
    command::{Command, Operator, Proposal},
    incident::{IncidentId, IncidentStatus},
    intent::{Intent, IntentId},
    playbook::Phase,
    record::{Body, Captured, Record},
    signal::{Fact, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals},
    wake::{Effect, Inspection, Wake},
};
use hostmedic_reason::{pipeline::State, playbook, policy::Policy};

const START: At = At {
    boot_ns: 1_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};

/// A host with one unit; every question is answered at once and truly.
struct Desk {
    state: State,
    now: At,
    unit: UnitState,
    acts: Vec<Intent>,
    bodies: Vec<Body>,
    reply: Option<Result<String, String>>,
    requests: u64,
}

fn web() -> UnitName {
    UnitName::new("web.service").unwrap()
}

fn state_of(active: ActiveState, result: &str, invocation: &str) -> UnitState {
    UnitState {
        active,
        sub: String::new(),
        result: result.into(),
        invocation_id: Some(invocation.into()),
        n_restarts: 0,
    }
}

impl Desk {
    /// In the assist phase, with the unit just failed.
    fn with_failed_unit() -> Self {
        let text = include_str!("../../../playbooks/unit-failed-restart.yaml");
        let playbooks = vec![playbook::parse("unit-failed-restart.yaml", text).unwrap()];
        let policy = Policy {
            phase: Phase::Assist,
            ..Policy::default()
        };
        let mut state = State::new("host".into(), BootId("boot".into()), policy, playbooks);
        state.recall(std::iter::empty::<Record>(), START);
        let mut desk = Self {
            state,
            now: START,
            unit: state_of(ActiveState::Active, "success", "1"),
            acts: Vec::new(),
            bodies: Vec::new(),
            reply: None,
            requests: 0,
        };
        desk.tell();
        desk.pass(Span::secs(10));
        desk.unit = state_of(ActiveState::Failed, "exit-code", "1");
        desk.tell();
        desk
    }

    fn tell(&mut self) {
        let (at, subject) = (self.now, Subject::Unit(web()));
        self.apply(Wake::Signal(Signal {
            at,
            subject,
            fact: Fact::UnitState(self.unit.clone()),
        }));
    }

    fn pass(&mut self, span: Span) {
        self.now = self.now.plus(span.0);
        self.apply(Wake::Tick);
    }

    fn ask(&mut self, command: Command) -> Result<String, String> {
        self.requests += 1;
        let by = Operator {
            uid: 1000,
            name: "ann".into(),
        };
        self.apply(Wake::Command {
            request: self.requests,
            by,
            command,
        });
        self.reply.take().expect("every command is answered")
    }

    fn apply(&mut self, wake: Wake) {
        for effect in self.state.apply(self.now, wake) {
            match effect {
                Effect::Record(body) => self.bodies.push(body),
                Effect::Inspect { incident, .. } => {
                    let inspection = self.inspection();
                    self.apply(Wake::Inspected {
                        incident,
                        inspection,
                    });
                }
                Effect::Capture {
                    incident, intent, ..
                } => self.capture(incident, intent),
                Effect::Act(intent) => self.acts.push(intent),
                Effect::SetHookMode { .. } => {}
                // Without a catalogue nobody asks what a text means.
                Effect::Embed { .. } | Effect::Advise { .. } => {}
                Effect::Reply { answer, .. } => self.reply = Some(answer),
            }
        }
    }

    fn capture(&mut self, incident: IncidentId, intent: IntentId) {
        let at = self.now;
        let (journal, cgroup, missing) =
            (Vec::new(), std::collections::BTreeMap::new(), Vec::new());
        self.apply(Wake::Captured(Captured {
            incident,
            intent,
            at,
            journal,
            cgroup,
            parts: Vec::new(),
            missing,
        }));
    }

    fn inspection(&self) -> Inspection {
        Inspection {
            unit: Ok(UnitSnapshot {
                at: self.now,
                unit: web(),
                load_state: "loaded".into(),
                state: self.unit.clone(),
                slice: Some(UnitName::new("system.slice").unwrap()),
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

    fn proposal(&self) -> Proposal {
        self.state
            .proposals()
            .first()
            .cloned()
            .expect("a proposal waits")
    }

    fn approve(&mut self, proposal: &Proposal) -> Result<String, String> {
        self.ask(Command::Approve {
            incident: proposal.incident.clone(),
            binding: Some(proposal.binding.clone()),
        })
    }
}

#[test]
fn an_approved_proposal_is_carried_out_once() {
    let mut desk = Desk::with_failed_unit();
    let proposal = desk.proposal();
    assert_eq!(desk.acts, []);
    desk.approve(&proposal).unwrap();
    assert_eq!(desk.acts.len(), 1);
    assert_eq!(desk.acts[0].approved_by.as_deref(), Some("ann"));
    // A second yes finds nothing to approve.
    desk.approve(&proposal).unwrap_err();
    assert_eq!(desk.acts.len(), 1);
}

#[test]
fn an_approval_is_bound_to_what_was_shown() {
    let mut desk = Desk::with_failed_unit();
    let proposal = desk.proposal();
    let other = Proposal {
        binding: "0".repeat(64),
        ..proposal.clone()
    };
    assert!(desk.approve(&other).unwrap_err().contains("changed since"));
    // The unit failed again, in another way: what the operator saw is no longer so.
    desk.unit = state_of(ActiveState::Failed, "core-dump", "2");
    desk.approve(&proposal).unwrap();
    assert_eq!(desk.acts, []);
    assert_ne!(desk.proposal().binding, proposal.binding);
}

#[test]
fn a_proposal_expires_and_is_escalated() {
    let mut desk = Desk::with_failed_unit();
    let proposal = desk.proposal();
    desk.pass(Span::minutes(15));
    desk.approve(&proposal).unwrap_err();
    assert_eq!(desk.acts, []);
    assert_eq!(
        desk.state.status(&proposal.incident),
        Some(IncidentStatus::Escalated)
    );
}

#[test]
fn a_rejected_proposal_goes_to_people() {
    let mut desk = Desk::with_failed_unit();
    let incident = desk.proposal().incident;
    let reject = |reason: &str| Command::Reject {
        incident: incident.clone(),
        reason: reason.into(),
    };
    desk.ask(reject(" ")).unwrap_err();
    desk.ask(reject("known defect, see the ticket")).unwrap();
    assert_eq!(
        desk.state.status(&incident),
        Some(IncidentStatus::Escalated)
    );
    desk.pass(Span::minutes(1));
    assert_eq!(desk.acts, []);
}

#[test]
fn pause_and_inhibit_stop_what_was_approved() {
    let mut desk = Desk::with_failed_unit();
    let proposal = desk.proposal();
    desk.ask(Command::Pause {
        reason: "release".into(),
    })
    .unwrap();
    assert!(desk.approve(&proposal).unwrap_err().contains("release"));
    desk.ask(Command::Resume).unwrap();
    let inhibit = Command::Inhibit {
        unit: Some(web()),
        span: Span::minutes(5),
        reason: "migration".into(),
    };
    desk.ask(inhibit).unwrap();
    desk.approve(&proposal).unwrap();
    assert_eq!(
        desk.acts,
        [],
        "the inhibit was asked once more after the approval"
    );
    assert_eq!(
        desk.state.status(&proposal.incident),
        Some(IncidentStatus::Held)
    );
}

#[test]
fn every_command_is_recorded_accepted_or_not() {
    let mut desk = Desk::with_failed_unit();
    desk.ask(Command::Resume).unwrap_err();
    desk.ask(Command::LiftInhibit { id: 7 }).unwrap_err();
    desk.ask(Command::Pause {
        reason: "drill".into(),
    })
    .unwrap();
    let recorded: Vec<_> = desk
        .bodies
        .iter()
        .filter_map(|body| match body {
            Body::Command(record) => Some(record.accepted),
            _ => None,
        })
        .collect();
    assert_eq!(recorded, [false, false, true]);
}
