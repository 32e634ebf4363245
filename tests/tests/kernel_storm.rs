//! Storms: what is hot is counted to the last event, what is rare gets through, and memory stays
//! as it was.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    net::UdpSocket,
    os::unix::process::ExitStatusExt,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use hostmedic_model::signal::Fact;
use hostmedic_observe::kernel::{KernelEvent, Options, What};
use hostmedic_tests::kernel::{Cage, Capture, Cgroup, boot_ns, child_in, is_emulated};

fn execs_in(events: &[KernelEvent], cgroup_id: u64) -> usize {
    let is_ours = |event: &&KernelEvent| matches!(&event.fact, Fact::ProcessExec(exec) if exec.cgroup_id == cgroup_id);
    events.iter().filter(is_ours).count()
}

/// Goal: a fork bomb is counted exactly, while its records are bounded by its cgroup's share; a
/// quiet cgroup beside it loses none of its own.
#[test]
fn a_fork_bomb_is_counted_and_pushes_nobody_out() {
    let produced: u64 = if is_emulated() { 400 } else { 5_000 };
    let (bomb, quiet) = (Cgroup::unified("bomb"), Cgroup::unified("quiet"));
    let mut capture = Capture::start(&Options::default());
    let mut storm = child_in(&[&bomb], &["storm", &produced.to_string()])
        .spawn()
        .unwrap();
    for _ in 0..20 {
        assert!(
            child_in(&[&quiet], &["storm", "1"])
                .status()
                .unwrap()
                .success()
        );
    }
    assert!(storm.wait().unwrap().success());
    let counted = capture.tallies();
    let account = capture.stop();
    account.assert_adds_up();

    let count = |cgroup: &Cgroup, what: &What| -> u64 {
        let is_it = |of: &&hostmedic_observe::kernel::Counted| {
            of.cgroup_id == cgroup.id() && of.what == *what
        };
        counted.iter().filter(is_it).map(|of| of.count).sum()
    };
    // The helper itself enters after its exec and ends within.
    assert_eq!(count(&bomb, &What::Exec), produced);
    assert_eq!(count(&bomb, &What::Fork), produced);
    assert_eq!(count(&bomb, &What::Exit), produced + 1);
    assert_eq!(count(&quiet, &What::Exec), 20);
    assert_eq!(execs_in(&account.events, quiet.id()), 20);
    let told = u64::try_from(execs_in(&account.events, bomb.id())).unwrap();
    assert!(told >= 128, "its share at once: {told}");
    let exec = account.of("process_exec");
    eprintln!("{exec:?}; told {told} of {produced}");
    assert_eq!(exec.map_full, 0);
    if !is_emulated() {
        assert!(told < produced, "its share must end: {told}");
        assert!(exec.aggregated >= produced - told);
    }
}

/// Goal: a cgroup that used up its share is told of again when that has grown, on a CPU that refused it.
/// Method: a storm, a pause that is long enough for twenty events, and five programs more.
#[test]
fn a_share_that_was_used_up_grows_again() {
    let storm: u32 = if is_emulated() { 400 } else { 2_000 };
    let cgroup = Cgroup::unified("again");
    let capture = Capture::start(&Options::default());
    let run = |programs: u32| {
        let verb = ["storm", &programs.to_string()];
        assert!(child_in(&[&cgroup], &verb).status().unwrap().success());
    };
    run(storm);
    thread::sleep(Duration::from_secs(2));
    let again_ns = boot_ns();
    run(5);
    let account = capture.stop();
    account.assert_adds_up();
    let (after, before): (Vec<_>, Vec<_>) = account
        .events
        .into_iter()
        .partition(|event| event.at_boot_ns >= again_ns);
    if !is_emulated() {
        let told = execs_in(&before, cgroup.id());
        assert!(told < 2_000, "its share must end: {told}");
    }
    assert_eq!(execs_in(&after, cgroup.id()), 5);
}

/// Goal: a million hot events push out no kill, every event has an end in the ledger, and neither
/// the maps nor the daemon grow.
/// Method: packets to a port that nobody listens on, each dropped, while kills happen.
#[test]
fn a_million_drops_lose_no_kill() {
    let drops: u64 = if is_emulated() { 20_000 } else { 1_000_000 };
    let kills = if is_emulated() { 3 } else { 10 };
    let cage = Cage::new("storm", 16 << 20);
    let mut capture = Capture::start(&Options::default());
    let map_bytes = capture.probes().map_bytes().unwrap();
    let rss_before = rss_kib();

    let flooding = AtomicBool::new(true);
    let pids: Vec<u32> = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let mut sent = 0;
            while sent < drops {
                // A refusal told by ICMP is an answer to an earlier packet; that one was dropped.
                if socket.send_to(b"x", "127.0.0.1:9").is_ok() {
                    sent += 1;
                }
            }
            flooding.store(false, Ordering::Relaxed);
        });
        let mut pids = Vec::new();
        while pids.len() < kills || flooding.load(Ordering::Relaxed) {
            if pids.len() < kills {
                let mut child = cage.child(&cage.first, &["eat", "64"]).spawn().unwrap();
                assert_eq!(child.wait().unwrap().signal(), Some(9));
                pids.push(child.id());
            } else {
                thread::sleep(Duration::from_millis(20));
            }
        }
        flood.join().unwrap();
        pids
    });
    let counted = capture.tallies();
    assert_eq!(capture.probes().map_bytes().unwrap(), map_bytes);
    let grown_kib = rss_kib().saturating_sub(rss_before);
    let account = capture.stop();
    account.assert_adds_up();

    let told: Vec<u32> = account
        .events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::OomKill(kill) if pids.contains(&kill.pid) => Some(kill.pid),
            _ => None,
        })
        .collect();
    assert_eq!(told, pids, "every kill, once, in order");
    let (oom, drop) = (account.of("oom_victim"), account.of("packet_drop"));
    assert_eq!((oom.ring_full, oom.missed), (0, 0), "{oom:?}");
    assert!(drop.aggregated >= drops, "{drop:?}");
    assert_eq!(
        (drop.map_full, drop.explained()),
        (0, drop.seen),
        "{drop:?}"
    );
    let by_key: u64 = counted
        .iter()
        .filter(|of| matches!(of.what, What::Drop { .. }))
        .map(|of| of.count)
        .sum();
    assert!(by_key >= drops, "{by_key}");
    eprintln!("{drop:?}; {} kills; grown by {grown_kib} KiB", pids.len());
    assert!(grown_kib < 16 << 10, "{grown_kib} KiB");
}

/// Goal: the first and the last rare events of a burst survive a ring that nobody reads.
/// Method: a ring of one page; more processes are killed than it has room for.
#[test]
fn first_and_last_of_a_burst_survive_a_full_ring() {
    let options = Options {
        rare_ring_bytes: 4096,
        ..Options::default()
    };
    let mut capture = Capture::attach(&options, 1 << 10, 1 << 10);
    let pids: Vec<u32> = (0..100)
        .map(|_| {
            let mut child = Command::new("sleep").arg("100").spawn().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            child.id()
        })
        .collect();
    capture.read();
    let account = capture.stop();
    account.assert_adds_up();
    let told: Vec<u32> = account
        .events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::FatalSignal(sent) if pids.contains(&sent.target.pid) => Some(sent.target.pid),
            _ => None,
        })
        .collect();
    let signals = account.of("signal_fatal");
    eprintln!("{} of {} told; {signals:?}", told.len(), pids.len());
    assert!(told.contains(&pids[0]), "the first");
    assert!(told.contains(&pids[99]), "the last");
    assert!(
        signals.ring_full > 0 && signals.recovered > 0,
        "{signals:?}"
    );
    assert!(signals.recovered <= signals.ring_full, "{signals:?}");
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    words[1].parse().unwrap()
}
