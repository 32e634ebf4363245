//! Kills the real daemon at every named point between an intent and its outcome, against a real
//! systemd, and starts it again.
//!
//! Whatever the point: no act without a durable intent, no second act, the intent is said to be
//! indeterminate, it is verified, and the chain verifies.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    os::unix::process::ExitStatusExt as _, path::Path, process::Command, thread::sleep,
    time::Duration,
};

use hostmedic_model::{
    outcome::Verification,
    record::{Body, Record},
};
use hostmedic_tests::{
    daemon::Stage,
    nspawn::{Nspawn, Options},
};

/// Every point, and whether systemd had been asked by then.
const POINTS: [(&str, Asked); 11] = [
    ("intent-durable", Asked::No),
    ("evidence-captured", Asked::No),
    ("evidence-durable", Asked::No),
    ("before-call", Asked::No),
    ("call-sent", Asked::Yes),
    ("job-ended", Asked::Yes),
    ("unit-reread", Asked::Yes),
    ("step-ended-durable", Asked::Yes),
    ("check-begun", Asked::Yes),
    ("outcome-known", Asked::Yes),
    ("outcome-durable", Asked::Yes),
];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Asked {
    No,
    Yes,
}

/// Tried once, verified quickly: the shipped playbook's spans would only make the test slow.
const PLAYBOOK: &str = "\
# For the crash test: as the shipped one, with short spans.
apiVersion: v1
kind: Playbook
metadata: { name: unit-failed-restart, version: 1, owner: tests }
describe: { summary: A unit failed and has no automatic restart; one restart is tried. }
trigger:
  all:
    - { signal: unit.state, within: 10min, bind: { unit: event.unit } }
    - { state: unit, where: { active_state: [failed], result: [signal], restart_policy: [\"no\"] } }
target: { kind: unit, name: \"{{ unit }}\", max_targets: 1, deny: [\"class:protected\"] }
risk:
  class: disruptive
  reversible: true
  stateful: allow
  idempotent: { value: true, why: the unit is dead before it }
autonomy: { max_phase: autonomous }
limits: { per_target: 1/1h, per_slice: 3/1h, cooldown: 5min }
concurrency: { group: \"unit:{{ unit }}\", on_conflict: wait }
windows: { forbid: [maintenance, backup] }
pre_execution_checks:
  - { name: fresh, type: telemetry.fresh, with: { max_age: 10s }, fail_action: wait, reason: nothing acts on old news }
  - { name: cascade, type: unit.stop_closure, with: { max_active: 3 }, fail_action: wait, reason: a restart stops others }
capture: [unit.snapshot]
steps:
  - { id: restart, uses: systemd.restart, with: { unit: \"{{ unit }}\" }, timeout: 20s }
verify:
  settle: 1s
  window: 4s
  all:
    - { check: unit.active, fail_action: escalate }
    - { check: unit.new_invocation, fail_action: escalate }
    - { check: unit.closure_restored, fail_action: escalate }
rollback: { none: nothing was running before it }
escalate: { to: [\"notify:oncall\"] }
";

/// A unit that notes each of its starts, and a daemon that looks after it.
fn set<'a>(machine: &'a Nspawn, name: &str) -> (String, Stage<'a>) {
    let unit = format!("victim-{name}.service");
    let text = format!(
        "[Service]\nExecStartPre=/bin/sh -c 'echo start >> /run/starts-{name}'\nExecStart=/bin/sleep infinity\nRestart=no\n"
    );
    machine.write_unit(&unit, &text).unwrap();
    machine.sh(&format!("systemctl start {unit}")).unwrap();
    let stage = Stage::set(machine, &unit, ("unit-failed-restart.yaml", PLAYBOOK));
    (unit, stage)
}

fn starts(machine: &Nspawn, name: &str) -> usize {
    machine
        .sh(&format!("cat /run/starts-{name}"))
        .unwrap()
        .lines()
        .count()
}

fn count(records: &[Record], which: impl Fn(&Body) -> bool) -> usize {
    records.iter().filter(|record| which(&record.body)).count()
}

/// Goal: at no point does a death lose the record of an act, or make a second one.
/// Method: die there, look at systemd and the ledger, start again, look once more.
#[test]
fn no_crash_point_acts_unrecorded_or_twice() {
    let machine = Nspawn::boot(&Options::default()).unwrap();
    for (number, (point, asked)) in POINTS.iter().enumerate() {
        println!("dying at {point}");
        // Units of one slice share its limit of three an hour, but each stage has a ledger of
        // its own.
        let name = format!("{number}");
        let (unit, stage) = set(&machine, &name);
        let mut child = stage.start(point);
        machine
            .sh(&format!("systemctl kill -s KILL {unit}"))
            .unwrap();
        let status = stage.end(&mut child, &format!("the death at {point}"));
        assert_eq!(
            status.signal(),
            Some(nix::libc::SIGABRT),
            "{point}: {status}"
        );

        let before = stage.records();
        assert_eq!(
            count(&before, |body| matches!(body, Body::Intent(_))),
            1,
            "{point}: an act's intent is durable before it"
        );
        stage.verify_chain();

        let child = stage.start("");
        let outcome = stage.wait(&format!("the outcome after {point}"), || {
            stage
                .records()
                .into_iter()
                .find_map(|record| match record.body {
                    Body::Outcome(outcome) => Some(outcome),
                    _ => None,
                })
        });
        // Time enough for a second try, if there were one.
        sleep(Duration::from_secs(2));
        stage.terminate(child);

        let after = stage.records();
        assert_eq!(
            count(&after, |body| matches!(body, Body::Intent(_))),
            1,
            "{point}: never a second intent"
        );
        assert_eq!(
            count(&after, |body| matches!(body, Body::Outcome(_))),
            1,
            "{point}"
        );
        let unknown = usize::from(*point != "outcome-durable");
        assert_eq!(
            count(&after, |body| matches!(body, Body::Indeterminate { .. })),
            unknown,
            "{point}"
        );
        // One start by us at the beginning, and at most one by the daemon.
        let (starts, expected) = (
            starts(&machine, &name),
            1 + usize::from(*asked == Asked::Yes),
        );
        assert_eq!(starts, expected, "{point}: {}", stage.log());
        let verification = if *asked == Asked::Yes {
            Verification::Resolved
        } else {
            Verification::Unchanged
        };
        assert_eq!(
            outcome.verification, verification,
            "{point}: {:?}",
            outcome.checks
        );
        stage.verify_chain();
    }
}

/// Goal: limits survive a death: what was done before it counts after it.
#[test]
fn a_limit_holds_over_a_death() {
    let machine = Nspawn::boot(&Options::default()).unwrap();
    let (unit, stage) = set(&machine, "limit");
    let mut child = stage.start("outcome-durable");
    machine
        .sh(&format!("systemctl kill -s KILL {unit}"))
        .unwrap();
    stage.end(&mut child, "the death after the outcome");
    assert_eq!(starts(&machine, "limit"), 2);

    let child = stage.start("");
    machine
        .sh(&format!("systemctl kill -s KILL {unit}"))
        .unwrap();
    stage.wait("the second failure to be escalated", || {
        stage
            .records()
            .iter()
            .rev()
            .find_map(|record| match &record.body {
                Body::Decision(decision) if decision.reason.starts_with("previous_attempt") => {
                    Some(())
                }
                _ => None,
            })
    });
    stage.terminate(child);
    assert_eq!(
        starts(&machine, "limit"),
        2,
        "touched again: {}",
        stage.log()
    );
    stage.verify_chain();
}

/// Goal: a restart forgets neither what happened nor what is usual, and a replay of it decides as the
/// daemon did.
#[test]
fn what_was_heard_and_learned_outlives_the_daemon() {
    let machine = Nspawn::boot(&Options::default()).unwrap();
    let (unit, stage) = set(&machine, "heard");
    let child = stage.start("");
    machine
        .sh(&format!("systemctl kill -s KILL {unit}"))
        .unwrap();
    stage.wait("the outcome", || {
        let is_outcome = |body: &Body| matches!(body, Body::Outcome(_));
        (stage.count(is_outcome) > 0).then_some(())
    });
    stage.terminate(child);

    let before = stage.log().len();
    let child = stage.start("");
    let log = stage.log();
    for what in ["baselines", "habits"] {
        let line = format!("Took the {what} of the last run back.");
        assert!(log[before..].contains(&line), "{what}: {log}");
        assert!(!log[..before].contains(&line), "{what}: {log}");
    }
    let heard = medic(
        &stage,
        &[
            "events",
            "--unit",
            &unit,
            "--kind",
            "unit_state",
            "--since",
            "1h",
        ],
    );
    assert!(heard.contains("failed (failed, signal)"), "{heard}");
    let replayed = medic(&stage, &["replay", "--since", "1h"]);
    let is_decision = |line: &&str| line.contains("decision") && line.contains("shadow");
    let decision = replayed.lines().find(is_decision).unwrap_or_default();
    assert!(decision.contains("unit-failed-restart"), "{replayed}");
    stage.terminate(child);
}

/// What `medic` says to these words.
fn medic(stage: &Stage, words: &[&str]) -> String {
    let bins = std::env::var_os("HOSTMEDIC_BIN_DIR")
        .expect("HOSTMEDIC_BIN_DIR: run by `cargo xtask test`");
    let output = Command::new(Path::new(&bins).join("medic"))
        .arg("--socket")
        .arg(stage.socket())
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    said
}
