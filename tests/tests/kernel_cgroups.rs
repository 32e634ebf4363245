//! Cgroups that come and go are told by id and path, so that what happened in one that is gone
//! still has a name; and a hook that is to do less does less, with every run accounted for.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::process::Command;

use hostmedic_model::{
    loss::{Coverage, HookCounters, HookMode},
    signal::Fact,
    subject::{Subject, UnitName},
    time::At,
};
use hostmedic_observe::{
    kernel::{About, CGROUP_PATH_MAX, KernelEvent, Options, What},
    subject::Subjects,
};
use hostmedic_tests::kernel::{Capture, Cgroup, child_in};

fn cgroup_of(event: &KernelEvent) -> u64 {
    match event.about {
        About::Process { cgroup_id, .. } | About::Cgroup { cgroup_id } => cgroup_id,
        _ => 0,
    }
}

fn attach() -> Capture {
    let capture = Capture::attach(&Options::default(), 1 << 12, 1 << 16);
    for hook in ["cgroup_made", "cgroup_removed", "cgroup_attached"] {
        let coverage = capture.coverage(hook);
        assert_eq!(coverage, Coverage::Captured, "{:?}", capture.reports);
    }
    capture
}

/// Goal: the life of a cgroup is told in order: made, entered, removed, each with id and path.
#[test]
fn the_life_of_a_cgroup_is_told() {
    let mut capture = attach();
    capture.read();
    let parent = Cgroup::unified("life");
    let inner = parent.child("inner");
    let (id, path) = (inner.id(), inner.path());
    let mut child = child_in(&[&inner], &["exit", "0"]).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    drop(inner);
    drop(parent);
    let account = capture.stop();
    account.assert_adds_up();

    let mut told = Vec::new();
    for event in account.events.iter().filter(|event| cgroup_of(event) == id) {
        told.push(match &event.fact {
            Fact::CgroupMade(made) => ("made", made.cgroup_id, made.path.clone(), 0),
            Fact::CgroupRemoved(gone) => ("removed", gone.cgroup_id, gone.path.clone(), 0),
            Fact::CgroupAttached(moved) => {
                assert_eq!(moved.task.comm, "kernel-child");
                let task = &moved.task;
                ("entered", task.cgroup_id, moved.path.clone(), task.pid)
            }
            _ => continue,
        });
    }
    let expected = [("made", 0), ("entered", child.id()), ("removed", 0)];
    let expected = expected.map(|(what, pid)| (what, id, path.clone(), pid));
    assert_eq!(told, expected);
}

/// Goal: a unit that is gone before any of its events is read still has its name.
/// Method: made, used and removed while nobody reads; then each event is attributed as the daemon
/// does it, which remembers what was made.
#[test]
fn a_unit_that_is_gone_still_has_its_name() {
    let mut capture = attach();
    let unit = Cgroup::unified("gone.service");
    let (id, path) = (unit.id(), unit.path());
    let verb = ["storm", "1"];
    assert!(child_in(&[&unit], &verb).status().unwrap().success());
    drop(unit);
    capture.read();
    let account = capture.stop();
    account.assert_adds_up();

    let subjects = Subjects::new();
    let name = UnitName::new(path.trim_start_matches('/')).unwrap();
    let mut kinds = Vec::new();
    for event in account.events.iter().filter(|event| cgroup_of(event) == id) {
        let at = At {
            boot_ns: event.at_boot_ns,
            ..At::default()
        };
        if let Fact::CgroupMade(made) = &event.fact {
            assert!(made.path.len() < CGROUP_PATH_MAX);
            subjects.made(made.cgroup_id, &made.path, at);
        }
        // Its processes are gone as well, so there is nobody to ask.
        let subject = subjects.of(id, None, at);
        assert_eq!(subject, Subject::Unit(name.clone()), "{event:?}");
        kinds.push(event.fact.kind());
    }
    assert_eq!(subjects.counters().walks, 0);
    assert_eq!(subjects.path_of_id(id, At::default()), Some(path));
    println!("{kinds:?}");
    // Made, entered, an exec, two ends, removed.
    assert!(kinds.len() >= 6, "{kinds:?}");
}

const HOOK: &str = "process_exec";
const EXECS: u64 = 48;

fn counters(capture: &Capture) -> HookCounters {
    let all = capture.probes().counters().unwrap();
    all.into_iter().find(|of| of.hook == HOOK).unwrap()
}

/// Lets the hook run often enough on each processor to read its mode again.
fn read_modes(place: &Cgroup) {
    // It reads it once in `MODE_READ_EVERY` runs, which is sixteen.
    let each = "40";
    for cpu in 0..std::thread::available_parallelism().unwrap().get() {
        let storm = child_in(&[place], &["storm", each]);
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &cpu.to_string()]);
        pinned.arg(storm.get_program()).args(storm.get_args());
        assert!(pinned.status().unwrap().success());
    }
}

/// Goal: a hook does as much as it is told, and in every mode its ledger adds up.
/// Method: the same programs run in each mode.
#[test]
fn a_hook_does_as_much_as_it_is_told() {
    let place = Cgroup::unified("modes");
    let mut capture = Capture::start(&Options::default());
    for mode in [
        HookMode::Stream,
        HookMode::Sample,
        HookMode::Count,
        HookMode::Off,
        HookMode::Stream,
    ] {
        capture.probes_mut().set_mode(HOOK, mode).unwrap();
        let modes = capture.probes().modes();
        assert!(modes.contains(&(HOOK, mode)), "{modes:?}");
        read_modes(&place);
        capture.tallies();
        let before = counters(&capture);
        let verb = ["storm", &EXECS.to_string()];
        assert!(child_in(&[&place], &verb).status().unwrap().success());
        let after = counters(&capture);
        let counted = capture.tallies();
        let of_place = counted
            .iter()
            .filter(|of| of.cgroup_id == place.id() && of.what == What::Exec);
        let by_key: u64 = of_place.map(|of| of.count).sum();
        let seen = after.seen - before.seen;
        let left_out = after.sampled_out - before.sampled_out;
        println!("{mode:?}: {seen} seen, {left_out} left out, {by_key} of {EXECS} by key");
        match mode {
            HookMode::Stream => assert_eq!((by_key, left_out), (EXECS, 0)),
            HookMode::Sample => {
                // One of sixteen on each processor.
                let cpus = u64::try_from(std::thread::available_parallelism().unwrap().get());
                let (done, share) = (seen - left_out, seen / 16);
                assert!(
                    seen > EXECS && done.abs_diff(share) <= cpus.unwrap(),
                    "{done}"
                );
            }
            HookMode::Count => {
                assert!(seen > EXECS, "{seen}");
                assert_eq!((by_key, left_out), (0, seen));
            }
            HookMode::Off => assert_eq!((by_key, &after), (0, &before)),
        }
        assert_eq!(after.seen, after.explained(), "{after:?}");
    }
    capture.stop().assert_adds_up();
}

/// Goal: a mode that cannot be set is refused by name.
#[test]
fn a_hook_that_is_not_there_has_no_mode() {
    let mut capture = Capture::start(&Options {
        without: vec![HOOK.to_owned()],
        ..Options::default()
    });
    for name in [HOOK, "no_such_hook"] {
        let refused = capture.probes_mut().set_mode(name, HookMode::Count);
        let said = format!("{:?}", refused.unwrap_err());
        assert!(said.contains(name), "{said}");
    }
}
