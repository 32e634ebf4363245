//! Acting on a real systemd: our own job is waited for, and its word is not believed blindly.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;

use hostmedic_model::{
    intent::Intent,
    outcome::StepResult,
    playbook::Verb,
    sample::{Measure, Series},
    subject::Subject,
    time::Span,
    unit::ActiveState,
};
use hostmedic_observe::bus::inspect::down;
use hostmedic_observe::host::{Sampler, clock::now};
use hostmedic_observe::subject::Subjects;
use hostmedic_respond::{
    capture::{Asked, Capture},
    systemd::act,
};
use support::{boot, connect, eventually, inspect, intent, refusal, show, start, unit, word};

/// What is always captured, for `intent`.
fn asked(intent: Intent) -> Asked {
    Asked {
        incident: intent.incident,
        intent: intent.id,
        about: vec![Subject::Unit(intent.unit.clone())],
        unit: intent.unit,
        wanted: Vec::new(),
    }
}

const SLEEPER: &str = "[Service]\nExecStart=sleep infinity\n";

/// Goal: a restart is proved by a new invocation.
#[tokio::test]
async fn restart_gives_a_new_invocation() {
    let machine = boot();
    let conn = connect(&machine).await;
    start(&machine, "plain.service", SLEEPER);
    let began = std::time::Instant::now();
    let before = inspect(&conn, "plain.service").await;
    eprintln!("inspecting took {:?}", began.elapsed());
    let began = std::time::Instant::now();
    let end = act(&conn, &intent(Verb::Restart, "plain.service")).await;
    eprintln!("restarting and looking again took {:?}", began.elapsed());
    assert_eq!(word(&end), "done");
    let after = end.after.unwrap();
    assert_eq!(after.state.active, ActiveState::Active);
    assert_ne!(after.state.invocation_id, before.state.invocation_id);
    assert_ne!(after.main_pid, before.main_pid);
    assert_eq!(after.control_group, "/system.slice/plain.service");
    assert_eq!(after.slice, Some(unit("system.slice")));
}

/// Goal: pitfall 1. Our own restarts spend the unit's start budget.
/// Method: burst 4; four restarts are done, the fifth is not, and the healthy service is down.
#[tokio::test]
async fn our_restarts_spend_the_start_limit() {
    let machine = boot();
    let conn = connect(&machine).await;
    let limited = "[Unit]\nStartLimitBurst=4\nStartLimitIntervalSec=600\n";
    // The first start spends one of the four.
    start(&machine, "limited.service", &format!("{limited}{SLEEPER}"));
    let snapshot = inspect(&conn, "limited.service").await;
    assert_eq!(snapshot.start_limit_burst, 4, "the guard needs the budget");
    assert_eq!(snapshot.start_limit_interval, Span::secs(600));
    for n in 0..3 {
        let end = act(&conn, &intent(Verb::Restart, "limited.service")).await;
        assert_eq!(word(&end), "done", "restart {n}");
    }
    let end = act(&conn, &intent(Verb::Restart, "limited.service")).await;
    assert_eq!(word(&end), "failed");
    let after = end.after.unwrap().state;
    assert_eq!(
        (after.active, after.result.as_str()),
        (ActiveState::Failed, "start-limit-hit")
    );

    // ResetFailed gives the budget back, and has no job.
    let end = act(&conn, &intent(Verb::ResetFailed, "limited.service")).await;
    assert_eq!(
        end.result,
        StepResult::Job {
            result: "done".to_owned(),
            path: String::new()
        }
    );
    let end = act(&conn, &intent(Verb::Start, "limited.service")).await;
    assert_eq!(word(&end), "done");
}

/// Goal: pitfall 2. Dependents go down with a unit that fails, and stay down when it is back.
/// Method: the closure read before names the chain; afterwards it is found to be down.
#[tokio::test]
async fn dependents_stay_down_and_are_known() {
    let machine = boot();
    let conn = connect(&machine).await;
    let limited = "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=600\n";
    machine
        .write_unit("base.service", &format!("{limited}{SLEEPER}"))
        .unwrap();
    let needs = |what: &str| format!("[Unit]\nRequires={what}\nAfter={what}\n{SLEEPER}");
    machine
        .write_unit("mid.service", &needs("base.service"))
        .unwrap();
    machine
        .write_unit("idle.service", &needs("base.service"))
        .unwrap();
    start(&machine, "top.service", &needs("mid.service"));
    machine.sh("systemctl start base.service").unwrap();

    let before = inspect(&conn, "base.service").await;
    assert_eq!(
        before.stop_closure,
        [unit("mid.service"), unit("top.service")]
    );
    // The second start is one too many, so the restart fails and takes all three down.
    let end = act(&conn, &intent(Verb::Restart, "base.service")).await;
    assert_eq!(word(&end), "failed");
    act(&conn, &intent(Verb::ResetFailed, "base.service")).await;
    let end = act(&conn, &intent(Verb::Start, "base.service")).await;
    assert_eq!(end.after.unwrap().state.active, ActiveState::Active);
    let down = down(&conn, &before.stop_closure).await.unwrap();
    assert_eq!(down, before.stop_closure, "systemd did not bring them back");
}

/// Goal: pitfall 3. A closure read after the fact is empty: dependents are unloaded by then.
#[tokio::test]
async fn closure_is_empty_once_dependents_are_unloaded() {
    let machine = boot();
    let conn = connect(&machine).await;
    start(&machine, "store.service", SLEEPER);
    start(
        &machine,
        "client.service",
        &format!("[Unit]\nRequires=store.service\n{SLEEPER}"),
    );
    let before = inspect(&conn, "store.service").await;
    assert_eq!(before.stop_closure, [unit("client.service")]);
    machine.sh("systemctl stop client.service").unwrap();
    let required_by = eventually("client.service to be unloaded", async || {
        let units = show(&machine, "store.service", "RequiredBy");
        units.is_empty().then_some(units)
    });
    required_by.await;
    assert!(
        inspect(&conn, "store.service")
            .await
            .stop_closure
            .is_empty()
    );
}

/// Goal: pitfall 4. `NRestarts` falls back to zero by a restart; only the invocation tells.
#[tokio::test]
async fn n_restarts_lies_and_the_invocation_does_not() {
    let machine = boot();
    let conn = connect(&machine).await;
    let crashing = "[Service]\nRestart=on-failure\nRestartSec=10ms\nExecStart=sleep infinity\n";
    start(&machine, "crashing.service", crashing);
    let first = inspect(&conn, "crashing.service").await;
    assert_eq!(first.restart_policy, "on-failure");
    machine
        .sh("systemctl kill --signal=SEGV crashing.service")
        .unwrap();
    let crashed = eventually("systemd's own restart", async || {
        let now = inspect(&conn, "crashing.service").await;
        (now.state.n_restarts == 1 && now.state.active == ActiveState::Active).then_some(now)
    })
    .await;
    assert_ne!(crashed.state.invocation_id, first.state.invocation_id);
    let end = act(&conn, &intent(Verb::Restart, "crashing.service")).await;
    let after = end.after.unwrap();
    assert_eq!(after.state.n_restarts, 0, "it counts down by our restart");
    assert_ne!(after.state.invocation_id, crashed.state.invocation_id);
}

/// Goal: of several jobs that end at the same time, ours is matched by its path.
/// Method: two restarts at once, one of which fails; each must get its own word.
#[tokio::test]
async fn each_call_gets_the_word_on_its_own_job() {
    let machine = boot();
    let conn = connect(&machine).await;
    for n in 0..4 {
        machine
            .write_unit(&format!("good{n}.service"), SLEEPER)
            .unwrap();
        let bad = "[Service]\nType=oneshot\nExecStart=false\n";
        machine.write_unit(&format!("bad{n}.service"), bad).unwrap();
    }
    let names: Vec<_> = (0..4)
        .flat_map(|n| [format!("good{n}.service"), format!("bad{n}.service")])
        .collect();
    let intents: Vec<_> = names.iter().map(|name| intent(Verb::Start, name)).collect();
    let ends = futures_util::future::join_all(intents.iter().map(|intent| act(&conn, intent)));
    let mut paths = std::collections::BTreeSet::new();
    for (name, end) in names.iter().zip(ends.await) {
        let expected = if name.starts_with("good") {
            "done"
        } else {
            "failed"
        };
        assert_eq!(word(&end), expected, "{name}");
        let StepResult::Job { path, .. } = end.result else {
            panic!()
        };
        paths.insert(path);
    }
    assert_eq!(paths.len(), 8, "every job has a path of its own: {paths:?}");
}

/// Goal: a condition that does not hold makes systemd say `done` over a unit that is down.
#[tokio::test]
async fn done_is_no_proof() {
    let machine = boot();
    let conn = connect(&machine).await;
    let conditional = format!("[Unit]\nConditionPathExists=/nonexistent\n{SLEEPER}");
    machine
        .write_unit("conditional.service", &conditional)
        .unwrap();
    let end = act(&conn, &intent(Verb::Start, "conditional.service")).await;
    assert_eq!(word(&end), "done");
    assert_eq!(end.after.unwrap().state.active, ActiveState::Inactive);
}

/// Goal: try-restart leaves a unit that an operator stopped alone.
#[tokio::test]
async fn try_restart_starts_nothing() {
    let machine = boot();
    let conn = connect(&machine).await;
    start(&machine, "stopped.service", SLEEPER);
    machine.sh("systemctl stop stopped.service").unwrap();
    let end = act(&conn, &intent(Verb::TryRestart, "stopped.service")).await;
    assert_eq!(end.after.unwrap().state.active, ActiveState::Inactive);
}

/// Goal: what systemd refuses is told as refused, with the unit and what to do.
#[tokio::test]
async fn refusals_say_what_to_do() {
    let machine = boot();
    let conn = connect(&machine).await;
    let end = act(&conn, &intent(Verb::Restart, "nosuch.service")).await;
    let reason = refusal(&end);
    assert!(reason.contains("nosuch.service not found"), "{reason}");
    assert!(
        reason.contains("systemctl status nosuch.service"),
        "{reason}"
    );
    assert_eq!(end.after.unwrap().load_state, "not-found");

    let refusing = format!("[Unit]\nRefuseManualStart=yes\n{SLEEPER}");
    machine.write_unit("refusing.service", &refusing).unwrap();
    assert!(inspect(&conn, "refusing.service").await.refuse_manual_start);
    let end = act(&conn, &intent(Verb::Start, "refusing.service")).await;
    assert!(
        refusal(&end).contains("refuses manual starts"),
        "{}",
        refusal(&end)
    );

    machine
        .sh("systemctl mask --runtime masked.service")
        .unwrap();
    let end = act(&conn, &intent(Verb::Start, "masked.service")).await;
    assert!(
        refusal(&end).contains("somebody does not want it"),
        "{}",
        refusal(&end)
    );
}

/// Goal: a job of an operator that is queued already wins over ours.
#[tokio::test]
async fn an_operators_job_wins() {
    let machine = boot();
    let conn = connect(&machine).await;
    let slow = "[Service]\nExecStart=sleep infinity\nExecStop=sleep 3600\nTimeoutStopSec=3600\n";
    start(&machine, "contested.service", slow);
    machine
        .sh("systemctl stop --no-block contested.service")
        .unwrap();
    let pending = inspect(&conn, "contested.service").await.pending_job;
    assert_eq!(pending.as_deref(), Some("stop"));
    let end = act(&conn, &intent(Verb::Start, "contested.service")).await;
    assert!(
        refusal(&end).contains("list-jobs contested.service"),
        "{}",
        refusal(&end)
    );
    machine
        .sh("systemctl kill --signal=KILL contested.service")
        .unwrap();
}

/// Goal: a job that has not ended in time is unknown, and goes on without us.
#[tokio::test]
async fn deadline_makes_the_outcome_unknown() {
    let machine = boot();
    let conn = connect(&machine).await;
    start(
        &machine,
        "slow.service",
        "[Service]\nExecStart=sleep infinity\nExecStop=sleep 3600\nTimeoutStopSec=3600\n",
    );
    let mut slow = intent(Verb::Restart, "slow.service");
    slow.wait_max = Span::secs(2);
    let end = act(&conn, &slow).await;
    let StepResult::Unknown { reason } = &end.result else {
        panic!("{:?}", end.result)
    };
    assert!(reason.contains("the job may still run"), "{reason}");
    let after = end.after.unwrap();
    assert_eq!(after.pending_job.as_deref(), Some("restart"));
    assert_eq!(after.state.active, ActiveState::Deactivating);
    machine
        .sh("systemctl kill --signal=KILL slow.service")
        .unwrap();
}

/// Goal: PID 1's bus going away in the middle is unknown, never refused and never tried again.
/// Method: the call is made through a bridge that is killed while the job runs.
#[tokio::test]
async fn losing_the_bus_makes_the_outcome_unknown() {
    let machine = boot();
    start(
        &machine,
        "orphaned.service",
        "[Service]\nExecStart=sleep infinity\nExecStop=sleep 5\n",
    );
    let before = show(&machine, "orphaned.service", "InvocationID");
    let address = machine.bus_address_as("root");
    let conn = hostmedic_observe::bus::connect(Some(&address))
        .await
        .unwrap();
    let restart = intent(Verb::Restart, "orphaned.service");
    let acting = act(&conn, &restart);
    let cutting = async {
        eventually("the job to run", async || {
            (show(&machine, "orphaned.service", "ActiveState") == "deactivating").then_some(())
        })
        .await;
        machine.sh("pkill -KILL -f ^systemd-stdio-bridge").unwrap();
    };
    let (end, ()) = tokio::join!(acting, cutting);
    assert!(
        matches!(end.result, StepResult::Unknown { .. }),
        "{:?}",
        end.result
    );
    assert!(end.after.is_none());
    let conn = connect(&machine).await;
    eventually("the restart to be done without us", async || {
        let now = inspect(&conn, "orphaned.service").await.state;
        (now.active == ActiveState::Active && now.invocation_id != Some(before.clone()))
            .then_some(())
    })
    .await;
}

/// Goal: evidence of a failed unit is there before anything is done.
#[tokio::test]
async fn last_words_are_captured() {
    let machine = boot();
    start(
        &machine,
        "talking.service",
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=sh -c 'for i in 1 2 3; do echo word $i; done'\n",
    );
    machine.sh("journalctl --sync").unwrap();
    let intent = intent(Verb::Restart, "talking.service");
    let capture = Capture {
        journal_dir: Some(machine.root().join("var/log/journal")),
        ..Capture::new(Subjects::below(&machine.cgroup_below()))
    };
    let captured = capture.capture(asked(intent)).await;
    let said: Vec<_> = captured
        .journal
        .iter()
        .filter(|line| line.starts_with("word"))
        .collect();
    assert_eq!(said, ["word 1", "word 2", "word 3"], "{captured:?}");
    // Its processes are gone, and its cgroup with them.
    assert_eq!(captured.missing.len(), 1, "{:?}", captured.missing);
}

/// Goal: the memory of a running unit is sampled and captured where the kernel accounts it, and that
/// of its processes sampled where it does not.
/// Method: on a hybrid host, its main process is put into a v1 memory cgroup at the unit's path,
/// as systemd itself does there.
#[tokio::test]
async fn memory_of_a_running_unit_is_seen() {
    let machine = boot();
    start(&machine, "hungry.service", SLEEPER);
    let subjects = Subjects::below(&machine.cgroup_below());
    let (samples, problems) = Sampler::new(subjects.clone()).sample(now());
    let anonymous = samples.iter().find(|sample| {
        sample.series.subject == Subject::Unit(unit("hungry.service"))
            && sample.series.measure == Measure::UnitAnonBytes
    });
    assert!(
        anonymous.is_some_and(|sample| sample.value > 0.0),
        "{problems:?}"
    );
    let path = format!("{}/system.slice/hungry.service", machine.cgroup_below());
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if v1.join("memory.usage_in_bytes").exists() {
        let cgroup = v1.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(&cgroup).unwrap();
        let pid = machine.main_pid("hungry.service").unwrap().to_string();
        std::fs::write(cgroup.join("cgroup.procs"), pid).unwrap();
    }
    let (samples, problems) = Sampler::new(subjects.clone()).sample(now());
    let series = Series {
        subject: Subject::Unit(unit("hungry.service")),
        measure: Measure::UnitMemoryBytes,
    };
    let sampled = samples.iter().any(|sample| sample.series == series);

    let intent = intent(Verb::Restart, "hungry.service");
    let journal_dir = Some(machine.root().join("var/log/journal"));
    let capture = Capture {
        journal_dir,
        ..Capture::new(subjects)
    };
    let captured = capture.capture(asked(intent)).await;
    if v1.exists() {
        assert!(sampled, "{problems:?}");
        let limit = captured.cgroup.get("memory.limit_in_bytes");
        assert!(
            limit.is_some_and(|limit| limit.parse::<u64>().is_ok()),
            "{captured:?}"
        );
    } else {
        // Whether a pure v2 host lends the container its controller is its own affair, but
        // what is not there is named.
        assert!(
            sampled || problems.iter().any(|p| p.source == "unit memory"),
            "{problems:?}"
        );
        let named = captured
            .missing
            .iter()
            .any(|missing| missing.starts_with("cgroup: "));
        assert_eq!(captured.cgroup.is_empty(), named, "{captured:?}");
    }
}

/// Goal: a reload of systemd forgets how often a unit was started, so the budget that systemd
/// keeps is no reason to trust it alone: ours must count on.
#[tokio::test]
async fn a_reload_forgets_the_start_budget() {
    let machine = boot();
    let conn = connect(&machine).await;
    let limited = "[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=600\n";
    start(
        &machine,
        "forgotten.service",
        &format!("{limited}{SLEEPER}"),
    );
    machine.sh("systemctl daemon-reload").unwrap();
    let end = act(&conn, &intent(Verb::Restart, "forgotten.service")).await;
    assert_eq!(word(&end), "done");
    let end = act(&conn, &intent(Verb::Restart, "forgotten.service")).await;
    assert_eq!(word(&end), "failed");
}
