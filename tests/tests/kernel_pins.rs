//! Counters outlive the daemon in a BPF file system, and so does what a killed one had not read.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hostmedic_model::{loss::HookCounters, signal::Fact};
use hostmedic_observe::kernel::Options;
use hostmedic_tests::kernel::{Account, Capture, child_in};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A BPF file system of the test's own; gone when dropped.
struct Pins(tempfile::TempDir);

impl Pins {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let none = None::<&str>;
        mount(Some("bpf"), dir.path(), Some("bpf"), MsFlags::empty(), none).unwrap();
        Self(dir)
    }

    fn options(&self) -> Options {
        pinned_in(self.0.path())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = umount2(self.0.path(), MntFlags::MNT_DETACH) {
            eprintln!("cannot unmount {:?}: {error}", self.0.path());
        }
    }
}

fn pinned_in(dir: &Path) -> Options {
    Options {
        pin_dir: Some(PathBuf::from(dir)),
        ..Options::default()
    }
}

/// Kills so many processes, one after another, and gives their ids.
fn kills(count: usize) -> Vec<u32> {
    let kill = |_| {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        child.id()
    };
    (0..count).map(kill).collect()
}

fn of<'a>(counters: &'a [HookCounters], hook: &str) -> &'a HookCounters {
    counters.iter().find(|of| of.hook == hook).unwrap()
}

fn signals_to(account: &Account, pids: &[u32]) -> Vec<u32> {
    let to = |fact: &Fact| match fact {
        Fact::FatalSignal(sent) if pids.contains(&sent.target.pid) => Some(sent.target.pid),
        _ => None,
    };
    let facts = account.events.iter().map(|event| &event.fact);
    facts.filter_map(to).collect()
}

fn assert_explained(counters: &[HookCounters]) {
    for of in counters {
        assert_eq!(of.seen, of.explained(), "{of:?}");
    }
}

/// That no number of `after` is below that of `before`.
fn assert_not_lower(before: &[HookCounters], after: &[HookCounters]) {
    for (before, after) in before.iter().zip(after) {
        let numbers = |of: &HookCounters| {
            [
                of.seen,
                of.delivered,
                of.aggregated,
                of.sampled_out,
                of.rate_limited,
                of.ring_full,
                of.map_full,
                of.filtered,
                of.missed,
                of.recovered,
            ]
        };
        let mut pairs = numbers(before).into_iter().zip(numbers(after));
        assert!(pairs.all(|(b, a)| b <= a), "{before:?} {after:?}");
    }
}

/// Goal: the next daemon counts on from where the last one stopped.
#[test]
fn counters_go_on() {
    let pins = Pins::new();
    let mut last: Vec<HookCounters> = Vec::new();
    for round in 1..=3 {
        let capture = Capture::start(&pins.options());
        assert_eq!(capture.probes().pinned(), Ok(()));
        let begun = capture.probes().counters().unwrap();
        if !last.is_empty() {
            assert_not_lower(&last, &begun);
        }
        let told = kills(5);
        let account = capture.stop();
        assert_eq!(signals_to(&account, &told), told);
        assert_explained(&account.counters);
        assert_not_lower(&begun, &account.counters);
        let (was, is) = (of(&begun, "signal_fatal"), account.of("signal_fatal"));
        println!("round {round}: {} seen before, {} after", was.seen, is.seen);
        assert!(was.delivered >= (round - 1) * 5 && is.delivered >= was.delivered + 5);
        last = account.counters;
    }
    // Without the pins all begins anew.
    let fresh = Capture::start(&Options::default()).stop();
    assert!(fresh.of("signal_fatal").delivered < 15);
}

/// Goal: what the daemon itself counts goes on as well, however often it is kept.
/// Method: a ring of one page overflows, and events come back from the spill.
#[test]
fn what_was_recovered_is_counted_once() {
    let pins = Pins::new();
    let options = Options {
        rare_ring_bytes: 4096,
        ..pins.options()
    };
    let mut capture = Capture::attach(&options, 1 << 10, 1 << 12);
    let told = kills(100);
    capture.read();
    let signals = |capture: &Capture| {
        let all = capture.probes().counters().unwrap();
        of(&all, "signal_fatal").clone()
    };
    hostmedic_tests::host::wait_for("the spill", || {
        (signals(&capture).recovered > 0).then_some(())
    });
    let recovered = signals(&capture).recovered;
    for _ in 0..3 {
        capture.probes_mut().keep().unwrap();
        assert_eq!(signals(&capture).recovered, recovered);
    }
    let account = capture.stop();
    let before = account.of("signal_fatal").clone();
    assert!(signals_to(&account, &told).contains(&told[99]));
    assert!(before.recovered <= before.ring_full, "{before:?}");

    let capture = Capture::start(&pins.options());
    let after = signals(&capture);
    assert_eq!(after.recovered, before.recovered, "{before:?} {after:?}");
    assert_eq!(after.missed, before.missed);
    println!("{before:?}");
}

/// Goal: the last rare events before the daemon was killed are read by the next one, once.
/// Method: another process holds the probes, with a ring of one page, and reads nothing.
#[test]
fn what_a_killed_daemon_left_is_read() {
    let pins = Pins::new();
    let dir = pins.0.path().display().to_string();
    let mut daemon = child_in(&[], &["pin", &dir])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stdout = BufReader::new(daemon.stdout.take().unwrap());
    stdout.read_line(&mut said).unwrap();
    assert_eq!(said, "loaded\n");
    let left = kills(100);
    daemon.kill().unwrap();
    daemon.wait().unwrap();

    let account = Capture::start(&pins.options()).stop();
    assert_explained(&account.counters);
    let told = signals_to(&account, &left);
    let signals = account.of("signal_fatal");
    println!(
        "{} of {} left were read: {signals:?}",
        told.len(),
        left.len()
    );
    assert_eq!(told.last(), Some(&left[99]), "the last");
    assert!(signals.ring_full >= signals.recovered && signals.recovered > 0);

    let again = Capture::start(&pins.options()).stop();
    assert_eq!(signals_to(&again, &left), [0; 0]);
}

/// Goal: where nothing can be pinned, the reason is told and all else works.
#[test]
fn without_a_place_the_reason_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for (place, why) in [
        (Some(dir.path()), "is not in a BPF file system"),
        (Some(missing.as_path()), "missing"),
        (None, "no directory"),
    ] {
        let options = place.map_or_else(Options::default, pinned_in);
        let mut capture = Capture::start(&options);
        let said = capture.probes().pinned().unwrap_err().to_owned();
        assert!(said.contains(why), "{said}");
        capture.probes_mut().keep().unwrap();
        let told = kills(3);
        let account = capture.stop();
        account.assert_adds_up();
        assert_eq!(signals_to(&account, &told), told);
    }
}
