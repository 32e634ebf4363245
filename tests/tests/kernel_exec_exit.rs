//! Programs that begin and processes that end are told once each, and every loss is counted.
//!
//! Needs root and the built probes: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    collections::HashSet, os::unix::process::ExitStatusExt, process::Child, thread, time::Duration,
};

use hostmedic_model::{loss::Coverage, signal::ProcessExit};
use hostmedic_observe::kernel::{KernelEvent, Options};
use hostmedic_tests::kernel::{Account, Capture, Cgroup, boot_ns, child_in, is_emulated};

fn exits_of<'a>(account: &'a Account, of_pid: u32) -> Vec<&'a ProcessExit> {
    let exit = |event: &'a KernelEvent| match event {
        KernelEvent::ProcessExit { exit, .. } if exit.pid == of_pid => Some(exit),
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
            .filter_map(|event| match event {
                KernelEvent::ProcessExec { at_boot_ns, exec } if exec.pid == child.id() => {
                    Some((at_boot_ns, exec))
                }
                _ => None,
            })
            .collect();
        assert_eq!(execs.len(), 1, "{execs:?}");
        assert_eq!(execs[0].1.comm, "kernel-child");
        assert_eq!(execs[0].1.started_boot_ns, exits[0].started_boot_ns);
        assert!(*execs[0].0 >= exits[0].started_boot_ns);
    }
}

/// Goal: a process with many threads ends once, also when all end in the same moment.
/// Method: 200 processes (50 on an emulated machine) of nine threads, by the kernel's word and by counting threads.
#[test]
fn process_ends_once_with_its_last_thread() {
    let processes: usize = if is_emulated() { 50 } else { 200 };
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

/// Goal: in a storm every event is delivered or counted as lost, to the last one.
/// Method: two captures watch 20,000 processes (500 on an emulated machine) in a cgroup of their own. The large one loses
/// nothing and so knows what happened on the whole host. The small one has a ring of one page,
/// which nobody reads during the first half; what it lacks must be what it says it lost.
#[test]
fn storm_adds_up_to_the_last_event() {
    let produced_half = if is_emulated() { 250 } else { 10_000 };
    let place = Cgroup::unified("storm");
    let id = place.id();
    let large = Capture::start(&Options {
        hot_ring_bytes: 8 << 20,
        ..Options::default()
    });
    let window_ns_outer = boot_ns();
    let page = Options {
        hot_ring_bytes: 4096,
        ..Options::default()
    };
    let mut small = Capture::attach(&page, 1 << 10, 1 << 18);
    assert_captured(&small);
    let window_ns_inner = boot_ns();
    thread::sleep(Duration::from_millis(50));

    let half = produced_half.to_string();
    assert!(
        child_in(&[&place], &["storm", &half])
            .status()
            .unwrap()
            .success()
    );
    small.read();
    assert!(
        child_in(&[&place], &["storm", &half])
            .status()
            .unwrap()
            .success()
    );

    thread::sleep(Duration::from_millis(50));
    let inner = window_ns_inner..boot_ns();
    let small = small.stop();
    let outer = window_ns_outer..boot_ns();
    let large = large.stop();
    small.assert_adds_up();
    large.assert_adds_up();

    // Both storm processes entered the cgroup after their exec and ended in it.
    let execs = |event: &&KernelEvent| matches!(event, KernelEvent::ProcessExec { .. });
    let exits = |event: &&KernelEvent| matches!(event, KernelEvent::ProcessExit { .. });
    check(
        &large,
        &small,
        "process_exec",
        execs,
        id,
        2 * produced_half,
        (&inner, &outer),
    );
    check(
        &large,
        &small,
        "process_exit",
        exits,
        id,
        2 * produced_half + 2,
        (&inner, &outer),
    );
}

type Window = std::ops::Range<u64>;

fn check(
    large: &Account,
    small: &Account,
    hook: &str,
    is_it: impl Fn(&&KernelEvent) -> bool,
    cgroup_id: u64,
    produced: usize,
    (inner, outer): (&Window, &Window),
) {
    let of = |account: &Account| -> Vec<KernelEvent> {
        account
            .events
            .iter()
            .filter(|event| is_it(event))
            .cloned()
            .collect()
    };
    let split = |events: Vec<KernelEvent>| -> (Vec<KernelEvent>, Vec<KernelEvent>) {
        events
            .into_iter()
            .partition(|event| event.cgroup_id() == cgroup_id)
    };
    let (ours_true, others_true) = split(of(large));
    let (ours, others) = split(of(small));
    assert_eq!(
        large.of(hook).ring_full,
        0,
        "the large ring must lose nothing"
    );
    assert_eq!(
        ours_true.len(),
        produced,
        "{hook}: every process of the storm, once"
    );

    let identity = |event: &KernelEvent| (event.pid(), event.started_boot_ns());
    let known: HashSet<_> = ours_true.iter().map(identity).collect();
    assert_eq!(known.len(), produced, "{hook}: no process twice");
    assert!(ours.iter().all(|event| known.contains(&identity(event))));
    let kept: HashSet<_> = ours.iter().map(identity).collect();
    assert_eq!(kept.len(), ours.len(), "{hook}: no process twice");

    // Other processes of the host come and go too; the large capture says how many. At the
    // edges of the window, while the small one attached and detached, they may count or not.
    let within = |window: &Window| {
        others_true
            .iter()
            .filter(|event| window.contains(&event.at_boot_ns()))
            .count()
    };
    let lost_ours = produced - ours.len();
    let ring_full = usize::try_from(small.of(hook).ring_full).unwrap();
    let least = (lost_ours + within(inner)).saturating_sub(others.len());
    let most = lost_ours + within(outer) - others.len();
    eprintln!(
        "{hook}: produced {produced}, kept {}, lost {lost_ours}, others lost {}..={}, \
         ring_full {ring_full}, {:?}",
        ours.len(),
        least.saturating_sub(lost_ours),
        most - lost_ours,
        small.of(hook)
    );
    assert!(
        (least..=most).contains(&ring_full),
        "{hook}: {least} <= {ring_full} <= {most}"
    );
    assert!(
        lost_ours > 0,
        "{hook}: the storm was meant to overflow the ring"
    );
}

/// Goal: a core that does not take everyday events is told what it missed, and nothing waits.
#[test]
fn full_queue_of_everyday_events_is_counted() {
    let mut capture = Capture::attach(&Options::default(), 16, 4);
    capture.read();
    assert!(child_in(&[], &["storm", "50"]).status().unwrap().success());
    let account = capture.stop();
    account.assert_adds_up();
    assert_eq!(account.events.len(), 4);
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
        cost.map_bytes >= 1 << 20,
        "the large ring alone is 1 MiB: {cost:?}"
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory: Vec<_> = status
        .lines()
        .filter(|line| line.starts_with("VmRSS"))
        .collect();
    eprintln!("{cost:?} {memory:?}");
}
