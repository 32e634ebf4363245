//! A deadly signal is told once, with who sent it; what kills nobody is not.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use hostmedic_model::{
    loss::Coverage,
    signal::{Fact, FatalSignal, Sender},
};
use hostmedic_observe::kernel::{About, KernelEvent, Options, What};
use hostmedic_tests::{
    host::wait_for,
    kernel::{Account, Capture, Cgroup, boot_ns, child_in, kernel_version, shell_in},
};

const SIGABRT: u8 = 6;
const SIGBUS: u8 = 7;
const SIGKILL: u8 = 9;
const SIGSEGV: u8 = 11;

fn start() -> Capture {
    let capture = Capture::start(&Options::default());
    let coverage = capture.coverage("signal_fatal");
    assert_eq!(coverage, Coverage::Captured, "{:?}", capture.reports);
    capture
}

fn signals_to(account: &Account, pid: u32) -> Vec<FatalSignal> {
    let to = |event: &KernelEvent| match &event.fact {
        Fact::FatalSignal(sent) if sent.target.pid == pid => {
            let of_target = matches!(event.about, About::Process { pid: of, .. } if of == pid);
            assert!(of_target, "{event:?}");
            Some(sent.clone())
        }
        _ => None,
    };
    account.events.iter().filter_map(to).collect()
}

/// A process that sleeps in `place`, from when it sleeps.
fn sleeper(place: &Cgroup) -> Child {
    let child = shell_in(&[place], "exec sleep 60").spawn().unwrap();
    await_comm(&child, "sleep");
    child
}

fn await_comm(child: &Child, name: &str) {
    let path = format!("/proc/{}/comm", child.id());
    wait_for(name, || {
        let comm = fs::read_to_string(&path).ok()?;
        (comm.trim() == name).then_some(())
    });
}

/// Goal: who killed whom is told: both processes with their cgroups.
/// Method: a shell in one cgroup kills a process in another.
#[test]
fn a_kill_names_both_sides() {
    let (killer, victim) = (Cgroup::unified("killer"), Cgroup::unified("victim"));
    let before_ns = boot_ns();
    let mut sleeper = sleeper(&victim);
    let mut capture = start();
    let mut shell = shell_in(&[&killer], &format!("kill -9 {}", sleeper.id()))
        .spawn()
        .unwrap();
    assert!(shell.wait().unwrap().success());
    assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
    let counted = capture.tallies();
    let account = capture.stop();
    account.assert_adds_up();

    let sent = signals_to(&account, sleeper.id());
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].signal, SIGKILL);
    assert_eq!(sent[0].target.comm, "sleep");
    assert_eq!(sent[0].target.cgroup_id, victim.id());
    assert!((before_ns..boot_ns()).contains(&sent[0].target.started_boot_ns));
    let Sender::Process(by) = &sent[0].sender else {
        panic!("{sent:?}");
    };
    assert_eq!((by.pid, by.comm.as_str()), (shell.id(), "sh"));
    assert_eq!(by.cgroup_id, killer.id());
    let what = What::Signal { signal: SIGKILL };
    let of_victim = counted
        .iter()
        .filter(|of| of.cgroup_id == victim.id() && of.what == what);
    assert_eq!(of_victim.map(|of| of.count).sum::<u64>(), 1);
}

/// Where a program that faults begins.
#[derive(Clone, Copy)]
enum Entry {
    /// Where nothing is mapped.
    Unmapped,
    /// In its own file, but past the file's end.
    PastTheEnd,
}

/// Writes the smallest program that faults at its first instruction: an ELF header and one
/// segment (elf(5)), which is longer than its file.
fn faulting(dir: &Path, entry: Entry) -> PathBuf {
    const BASE: u64 = 0x40_0000;
    const SEGMENT: u64 = 0x4000;
    const HEADERS: u16 = 64;
    let machine: u16 = if cfg!(target_arch = "x86_64") {
        62
    } else {
        183
    };
    let entry_at = match entry {
        Entry::Unmapped => BASE + 2 * SEGMENT,
        Entry::PastTheEnd => BASE + SEGMENT / 2,
    };
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    let halves = |values: &[u16]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    // An executable for this machine, version 1.
    elf.extend(halves(&[2, machine, 1, 0]));
    // Entry, program headers, no section headers.
    for word in [entry_at, u64::from(HEADERS), 0] {
        elf.extend(word.to_le_bytes());
    }
    // Flags; sizes and number of headers.
    elf.extend(halves(&[0, 0, HEADERS, 56, 1, 64, 0, 0]));
    // PT_LOAD, readable and executable.
    elf.extend(halves(&[1, 0, 5, 0]));
    for word in [0, BASE, BASE, SEGMENT, SEGMENT, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    let path = dir.join(match entry {
        Entry::Unmapped => "unmapped",
        Entry::PastTheEnd => "past-the-end",
    });
    fs::write(&path, elf).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Goal: a fault is the kernel's signal, whoever runs at that moment; an abort is the process's
/// own.
#[test]
fn faults_and_aborts_name_their_sender() {
    let place = Cgroup::unified("faults");
    let dir = tempfile::tempdir().unwrap();
    let fault = |entry| {
        let path = faulting(dir.path(), entry);
        shell_in(&[&place], &format!("exec {}", path.display()))
    };
    let capture = start();
    let run = |mut command: Command, signal: u8| {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(i32::from(signal)), "{command:?}");
        (child.id(), signal)
    };
    let faults = [
        run(fault(Entry::Unmapped), SIGSEGV),
        run(fault(Entry::PastTheEnd), SIGBUS),
    ];
    let (aborted, _) = run(child_in(&[&place], &["abort"]), SIGABRT);
    let account = capture.stop();
    account.assert_adds_up();

    for (pid, signal) in faults {
        let sent = signals_to(&account, pid);
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!((sent[0].signal, &sent[0].sender), (signal, &Sender::Kernel));
        assert_eq!(sent[0].target.cgroup_id, place.id());
    }
    let sent = signals_to(&account, aborted);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].signal, SIGABRT);
    assert!(
        matches!(&sent[0].sender, Sender::Process(by) if by.pid == aborted && by.cgroup_id == place.id()),
        "{sent:?}"
    );
}

/// A kernel that was seen to drop signals to the dying (`prepare_signal` in kernel/signal.c); 5.10 was
/// seen to deliver them.
const DROPS_SIGNALS_TO_THE_DYING: (u32, u32) = (6, 1);

/// Goal: signals that kill nobody are no events: other signals, one that is ignored, one to a
/// process that has ended already.
#[test]
fn what_kills_nobody_is_not_told() {
    let place = Cgroup::unified("harmless");
    let mut capture = start();
    let kill = |signal: &str, child: &Child| {
        let status = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    };
    let mut ended = shell_in(&[&place], "exit 0").spawn().unwrap();
    let stat = format!("/proc/{}/stat", ended.id());
    wait_for("its end", || {
        let stat = fs::read_to_string(&stat).unwrap();
        stat.contains(") Z ").then_some(())
    });
    // Older kernels call that a delivery: the signal waits for somebody who will never come.
    let drops_it = kernel_version() >= DROPS_SIGNALS_TO_THE_DYING;
    if drops_it {
        kill("-KILL", &ended);
    }
    assert!(ended.wait().unwrap().success());

    let mut deaf = shell_in(&[&place], "trap '' ABRT; exec sleep 60")
        .spawn()
        .unwrap();
    await_comm(&deaf, "sleep");
    kill("-ABRT", &deaf);
    kill("-TERM", &deaf);
    assert_eq!(deaf.wait().unwrap().signal(), Some(15));
    let counted = capture.tallies();
    let account = capture.stop();
    account.assert_adds_up();

    assert_eq!(signals_to(&account, ended.id()), []);
    assert_eq!(signals_to(&account, deaf.id()), []);
    let of_place = counted
        .iter()
        .filter(|of| of.cgroup_id == place.id() && matches!(of.what, What::Signal { .. }));
    assert_eq!(of_place.count(), 0, "{counted:?}");
    // Its end told us SIGCHLD as well.
    let signals = account.of("signal_fatal");
    assert!(signals.filtered >= 3 + u64::from(drops_it), "{signals:?}");
}

/// Goal: a whole cgroup that is killed by one write is told process by process, with the writer.
#[test]
fn killing_a_cgroup_names_the_writer() {
    let (killer, victims) = (Cgroup::unified("killer"), Cgroup::unified("victims"));
    let file = victims.procs().with_file_name("cgroup.kill");
    if !file.exists() {
        println!("skipped: this kernel has no cgroup.kill");
        return;
    }
    let mut children: Vec<_> = (0..3).map(|_| sleeper(&victims)).collect();
    let capture = start();
    let line = format!("echo 1 >{}", file.display());
    let mut shell = shell_in(&[&killer], &line).spawn().unwrap();
    assert!(shell.wait().unwrap().success());
    for child in &mut children {
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
    let account = capture.stop();
    account.assert_adds_up();
    for child in &children {
        let sent = signals_to(&account, child.id());
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(
            matches!(&sent[0].sender, Sender::Process(by) if by.pid == shell.id() && by.cgroup_id == killer.id()),
            "{sent:?}"
        );
    }
}
