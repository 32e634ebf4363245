//! Setting a unit's properties in a real systemd, and taking them back when that did not help: by the
//! real daemon, also when it dies on the way, and never over somebody else's change.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{os::unix::process::ExitStatusExt as _, process::Child};

use hostmedic_model::{
    incident::IncidentStatus,
    intent::Intent,
    outcome::Outcome,
    playbook::Verb,
    property::{Change, Property, Setting},
    record::Body,
    unit::ActiveState,
};
use hostmedic_respond::systemd::act;
use hostmedic_tests::{daemon::Stage, nspawn::Nspawn};
use support::{boot, connect, inspect, intent, refusal, show, start, word};

const SLEEPER: &str = "[Service]\nExecStart=sleep infinity\n";

fn set(name: &str, property: Property, from: Setting, to: Setting) -> Intent {
    Intent {
        change: Some(Change { property, from, to }),
        ..intent(Verb::SetProperty, name)
    }
}

/// Goal: every property of the list is set and read back as it was meant, "none" included.
#[tokio::test]
async fn every_property_is_set_and_taken_back() {
    let machine = boot();
    let conn = connect(&machine).await;
    start(&machine, "plain.service", SLEEPER);
    let before = inspect(&conn, "plain.service").await.resources.set;
    for (property, value) in [
        (Property::MemoryHigh, 64 << 20),
        (Property::MemoryLow, 8 << 20),
        (Property::MemorySwapMax, 0),
        (Property::CpuWeight, 20),
        (Property::CpuQuota, 500_000),
        (Property::TasksMax, 77),
        (Property::IoWeight, 30),
    ] {
        let from = before[&property];
        assert_ne!(from, Setting(value), "{property}: nothing would change");
        let change = set("plain.service", property, from, Setting(value));
        let end = act(&conn, &change).await;
        assert_eq!(word(&end), "done", "{property}: {:?}", end.result);
        let after = inspect(&conn, "plain.service").await.resources.set;
        assert_eq!(after[&property], Setting(value), "{property}");

        let back = set("plain.service", property, Setting(value), from);
        assert_eq!(word(&act(&conn, &back).await), "done", "{property}");
        let after = inspect(&conn, "plain.service").await.resources.set;
        assert_eq!(after, before, "{property}");
    }
    // Until the next boot: nothing below /etc.
    let lasting = "ls /etc/systemd/system.control 2>/dev/null | wc -l";
    assert_eq!(machine.sh(lasting).unwrap(), "0");
}

#[tokio::test]
async fn a_value_that_systemd_does_not_take_is_refused() {
    let machine = boot();
    let conn = connect(&machine).await;
    start(&machine, "plain.service", SLEEPER);
    let wrong = set(
        "plain.service",
        Property::CpuWeight,
        Setting::NONE,
        Setting(20_000),
    );
    let end = act(&conn, &wrong).await;
    assert!(
        refusal(&end).contains("set-property plain.service"),
        "{}",
        refusal(&end)
    );
    assert_eq!(show(&machine, "plain.service", "CPUWeight"), "[not set]");
    let end = act(&conn, &intent(Verb::SetProperty, "plain.service")).await;
    assert!(
        refusal(&end).contains("does not say what"),
        "{}",
        refusal(&end)
    );
}

#[tokio::test]
async fn units_are_reloaded_and_stopped() {
    let machine = boot();
    let conn = connect(&machine).await;
    let reloads = "ExecReload=/bin/sh -c 'echo reloaded >> /run/reloads'\n";
    start(&machine, "plain.service", &format!("{SLEEPER}{reloads}"));
    let end = act(&conn, &intent(Verb::Reload, "plain.service")).await;
    assert_eq!(word(&end), "done");
    assert_eq!(machine.sh("cat /run/reloads").unwrap(), "reloaded");

    let end = act(&conn, &intent(Verb::Stop, "plain.service")).await;
    assert_eq!(word(&end), "done");
    assert_eq!(end.after.unwrap().state.active, ActiveState::Inactive);
    let end = act(&conn, &intent(Verb::Start, "plain.service")).await;
    assert_eq!(end.after.unwrap().state.active, ActiveState::Active);
}

/// Caps a unit that crashes; the check decides whether that helped.
fn playbook(check: &str) -> String {
    format!(
        "# For the tests of taking back.
apiVersion: v1
kind: Playbook
metadata: {{ name: cap, version: 1, owner: tests }}
describe: {{ summary: A unit crashes and starts again; it is capped until somebody has looked. }}
trigger:
  all:
    - {{ signal: unit.state, within: 10min, bind: {{ unit: event.unit }} }}
    - {{ state: unit, where: {{ active_state: [active], restart_policy: [on-failure] }} }}
target: {{ kind: unit, name: \"{{{{ unit }}}}\", max_targets: 1, deny: [\"class:protected\"] }}
risk:
  class: reversible
  reversible: true
  stateful: allow
  idempotent: {{ value: true, why: the same value twice is the same value }}
autonomy: {{ max_phase: autonomous }}
limits: {{ per_target: 1/1h, per_slice: 3/1h, cooldown: 5min }}
concurrency: {{ group: \"unit:{{{{ unit }}}}\", on_conflict: wait }}
windows: {{ forbid: [maintenance, backup, package_transaction] }}
pre_execution_checks:
  - {{ name: fresh, type: telemetry.fresh, with: {{ max_age: 10s }}, fail_action: wait, reason: nothing acts on old news }}
capture: [unit.snapshot]
steps:
  - {{ id: weight, uses: systemd.set_cpu_weight, with: {{ unit: \"{{{{ unit }}}}\", to: 20 }}, timeout: 10s }}
  - {{ id: tasks, uses: systemd.set_tasks_max, with: {{ unit: \"{{{{ unit }}}}\", to: 300 }}, timeout: 10s }}
verify:
  settle: 2s
  window: 5s
  all:
    - {{ check: unit.active, fail_action: escalate }}
    - {{ {check}, fail_action: rollback }}
rollback:
  steps: [{{ id: undo, uses: undo.journal }}]
escalate: {{ to: [\"notify:oncall\"] }}
"
    )
}

/// No host uses so little, so it never holds.
const NEVER: &str =
    "check: measure.below, with: { measure: memory_used_ratio, limit: 0.1%, of: host }";
const ALWAYS: &str = "check: unit.active";

/// A unit with a limit of its own, and the daemon beside it.
struct Scene<'a> {
    unit: String,
    stage: Stage<'a>,
}

impl<'a> Scene<'a> {
    fn set(machine: &'a Nspawn, name: &str, check: &str) -> Self {
        let unit = format!("{name}.service");
        let own = "Restart=on-failure\nRestartSec=500ms\nTasksMax=500\n";
        start(machine, &unit, &format!("{SLEEPER}{own}"));
        let stage = Stage::set(machine, &unit, ("cap.yaml", &playbook(check)));
        Self { unit, stage }
    }

    /// Starts the daemon, and lets the unit crash once it is known.
    fn begin(&self, crash_at: &str) -> Child {
        let child = self.stage.start(crash_at);
        let machine = self.stage.machine();
        machine
            .sh(&format!("systemctl kill -s KILL {}", self.unit))
            .unwrap();
        child
    }

    /// `CPUWeight` and `TasksMax`, as systemd says.
    fn limits(&self) -> (String, String) {
        let show = |property| show(self.stage.machine(), &self.unit, property);
        (show("CPUWeight"), show("TasksMax"))
    }

    /// Waits for the incident's end; its status and what people were told.
    fn ended(&self) -> (IncidentStatus, String) {
        self.stage.wait("the end of the incident", || {
            let records = self.stage.records();
            records.into_iter().find_map(|record| match record.body {
                Body::IncidentClosed { status, reason, .. } => Some((status, reason)),
                _ => None,
            })
        })
    }

    fn intents(&self) -> Vec<String> {
        let records = self.stage.records();
        let short = |intent: &Intent| intent.id.0.split_once('/').unwrap().1.to_owned();
        let intents = records.iter().filter_map(|record| match &record.body {
            Body::Intent(intent) => Some(short(intent)),
            _ => None,
        });
        intents.collect()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let records = self.stage.records().into_iter();
        let outcomes = records.filter_map(|record| match record.body {
            Body::Outcome(outcome) => Some(outcome),
            _ => None,
        });
        outcomes.collect()
    }
}

fn as_before() -> (String, String) {
    ("[not set]".to_owned(), "500".to_owned())
}

fn as_capped() -> (String, String) {
    ("20".to_owned(), "300".to_owned())
}

/// Goal: what did not help is gone, read over D-Bus, and the chain tells each step of it.
#[test]
fn what_did_not_help_is_taken_back() {
    let machine = boot();
    let scene = Scene::set(&machine, "hog", NEVER);
    assert_eq!(scene.limits(), as_before());
    let child = scene.begin("");
    scene
        .stage
        .wait("the cap", || (scene.limits() == as_capped()).then_some(()));
    let (status, told) = scene.ended();
    assert_eq!(scene.limits(), as_before(), "{told}");
    assert_eq!(status, IncidentStatus::Escalated);
    assert!(
        told.contains(
            "; taken back: set TasksMax=500 (was TasksMax=300) of hog.service, set CPUWeight="
        ),
        "{told}"
    );
    assert_eq!(scene.intents(), ["1.1", "1.2", "1.2.undo", "1.1.undo"]);
    assert_eq!(scene.outcomes().len(), 3);
    scene.stage.terminate(child);
    scene.stage.verify_chain();
}

#[test]
fn what_helped_stays() {
    let machine = boot();
    let scene = Scene::set(&machine, "hog", ALWAYS);
    let child = scene.begin("");
    let (status, told) = scene.ended();
    assert_eq!(status, IncidentStatus::Resolved, "{told}");
    assert_eq!(scene.limits(), as_capped());
    assert_eq!(scene.intents(), ["1.1", "1.2"]);
    scene.stage.terminate(child);
}

#[test]
fn what_somebody_else_set_meanwhile_is_left_alone() {
    let machine = boot();
    let scene = Scene::set(&machine, "hog", NEVER);
    let child = scene.begin("");
    scene
        .stage
        .wait("the cap", || (scene.limits() == as_capped()).then_some(()));
    let command = "systemctl set-property --runtime hog.service TasksMax=77";
    machine.sh(command).unwrap();
    let (status, told) = scene.ended();
    assert_eq!(status, IncidentStatus::Escalated);
    assert_eq!(scene.limits(), ("[not set]".to_owned(), "77".to_owned()));
    assert!(
        told.contains("somebody changed it meanwhile, it is TasksMax=77"),
        "{told}"
    );
    assert_eq!(scene.intents(), ["1.1", "1.2", "1.1.undo"]);
    scene.stage.terminate(child);
}

/// Goal: wherever the daemon dies, what was set is taken back once, after it is there again.
#[test]
fn no_death_leaves_a_cap_behind_or_takes_it_back_twice() {
    let machine = boot();
    for (number, point) in [
        "intent-durable",
        "call-sent",
        "unit-reread",
        "step-ended-durable",
        "check-begun",
        "outcome-known",
        "outcome-durable",
        "undo-intent-durable",
        "undo-call-sent",
    ]
    .into_iter()
    .enumerate()
    {
        println!("dying at {point}");
        let scene = Scene::set(&machine, &format!("hog{number}"), NEVER);
        let mut child = scene.begin(point);
        let status = scene
            .stage
            .end(&mut child, &format!("the death at {point}"));
        assert_eq!(
            status.signal(),
            Some(nix::libc::SIGABRT),
            "{point}: {status}"
        );

        let child = scene.stage.start("");
        let (status, told) = scene.ended();
        assert_eq!(status, IncidentStatus::Escalated, "{point}: {told}");
        let (weight, tasks) = scene.limits();
        // What was about to be called when it died is looked at and never called again.
        let never_called = point == "undo-intent-durable";
        let expected = if never_called { "300" } else { "500" };
        assert_eq!(
            (weight.as_str(), tasks.as_str()),
            ("[not set]", expected),
            "{point}: {told}"
        );
        assert_eq!(
            told.contains("not taken back"),
            never_called,
            "{point}: {told}"
        );
        let mut intents = scene.intents();
        let all = intents.len();
        intents.sort();
        intents.dedup();
        assert_eq!(intents.len(), all, "{point}: meant twice: {intents:?}");
        scene.stage.terminate(child);
        scene.stage.verify_chain();
    }
}
