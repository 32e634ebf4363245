//! Whose memory ran out, and how each victim died, on a host as users have it: pure cgroup v2.
//!
//! `cargo xtask vm` runs this. systemd-oomd, which kills by pressure from user space, is not
//! installed there: its kills are signals of a process (`kernel_signals`). A victim that was
//! exiting already takes a moment that no test can hit for sure; the decoder's test has it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, path::Path};

use hostmedic_model::{
    loss::Coverage,
    signal::{Fact, OomKill, OomScope, OomVerdict, Sender},
};
use hostmedic_observe::kernel::Options;
use hostmedic_tests::{
    kernel::{Account, Capture, child_in},
    vm::{Unit, eventually, is_inside},
};

/// Runs a unit with these properties, whose shell waits for a word before it goes on with `line`.
fn unit(name: &str, properties: &[&str], line: &str, go: &Path) -> Unit {
    let waiting = format!("until test -e {}; do sleep 0.1; done; {line}", go.display());
    Unit::start(name, properties, &waiting)
}

fn eat() -> String {
    child_in(&[], &[]).get_program().display().to_string()
}

/// Processes of the unit that hold the 2 MiB they were asked to.
fn holders(unit: &Unit) -> usize {
    const HELD_KB: u64 = 2048;
    let procs = format!("/sys/fs/cgroup{}/cgroup.procs", unit.show("ControlGroup"));
    let pids = fs::read_to_string(procs).unwrap_or_default();
    let holds = |pid: &&str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let anonymous = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kb = anonymous.and_then(|kb| kb.trim().trim_end_matches(" kB").parse::<u64>().ok());
        status.contains("kernel-child") && kb.is_some_and(|kb| kb >= HELD_KB)
    };
    pids.lines().filter(holds).count()
}

fn kills_in(account: &Account, cgroup_id: u64) -> Vec<OomKill> {
    let kill = |fact: &Fact| match fact {
        Fact::OomKill(kill) if kill.cgroup_id == cgroup_id => Some(kill.clone()),
        _ => None,
    };
    let facts = account.events.iter().map(|event| &event.fact);
    facts.filter_map(kill).collect()
}

/// The scope that is to be told, where the hook for it could be attached.
fn scope(capture: &Capture, scope: OomScope) -> OomScope {
    let report = capture
        .reports
        .iter()
        .find(|report| report.hook == "oom_scope");
    let report = report.unwrap();
    println!("oom_scope: {:?} {}", report.coverage, report.reason);
    match report.coverage {
        Coverage::Captured => scope,
        _ => OomScope::Unknown,
    }
}

fn of_cgroup(cgroup_id: u64) -> OomScope {
    OomScope::Cgroup {
        cgroup_id,
        path: String::new(),
    }
}

/// Goal: a kill under a unit's own limit names the unit twice: it is the victim's, and its memory
/// ran out. The kernel's signal is told as well.
#[test]
fn a_units_own_limit_is_its_scope() {
    if !is_inside("a unit's memory limit") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let go = place.path().join("go");
    let capture = Capture::start(&Options::default());
    let limit = ["MemoryMax=16M", "MemorySwapMax=0"];
    let unit = unit("vm-scope", &limit, &format!("exec {} eat 64", eat()), &go);
    let id = unit.cgroup_id();
    let scope = scope(&capture, of_cgroup(id));
    fs::write(&go, "").unwrap();
    eventually("the unit has failed", || unit.show("Result") == "oom-kill");
    let account = capture.stop();
    account.assert_adds_up();

    let kills = kills_in(&account, id);
    assert_eq!(kills.len(), 1, "{kills:?}");
    assert_eq!(kills[0].scope, scope);
    assert_eq!(kills[0].verdict, OomVerdict::Killed);
    let signals: Vec<_> = account
        .events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::FatalSignal(sent) if sent.target.pid == kills[0].pid => Some(sent),
            _ => None,
        })
        .collect();
    assert_eq!(signals.len(), 1, "{signals:?}");
    assert_eq!(
        (signals[0].signal, &signals[0].sender),
        (9, &Sender::Kernel)
    );
}

/// Goal: where the unit is to die as a whole (`memory.oom.group`), each process is told, and all
/// but the one that was chosen as members of the group.
/// Method: systemd is to leave it alone (`OOMPolicy=kill` sets that file, too, but also has systemd
/// kill those that are left, who may then be gone before the kernel comes to them).
#[test]
fn a_unit_that_dies_as_a_whole_is_told_process_by_process() {
    if !is_inside("memory.oom.group") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let go = place.path().join("go");
    let capture = Capture::start(&Options::default());
    let limit = ["MemoryMax=24M", "MemorySwapMax=0", "OOMPolicy=continue"];
    let hungry = place.path().join("hungry");
    let line = format!(
        "{0} hold 2 & {0} hold 2 & until test -e {1}; do sleep 0.1; done; exec {0} eat 64",
        eat(),
        hungry.display()
    );
    let unit = unit("vm-group", &limit, &line, &go);
    let id = unit.cgroup_id();
    let scope = scope(&capture, of_cgroup(id));
    let group = format!(
        "/sys/fs/cgroup{}/memory.oom.group",
        unit.show("ControlGroup")
    );
    fs::write(group, "1").unwrap();
    fs::write(&go, "").unwrap();
    // Somebody who is only just starting may be gone without being told.
    eventually("two hold memory", || holders(&unit) == 2);
    fs::write(&hungry, "").unwrap();
    eventually("the unit has failed", || {
        unit.show("ActiveState") == "failed"
    });
    let account = capture.stop();
    account.assert_adds_up();

    let kills = kills_in(&account, id);
    println!("{kills:?}");
    assert_eq!(kills.len(), 3, "{kills:?}");
    assert!(kills.iter().all(|kill| kill.scope == scope), "{kills:?}");
    let verdicts: Vec<_> = kills.iter().map(|kill| kill.verdict).collect();
    let member = match scope {
        OomScope::Unknown => OomVerdict::Killed,
        _ => OomVerdict::GroupMember,
    };
    assert_eq!(verdicts, [OomVerdict::Killed, member, member]);
}

/// Goal: when the host itself runs out, that is the scope.
/// Method: the kernel is asked to act as if it had (sysrq(7), `f`); a unit offers itself.
#[test]
fn the_hosts_memory_is_a_scope() {
    if !is_inside("a kill for the host's memory") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let go = place.path().join("go");
    let capture = Capture::start(&Options::default());
    let line = format!("exec {} hold 8", eat());
    let unit = unit("vm-host", &["OOMScoreAdjust=1000"], &line, &go);
    let id = unit.cgroup_id();
    let pid: u32 = unit.show("MainPID").parse().unwrap();
    let scope = scope(&capture, OomScope::Global);
    fs::write(&go, "").unwrap();
    let comm = format!("/proc/{pid}/comm");
    eventually("it holds memory", || {
        fs::read_to_string(&comm).is_ok_and(|comm| comm.trim() == "kernel-child")
    });
    fs::write("/proc/sysrq-trigger", "f").unwrap();
    eventually("the unit has failed", || {
        unit.show("ActiveState") == "failed"
    });
    let account = capture.stop();
    account.assert_adds_up();

    let kills = kills_in(&account, id);
    assert_eq!(kills.len(), 1, "{kills:?}");
    assert_eq!((kills[0].pid, kills[0].verdict), (pid, OomVerdict::Killed));
    assert_eq!(kills[0].scope, scope, "{kills:?}");
    println!("asked by {:?}", kills[0].killer);
}
