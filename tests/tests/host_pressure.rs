//! A unit whose processes really wait for memory is told of by the kernel's own wake-up.
//!
//! Needs root: `cargo test -p hostmedic-tests --features kernel`. On a kernel without pressure
//! stall information, that this is said.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use hostmedic_model::{
    signal::{Fact, Pressure, PressureOf, Signal},
    subject::{Subject, UnitName},
};
use hostmedic_observe::{
    host::{HostSignals, PressureOptions, SourceProblem, Threshold, WatchOptions, clock},
    subject::{Subjects, v2_root},
};
use hostmedic_tests::host::{Reaped, UnitCgroup, wait_for};
use nix::{
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    mount::{MntFlags, MsFlags, mount, umount2},
};
use tokio::sync::mpsc::{Receiver, channel, error::TryRecvError};

const LIMIT: usize = 16 << 20;

/// One hundredth of the time, some task; what a full cgroup exceeds at once.
const LITTLE: Threshold = Threshold {
    of: PressureOf::Memory,
    is_full: false,
    stalled_us: 20_000,
    window_us: 2_000_000,
};

fn options() -> WatchOptions {
    WatchOptions {
        pressure: PressureOptions {
            host: vec![LITTLE],
            units: vec![LITTLE],
            units_max: 1024,
            quiet: Duration::from_secs(3600),
        },
        ..WatchOptions::default()
    }
}

/// Work that makes a process of the cgroup wait for memory: with `memory.high` any new memory is
/// enough; the hard limit of v1 must be met with memory that can be taken back. That is a file's,
/// if nobody else holds it, and it is missed again if it is not much larger than the limit.
fn press(cgroup: &UnitCgroup, dir: &Path) -> Reaped {
    if !cgroup.is_v1() {
        return cgroup.child(&["anonymous", "64"]);
    }
    let path = dir.join("file");
    let mut file = fs::File::create(&path).unwrap();
    for _ in 0..28 {
        file.write_all(&vec![1; 1 << 20]).unwrap();
    }
    file.sync_all().unwrap();
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).unwrap();
    cgroup.child(&["reread", path.to_str().unwrap()])
}

fn next(signals: &mut Receiver<Signal>, unit: &str) -> Pressure {
    let subject = Subject::Unit(UnitName::new(unit).unwrap());
    wait_for("pressure", || {
        loop {
            match signals.try_recv() {
                Ok(signal) if signal.subject == subject => match signal.fact {
                    Fact::Pressure(pressure) => return Some(pressure),
                    fact => panic!("{fact:?}"),
                },
                Ok(_) => {}
                Err(TryRecvError::Empty) => return None,
                Err(error) => panic!("{error}"),
            }
        }
    })
}

fn of_pressure(host: &mut HostSignals) -> Vec<SourceProblem> {
    let (_, mut problems) = host.poll(clock::now());
    problems.retain(|problem| problem.source.contains("pressure"));
    problems
}

/// Whether the kernel keeps it; if not, `problems` must say so.
fn has_pressure(problems: &[SourceProblem]) -> bool {
    let has = Path::new("/proc/pressure/memory").exists();
    let is_said = problems
        .iter()
        .any(|problem| problem.reason.contains("psi=1"));
    assert_eq!(has, !is_said, "{problems:?}");
    has
}

/// Where the build lies: not below /tmp, which may be memory itself.
fn on_disk() -> tempfile::TempDir {
    tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap()
}

/// Goal: a trigger on a unit's own cgroup fires when its processes wait, and once a span.
/// Method: a process with more to hold than its cgroup may.
#[test]
fn a_unit_that_waits_for_memory_is_told() {
    let unit = format!("hostmedic-test-pressed-{}.service", std::process::id());
    let cgroup = UnitCgroup::new(&unit, LIMIT);
    let mut host = HostSignals::new(Subjects::new());
    let (queue, mut signals) = channel(64);
    host.watch(options(), queue).unwrap();
    let problems = of_pressure(&mut host);
    if !has_pressure(&problems) {
        return;
    }
    assert_eq!(problems, []);

    let dir = on_disk();
    let child = press(&cgroup, dir.path());
    let told = next(&mut signals, &unit);
    let expected = Pressure {
        of: PressureOf::Memory,
        full: false,
        stalled_us: 20_000,
        window_us: 2_000_000,
    };
    assert_eq!(told, expected);
    drop(child);
    drop(cgroup);
    drop(host);
    // The span has not passed, so this was all; and the watch has ended.
    while let Ok(signal) = signals.try_recv() {
        assert_eq!(signal.subject, Subject::Host, "{signal:?}");
    }
    assert_eq!(signals.try_recv(), Err(TryRecvError::Disconnected));
}

struct ReadOnly(PathBuf);

impl ReadOnly {
    /// The cgroup tree at `point`, as `ProtectControlGroups=` shows it.
    fn tree(point: PathBuf) -> Self {
        const NONE: Option<&str> = None;
        let seal = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        fs::create_dir(&point).unwrap();
        mount(v2_root().as_deref(), &point, NONE, MsFlags::MS_BIND, NONE).unwrap();
        mount(NONE, &point, NONE, seal, NONE).unwrap();
        Self(point)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

/// Goal: where no trigger can be set, the unit is told of all the same, and the reason is said.
/// Method: the same pressure, seen through a read-only mount of the cgroup tree.
#[test]
fn without_triggers_the_totals_are_read() {
    let unit = format!("hostmedic-test-polled-{}.service", std::process::id());
    let cgroup = UnitCgroup::new(&unit, LIMIT);
    let dir = on_disk();
    let tree = ReadOnly::tree(dir.path().join("cgroup"));
    let mut host = HostSignals::new(Subjects::new());
    let (queue, mut signals) = channel(64);
    let mut options = options();
    options.cgroup = Some(tree.0.clone());
    host.watch(options, queue).unwrap();
    let problems = of_pressure(&mut host);
    if !has_pressure(&problems) {
        return;
    }
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert!(problem.reason.contains("polled only"), "{problem}");
    assert!(
        problem.reason.contains("ProtectControlGroups="),
        "{problem}"
    );

    let child = press(&cgroup, dir.path());
    let told = next(&mut signals, &unit);
    assert!(told.window_us >= LITTLE.window_us, "{told:?}");
    assert!(
        told.stalled_us * LITTLE.window_us >= LITTLE.stalled_us * told.window_us,
        "{told:?}"
    );
    drop(child);
    drop(host);
}
