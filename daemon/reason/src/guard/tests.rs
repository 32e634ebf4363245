//! Each guard alone: what makes it object, and that nothing else does.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::{
    calendar::{Activity, Calendar, Due, Inhibitor, Purpose},
    decision::PlaybookRef,
    incident::IncidentId,
    intent::{Intent, IntentId},
    playbook::Verb,
    signal::{Fact, ProcessExec},
    time::{BootId, Span},
    unit::{ActiveState, Resources, UnitState, Vitals},
};

mod matched;
mod numbers;
mod setting;

use super::*;
use crate::playbook;

const NOW: At = At {
    boot_ns: 100_000_000_000_000,
    wall_ms: 1_790_000_000_000,
};

/// Everything a look borrows, all of it well.
struct Scene {
    policy: Policy,
    playbook: Playbook,
    target: UnitName,
    unit: Result<UnitSnapshot, String>,
    calendar: Calendar,
    unreadable: bool,
    facts: Facts,
    attempts: Attempts,
    inhibits: Vec<Inhibit>,
    paused: Option<String>,
    approved: Option<Operator>,
    ledger_failing: Option<String>,
    opinion: Opinion,
    check: EvidenceCheck,
}

fn name(unit: &str) -> UnitName {
    UnitName::new(unit).unwrap()
}

fn operator() -> Operator {
    Operator {
        uid: 1000,
        name: "ann".into(),
    }
}

fn scene() -> Scene {
    let text = include_str!("../../../../playbooks/unit-failed-restart.yaml");
    let mut attempts = Attempts::default();
    attempts.live(NOW, &BootId("b".into()));
    Scene {
        policy: Policy {
            phase: Phase::Autonomous,
            ..Policy::default()
        },
        playbook: playbook::parse("unit-failed-restart.yaml", text).unwrap(),
        target: name("web.service"),
        unit: Ok(UnitSnapshot {
            at: NOW,
            unit: name("web.service"),
            load_state: "loaded".into(),
            state: UnitState {
                active: ActiveState::Failed,
                sub: "failed".into(),
                result: "exit-code".into(),
                invocation_id: None,
                n_restarts: 0,
            },
            slice: Some(name("system.slice")),
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
        calendar: Calendar {
            at: NOW,
            ..Calendar::default()
        },
        unreadable: false,
        facts: Facts::default(),
        attempts,
        inhibits: Vec::new(),
        paused: None,
        approved: None,
        ledger_failing: None,
        opinion: Opinion::Silent("there is none here".into()),
        check: EvidenceCheck::default(),
    }
}

/// `guard` and nobody else objects in `scene`, with `stance`, and says `says`.
fn check(scene: &Scene, guard: &str, stance: Stance, says: &str) {
    let objections: Vec<_> = objections(scene);
    let names: Vec<_> = objections
        .iter()
        .map(|verdict| verdict.guard.as_str())
        .collect();
    assert_eq!(names, [guard], "{objections:?}");
    assert_eq!(objections[0].stance, stance, "{objections:?}");
    assert!(objections[0].reason.contains(says), "{objections:?}");
}

fn objections(scene: &Scene) -> Vec<GuardVerdict> {
    let calendar = if scene.unreadable {
        CalendarReading::Unreadable {
            at: NOW,
            reason: "the bus hangs".into(),
        }
    } else {
        CalendarReading::Readable(scene.calendar.clone())
    };
    let mut steps = scene.playbook.steps().iter();
    let mut verdicts = ask_all(&Look {
        moves: steps.any(|step| step.verb.moves()),
        subject: &Subject::Unit(scene.target.clone()),
        severity: Severity::Critical,
        now: NOW,
        policy: &scene.policy,
        playbook: &scene.playbook,
        target: &scene.target,
        unit: &scene.unit,
        calendar: &calendar,
        facts: &scene.facts,
        attempts: &scene.attempts,
        inhibits: &scene.inhibits,
        paused: scene.paused.as_deref(),
        approved: scene.approved.as_ref(),
        ledger_failing: scene.ledger_failing.as_deref(),
        opinion: &scene.opinion,
        check: &scene.check,
    });
    assert_eq!(verdicts.len(), ALL.len());
    verdicts.retain(|verdict| verdict.stance != Stance::Pass);
    verdicts
}

fn with_unit(change: impl FnOnce(&mut UnitSnapshot)) -> Scene {
    let mut scene = scene();
    change(scene.unit.as_mut().unwrap());
    scene
}

fn activity(name: &str, purpose: Purpose, related: &[&str]) -> Activity {
    Activity {
        name: name.into(),
        began_by: "nightly.timer".into(),
        purpose,
        pid: None,
        related: related
            .iter()
            .map(|unit| UnitName::new(*unit).unwrap())
            .collect(),
    }
}

#[test]
fn nobody_objects_when_all_is_well() {
    assert_eq!(objections(&scene()), []);
}

#[test]
fn lists_are_globs_and_reach_the_stop_closure() {
    let mut listed = scene();
    listed.policy.never = vec!["w?b.service".into()];
    check(&listed, "never_list", Stance::Refuse, "w?b.service");
    let mut closure = with_unit(|unit| unit.stop_closure = vec![name("db.service")]);
    closure.policy.never = vec!["db.*".into()];
    check(&closure, "never_list", Stance::Refuse, "db.service");
    let protected = Scene {
        target: name("sshd.service"),
        ..scene()
    };
    check(
        &protected,
        "protected_unit",
        Stance::Refuse,
        "part of the machine",
    );
}

#[test]
fn people_and_the_ledger_can_stop_everything() {
    let paused = Scene {
        paused: Some("release (by ann)".into()),
        ..scene()
    };
    check(&paused, "paused", Stance::Wait, "release");
    let failing = Scene {
        ledger_failing: Some("no space".into()),
        ..scene()
    };
    check(&failing, "ledger", Stance::Wait, "no space");
}

#[test]
fn what_is_not_fresh_or_not_loaded_is_left_alone() {
    let old = with_unit(|unit| unit.at.boot_ns -= 11_000_000_000);
    check(&old, "fresh_telemetry", Stance::Wait, "11 s old");
    let masked = with_unit(|unit| unit.load_state = "masked".into());
    check(&masked, "fresh_telemetry", Stance::Refuse, "masked");
    let refuses = with_unit(|unit| unit.refuse_manual_start = true);
    check(
        &refuses,
        "fresh_telemetry",
        Stance::Refuse,
        "RefuseManualStart",
    );
}

#[test]
fn a_running_backup_protects_every_unit() {
    let mut backup = scene();
    backup.calendar.running = vec![activity("db-backup.service", Purpose::Backup, &[])];
    check(
        &backup,
        "calendar",
        Stance::Wait,
        "db-backup.service is running, begun by nightly.timer",
    );
    let mut other = scene();
    other.calendar.running = vec![activity("report.service", Purpose::Other, &["web.service"])];
    check(
        &other,
        "calendar",
        Stance::Wait,
        "it works with web.service",
    );
    let mut unrelated = scene();
    unrelated.calendar.running = vec![activity("report.service", Purpose::Other, &["db.service"])];
    assert_eq!(objections(&unrelated), []);
}

#[test]
fn a_backup_program_without_a_unit_is_seen_at_exec() {
    let mut scene = scene();
    let exec = ProcessExec {
        pid: 9,
        started_boot_ns: 5,
        comm: "pg_dump".into(),
        cgroup_id: 1,
    };
    scene
        .facts
        .learn_program(&Fact::ProcessExec(exec), NOW, |_| Some(Purpose::Backup));
    check(&scene, "calendar", Stance::Wait, "pg_dump has been running");
    // Its exit was lost, but a later look at /proc does not show it.
    let later = At {
        boot_ns: NOW.boot_ns + 3_000_000_000,
        ..NOW
    };
    scene.facts.reconcile_programs(later, &[]);
    assert_eq!(objections(&scene), []);
}

#[test]
fn work_that_is_due_counts_as_running() {
    let due = |in_s: i64| {
        let mut scene = scene();
        scene.calendar.due = vec![Due {
            timer: name("db-backup.timer"),
            unit: name("db-backup.service"),
            at_wall_ms: NOW.wall_ms + in_s * 1000,
            purpose: Purpose::Backup,
            related: Vec::new(),
        }];
        scene
    };
    check(&due(60), "calendar", Stance::Wait, "due in 60 s");
    assert_eq!(objections(&due(121)), []);
}

#[test]
fn an_unreadable_or_old_calendar_means_hold() {
    let unreadable = Scene {
        unreadable: true,
        ..scene()
    };
    check(&unreadable, "calendar", Stance::Wait, "the bus hangs");
    let mut old = scene();
    old.calendar.at.boot_ns -= 11_000_000_000;
    check(&old, "calendar", Stance::Wait, "11 s ago");
}

#[test]
fn inhibits_hold_by_either_clock() {
    let inhibit = |unit: Option<&str>, from: At| Inhibit {
        id: 1,
        unit: unit.map(name),
        from,
        span: Span::minutes(10),
        reason: "migration".into(),
        by: operator(),
    };
    let ago = |boot_s: u64, wall_s: i64| At {
        boot_ns: NOW.boot_ns - boot_s * 1_000_000_000,
        wall_ms: NOW.wall_ms - wall_s * 1000,
    };
    let with = |inhibit| Scene {
        inhibits: vec![inhibit],
        ..scene()
    };
    check(
        &with(inhibit(None, ago(60, 60))),
        "inhibitor",
        Stance::Wait,
        "migration",
    );
    check(
        &with(inhibit(Some("web.service"), ago(60, 86_400))),
        "inhibitor",
        Stance::Wait,
        "ann",
    );
    check(
        &with(inhibit(Some("web.service"), ago(700, 60))),
        "inhibitor",
        Stance::Wait,
        "ann",
    );
    assert_eq!(objections(&with(inhibit(None, ago(700, 700)))), []);
    assert_eq!(
        objections(&with(inhibit(Some("db.service"), ago(60, 60)))),
        []
    );
}

#[test]
fn only_blocking_locks_against_shutdown_count() {
    let with = |what: &str, mode: &str| {
        let mut scene = scene();
        scene.calendar.inhibitors = vec![Inhibitor {
            what: what.into(),
            who: "apt".into(),
            why: "upgrade".into(),
            mode: mode.into(),
        }];
        scene
    };
    check(
        &with("shutdown:sleep", "block"),
        "inhibitor",
        Stance::Wait,
        "upgrade",
    );
    assert_eq!(objections(&with("sleep", "block")), []);
    assert_eq!(objections(&with("shutdown", "delay")), []);
}

#[test]
fn systemds_own_job_comes_first() {
    let queued = with_unit(|unit| unit.pending_job = Some("start".into()));
    check(&queued, "pending_job", Stance::Wait, "`start` job");
    let activating = with_unit(|unit| unit.state.active = ActiveState::Activating);
    check(&activating, "pending_job", Stance::Wait, "activating");
}

#[test]
fn the_last_start_is_left_to_people() {
    let with_starts = |starts: u32| {
        let mut scene = scene();
        for number in 0..=starts {
            let state = UnitState {
                active: ActiveState::Failed,
                sub: "failed".into(),
                result: "exit-code".into(),
                invocation_id: Some(number.to_string()),
                n_restarts: 0,
            };
            scene.facts.learn_state(&name("web.service"), &state, NOW);
        }
        scene
    };
    assert_eq!(objections(&with_starts(3)), []);
    check(
        &with_starts(4),
        "start_limit",
        Stance::Wait,
        "4 of 5 starts",
    );
}

fn after_attempts(playbook: &str, on: &[&str], ago: Span) -> Scene {
    let mut scene = scene();
    let boot = BootId("b".into());
    let then_ns = NOW.boot_ns - u64::try_from(ago.0.as_nanos()).unwrap();
    let then = At {
        boot_ns: then_ns,
        wall_ms: NOW.wall_ms - i64::try_from(ago.0.as_millis()).unwrap(),
    };
    let mut attempts = Attempts::default();
    attempts.live(then, &boot);
    for unit in on {
        attempts.add(&Intent {
            id: IntentId("i/1.1".into()),
            at: then,
            boot: boot.clone(),
            incident: IncidentId("i".into()),
            playbook: PlaybookRef {
                name: playbook.into(),
                version: 1,
                sha256: String::new(),
            },
            verb: Verb::Restart,
            unit: name(unit),
            slice: Some(name("system.slice")),
            wait_max: Span::secs(1),
            invocation_before: None,
            closure_before: Vec::new(),
            approved_by: None,
            change: None,
            inverse: None,
            undoes: None,
        });
    }
    attempts.live(NOW, &boot);
    scene.attempts = attempts;
    scene
}

#[test]
fn attempts_count_per_playbook_unit_and_slice() {
    let again = after_attempts("unit-failed-restart", &["web.service"], Span::minutes(30));
    let names: Vec<_> = objections(&again)
        .into_iter()
        .map(|verdict| verdict.guard)
        .collect();
    assert_eq!(names, ["previous_attempt", "unit_rate"]);
    let other = after_attempts("another", &["web.service"], Span::minutes(4));
    let names: Vec<_> = objections(&other)
        .into_iter()
        .map(|verdict| verdict.guard)
        .collect();
    assert_eq!(names, ["cooldown", "unit_rate"]);
    let slice = after_attempts(
        "another",
        &["a.service", "b.service", "c.service"],
        Span::minutes(59),
    );
    check(
        &slice,
        "slice_rate",
        Stance::Wait,
        "3 of 3 attempts in system.slice",
    );
    let two = after_attempts("another", &["a.service", "b.service"], Span::minutes(1));
    assert_eq!(objections(&two), []);
    let old = after_attempts("unit-failed-restart", &["web.service"], Span::minutes(60));
    assert_eq!(objections(&old), []);
}

#[test]
fn phases_and_approvals() {
    let mut observe = scene();
    observe.policy.phase = Phase::Observe;
    check(&observe, "phase", Stance::Shadow, "observe");
    let mut assist = scene();
    assist.policy.phase = Phase::Assist;
    check(&assist, "approval", Stance::Ask, "assist");
    assist.approved = Some(operator());
    assert_eq!(objections(&assist), []);
    let mut listed = scene();
    listed.policy.approval_for = vec!["web*".into()];
    check(&listed, "approval", Stance::Ask, "web*");
    let mut held_lower = scene();
    held_lower.playbook.phase_max = Phase::Observe;
    check(&held_lower, "phase", Stance::Shadow, "observe");
}
