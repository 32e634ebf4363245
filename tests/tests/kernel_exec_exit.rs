//! Programs that begin and processes that end are told once each, and every loss is counted.
//!
//! Needs root and the built probes: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{os::unix::process::ExitStatusExt, process::Child};

use hostmedic_model::{
    loss::Coverage,
    signal::{Fact, ProcessExit},
};
use hostmedic_observe::kernel::{KernelEvent, Options};
use hostmedic_tests::kernel::{Account, Capture, Cgroup, boot_ns, child_in, is_emulated};

fn exits_of<'a>(account: &'a Account, of_pid: u32) -> Vec<&'a ProcessExit> {
    let exit = |event: &'a KernelEvent| match &event.fact {
        Fact::ProcessExit(exit) if exit.pid == of_pid => Some(exit),
        _ => None,
    };
    account.events.iter().filter_map(exit).collect()
}

fn assert_captured(capture: &Capture) {
    for hook in ["process_exec", "process_exit"] {
        assert_eq!(
            capture.coverage(hook),
            Coverage::Captured,
            "{:?}",
            capture.reports
        );
    }
}

/// Goal: how a process ended is told as wait(2) tells it; its start and place are right.
#[test]
fn exec_and_exit_of_a_child_are_told() {
    let place = Cgroup::unified("ends");
    let capture = Capture::start(&Options::default());
    assert_captured(&capture);
    let before_ns = boot_ns();
    let run = |verb: &[&str]| -> (Child, std::process::ExitStatus) {
        let mut child = child_in(&[&place], verb).spawn().unwrap();
        let status = child.wait().unwrap();
        (child, status)
    };
    let ended = [
        run(&["exit", "0"]),
        run(&["exit", "7"]),
        run(&["terminate"]),
    ];
    let account = capture.stop();
    account.assert_adds_up();

    for (child, status) in &ended {
        let exits = exits_of(&account, child.id());
        assert_eq!(exits.len(), 1, "{exits:?}");
        assert_eq!(Some(i32::from(exits[0].status)), status.code().or(Some(0)));
        assert_eq!(i32::from(exits[0].signal), status.signal().unwrap_or(0));
        assert_eq!(exits[0].comm, "kernel-child");
        assert_eq!(exits[0].cgroup_id, place.id());
        assert!((before_ns..boot_ns()).contains(&exits[0].started_boot_ns));
        let execs: Vec<_> = account
            .events
            .iter()
            .filter_map(|event| match &event.fact {
                Fact::ProcessExec(exec) if exec.pid == child.id() => Some((event.at_boot_ns, exec)),
                _ => None,
            })
            .collect();
        assert_eq!(execs.len(), 1, "{execs:?}");
        assert_eq!(execs[0].1.comm, "kernel-child");
        assert_eq!(execs[0].1.started_boot_ns, exits[0].started_boot_ns);
        assert!(execs[0].0 >= exits[0].started_boot_ns);
    }
}

/// Goal: a process with many threads ends once, also when all end in the same moment.
/// Method: 100 processes (50 on an emulated machine) of nine threads, by the kernel's word and by
/// counting threads; fewer than one cgroup's share of records.
#[test]
fn process_ends_once_with_its_last_thread() {
    let processes: usize = if is_emulated() { 50 } else { 100 };
    for count_threads in [false, true] {
        let capture = Capture::start(&Options {
            count_threads,
            ..Options::default()
        });
        assert_captured(&capture);
        let pids: Vec<u32> = (0..processes)
            .map(|_| {
                let mut child = child_in(&[], &["threads", "8"]).spawn().unwrap();
                assert_eq!(child.wait().unwrap().code(), Some(3));
                child.id()
            })
            .collect();
        let account = capture.stop();
        account.assert_adds_up();
        for pid in pids {
            let exits = exits_of(&account, pid);
            assert_eq!(exits.len(), 1, "count_threads={count_threads} {exits:?}");
            assert_eq!((exits[0].status, exits[0].signal), (3, 0));
        }
        assert!(account.of("process_exit").filtered >= 8 * u64::try_from(processes).unwrap());
    }
}

/// Goal: a core that does not take everyday events is told what it missed, and nothing waits.
#[test]
fn full_queue_of_everyday_events_is_counted() {
    let mut capture = Capture::attach(&Options::default(), 16, 4);
    capture.read();
    assert!(child_in(&[], &["storm", "50"]).status().unwrap().success());
    let account = capture.stop();
    account.assert_adds_up();
    assert!(account.queue.queue_full >= 96, "{:?}", account.queue);
}

/// Goal: what the probes cost is told: time a run, and kernel memory.
#[test]
fn cost_is_told() {
    let processes: u64 = if is_emulated() { 100 } else { 500 };
    let capture = Capture::start(&Options::default());
    let sample = capture.probes().cost_begin().unwrap();
    let storm = child_in(&[], &["storm", &processes.to_string()]).status();
    assert!(storm.unwrap().success());
    let cost = capture.probes().cost_end(sample).unwrap();
    assert_eq!(cost.untimed, None);
    for hook in ["process_exec", "process_exit"] {
        let of = cost.hooks.iter().find(|of| of.hook == hook).unwrap();
        assert!(of.runs >= processes, "{of:?}");
        assert!(of.ns_per_run().is_some_and(|ns| ns > 0), "{of:?}");
    }
    assert!(
        cost.map_bytes >= 512 << 10,
        "the large ring alone is 512 KiB: {cost:?}"
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory: Vec<_> = status
        .lines()
        .filter(|line| line.starts_with("VmRSS"))
        .collect();
    eprintln!("{cost:?} {memory:?}");
}
