//! A kill that the kernel really makes reaches us once, and names the right victim.
//!
//! Needs root and the built probes: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::Stdio,
    thread,
    time::Duration,
};

use hostmedic_model::{
    loss::Coverage,
    signal::{Fact, OomKill, OomScope, OomVerdict},
};
use hostmedic_observe::kernel::{KernelEvent, Options};
use hostmedic_tests::kernel::{Account, Cage, Capture, boot_ns, kernel_version};

const LIMIT: u64 = 16 << 20;

fn kills_of(account: &Account, of_pid: u32) -> Vec<(u64, OomKill)> {
    let kill = |event: &KernelEvent| match &event.fact {
        Fact::OomKill(kill) if kill.pid == of_pid => Some((event.at_boot_ns, kill.clone())),
        _ => None,
    };
    account.events.iter().filter_map(kill).collect()
}

/// Goal: one kill, one event, every field right.
/// Method: a child touches 64 MiB below a limit of 16 MiB.
#[test]
fn kill_arrives_once_with_its_victim() {
    let cage = Cage::new("one", LIMIT);
    let before_ns = boot_ns();
    let capture = Capture::start(&Options::default());
    // Since 6.9 mark_victim passes the task everywhere; some older kernels do as well.
    if kernel_version() >= (6, 9) {
        assert_eq!(
            capture.coverage("oom_victim"),
            Coverage::Captured,
            "{:?}",
            capture.reports
        );
    }
    assert_ne!(
        capture.coverage("oom_victim"),
        Coverage::Absent,
        "{:?}",
        capture.reports
    );

    let mut child = cage.child(&cage.first, &["eat", "64"]).spawn().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(
        status.signal(),
        Some(9),
        "the kernel let it live: {status:?}"
    );
    let is_whole = capture.coverage("oom_victim") == Coverage::Captured;
    let capture_scope = capture.coverage("oom_scope");
    let account = capture.stop();
    account.assert_adds_up();

    let kills = kills_of(&account, child.id());
    assert_eq!(kills.len(), 1, "{kills:?}");
    let (at_ns, kill) = &kills[0];
    assert!((before_ns..boot_ns()).contains(at_ns));
    assert_eq!(kill.comm, "kernel-child");
    assert!((before_ns..*at_ns).contains(&kill.started_boot_ns));
    if is_whole {
        let own_score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        assert_eq!(kill.oom_score_adj, own_score.trim().parse().ok());
        assert_eq!(kill.cgroup_id, cage.first.id());
        // It touched its limit, and who wanted more was itself.
        let rss_bytes = kill.rss_bytes.unwrap();
        assert!(
            (LIMIT / 4..=LIMIT + (8 << 20)).contains(&rss_bytes),
            "{rss_bytes}"
        );
        let killer = kill.killer.as_ref().unwrap();
        assert_eq!(
            (killer.pid, killer.comm.as_str()),
            (kill.pid, "kernel-child")
        );
    }
    assert_eq!(kill.verdict, OomVerdict::Killed);
    match capture_scope {
        Coverage::Captured => assert!(
            matches!(kill.scope, OomScope::Cgroup { cgroup_id, .. } if cgroup_id == cage.limit_id()),
            "{:?}",
            kill.scope
        ),
        _ => assert_eq!(kill.scope, OomScope::Unknown),
    }

    // Its end is a second, independent witness, joined by id and start.
    let exits: Vec<_> = account
        .events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::ProcessExit(exit) if exit.pid == kill.pid => Some(exit),
            _ => None,
        })
        .collect();
    assert_eq!(exits.len(), 1);
    assert_eq!((exits[0].signal, exits[0].status), (9, 0));
    assert_eq!(exits[0].started_boot_ns, kill.started_boot_ns);
    assert_eq!(exits[0].cgroup_id, cage.first.id());
    assert!(exits[0].peak_rss_bytes >= LIMIT / 2, "{:?}", exits[0]);
}

/// Goal: the victim's cgroup is told, not that of the process that wanted memory.
/// Method: under one limit a large process waits in one cgroup, a small one asks in another.
#[test]
fn victim_is_named_and_not_who_asked_for_memory() {
    let cage = Cage::new("two", LIMIT);
    let capture = Capture::start(&Options::default());
    let mut large = cage
        .child(&cage.first, &["hold", "11"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(large.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, "held 11\n");

    let mut small = cage.child(&cage.second, &["eat", "7"]).spawn().unwrap();
    assert_eq!(
        large.wait().unwrap().signal(),
        Some(9),
        "the large one was not chosen"
    );
    // While the large one is still giving its memory back, the kernel may choose again.
    let small_was_killed = small.wait().unwrap().signal() == Some(9);
    let is_whole = capture.coverage("oom_victim") == Coverage::Captured;
    let account = capture.stop();

    let kills_of_small = kills_of(&account, small.id());
    assert_eq!(kills_of_small.len(), usize::from(small_was_killed));
    let kills = kills_of(&account, large.id());
    assert_eq!(kills.len(), 1, "{kills:?}");
    if is_whole {
        assert_eq!(kills[0].1.cgroup_id, cage.first.id());
        assert_ne!(kills[0].1.cgroup_id, cage.second.id());
        let is_its_own = |kill: &(u64, OomKill)| kill.1.cgroup_id == cage.second.id();
        assert!(kills_of_small.iter().all(is_its_own));
    }
}

/// Goal: a slow core loses no kill.
/// Method: three kills into a queue of one; nobody takes them until all have happened.
#[test]
fn kills_wait_for_a_full_queue() {
    let cage = Cage::new("wait", LIMIT);
    let mut capture = Capture::attach(&Options::default(), 1, 1 << 16);
    capture.read();
    let pids: Vec<u32> = (0..3)
        .map(|_| {
            let mut child = cage.child(&cage.first, &["eat", "64"]).spawn().unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(9));
            child.id()
        })
        .collect();
    thread::sleep(Duration::from_millis(50));
    // Kills elsewhere on this host may come between.
    let mut arrived = Vec::new();
    while arrived.len() < pids.len() {
        let event = capture.next_rare();
        arrived.extend(match event.fact {
            Fact::OomKill(kill) if pids.contains(&kill.pid) => Some(kill.pid),
            _ => None,
        });
    }
    assert_eq!(arrived, pids);
    assert_eq!(capture.probes().queue_counters().queue_full, 0);
}
