//! Tasks that really hang, and memory that is really given up, are told.
//!
//! Needs root and the built probes.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Stdio},
};

use hostmedic_model::{
    loss::Coverage,
    signal::{Fact, HardwareError, HardwareSource, HungTask},
};
use hostmedic_observe::kernel::{About, KernelEvent, Options};
use hostmedic_tests::{
    host::Reaped,
    kernel::{Capture, Cgroup, boot_ns, child_in, is_emulated},
    storage::{Frozen, Loop, Mount, Setting, need_module, run},
};

/// Settings of the kernel's search for hung tasks.
const SYSCTL: &str = "/proc/sys/kernel/hung_task";

fn hung(event: &KernelEvent, pid: u32) -> Option<&HungTask> {
    match &event.fact {
        Fact::HungTask(hung) if hung.task.pid == pid => Some(hung),
        _ => None,
    }
}

/// Goal: a task that waits in the kernel for too long is told with its process and cgroup, also
/// when the kernel's log has no more room for warnings.
/// Method: a process in a cgroup of its own makes a file in a frozen ext4.
#[test]
fn hung_task_is_told_with_its_cgroup() {
    let panics = fs::read_to_string(format!("{SYSCTL}_panic"));
    if panics.is_ok_and(|panics| panics.trim() != "0") {
        println!("skipped: this kernel panics when a task hangs");
        return;
    }
    // The shorter of the two intervals counts, so the longer is set first.
    let change = |name: &str, value| Setting::change(&format!("{SYSCTL}_{name}"), value);
    let (Some(_warnings), Some(_interval), Some(_timeout)) = (
        change("warnings", "0"),
        change("check_interval_secs", "1"),
        change("timeout_secs", "2"),
    ) else {
        println!("skipped: this kernel does not look for hung tasks ({SYSCTL}_*)");
        return;
    };
    need_module("ext4");
    let dir = tempfile::tempdir().unwrap();
    let disk = Loop::sparse(&dir.path().join("image"), 16);
    run("mkfs.ext4", &["-q", disk.path()]);
    let mount = Mount::new("ext4", "defaults", disk.path(), &dir.path().join("ext4"));
    let cgroup = Cgroup::unified("hung");
    let before_ns = boot_ns();
    let mut capture = Capture::start(&Options::default());
    assert_eq!(
        capture.coverage("hung_task"),
        Coverage::Captured,
        "{:?}",
        capture.report("hung_task")
    );

    let file = mount.path().join("file");
    let enter = "echo 0 >\"$1\" && exec touch \"$2\"";
    let mut touch = Command::new("sh");
    touch
        .args(["-c", enter, "sh"])
        .arg(cgroup.procs())
        .arg(&file);
    // Thawed before the process is waited for.
    let waits = {
        let frozen = Frozen::new(mount.path());
        let mut child = touch.spawn().unwrap();
        let pid = child.id();
        capture.wait_for("hung task", |event| hung(event, pid).is_some());
        drop(frozen);
        assert!(child.wait().unwrap().success());
        pid
    };
    let account = capture.stop();
    account.assert_adds_up();

    let first = account.events.iter().find(|e| hung(e, waits).is_some());
    let event = first.unwrap();
    let task = &hung(event, waits).unwrap().task;
    assert_eq!((task.comm.as_str(), task.cgroup_id), ("touch", cgroup.id()));
    assert!((before_ns..event.at_boot_ns).contains(&task.started_boot_ns));
    assert_eq!(
        event.about,
        About::Process {
            pid: waits,
            started_boot_ns: task.started_boot_ns,
            cgroup_id: cgroup.id(),
        }
    );
}

/// The page frame behind the middle of a process's largest mapping without a file
/// (Documentation/admin-guide/mm/pagemap.rst).
fn frame_of(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let of_line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (from, to) = fields.next()?.split_once('-')?;
        let (from, to) = (
            u64::from_str_radix(from, 16).ok()?,
            u64::from_str_radix(to, 16).ok()?,
        );
        // Permissions, offset, device, inode; a name would be fifth.
        let is_ours = fields.next()? == "rw-p" && fields.nth(3).is_none();
        is_ours.then_some((to - from, from))
    };
    let (bytes, from) = maps.lines().filter_map(of_line).max().unwrap();
    let page = (from + bytes / 2) / 4096;
    let mut entry = [0; 8];
    File::open(format!("/proc/{pid}/pagemap"))
        .unwrap()
        .read_exact_at(&mut entry, page * 8)
        .unwrap();
    let entry = u64::from_ne_bytes(entry);
    assert_ne!(entry >> 63, 0, "the page is not in memory");
    entry & ((1 << 55) - 1)
}

/// Goal: a page that the kernel gives up is told with its frame.
/// Method: the kernel's own switch for administrators, and a page that a process holds.
#[test]
fn page_that_is_given_up_is_told() {
    const SWITCH: &str = "/sys/devices/system/memory/hard_offline_page";
    if !is_emulated() {
        println!("skipped: the page would be lost to this machine until it boots again");
        return;
    }
    assert!(Path::new(SWITCH).exists(), "{SWITCH} is missing");
    let mut child = child_in(&[], &["hold", "4"]);
    let mut child = Reaped(child.stdout(Stdio::piped()).spawn().unwrap());
    let mut said = String::new();
    BufReader::new(child.0.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said, "held 4\n");
    let frame = frame_of(child.0.id());
    let capture = Capture::start(&Options::default());
    assert_eq!(
        capture.coverage("memory_page"),
        Coverage::Captured,
        "{:?}",
        capture.report("memory_page")
    );

    let written = fs::write(SWITCH, format!("{:#x}", frame << 12));
    let account = capture.stop();
    account.assert_adds_up();

    let hardware: Vec<_> = account
        .events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::HardwareError(error) => Some((event.about, error.clone())),
            _ => None,
        })
        .collect();
    let expected = HardwareError {
        source: HardwareSource::MemoryPage,
        place: format!("page frame {frame:#x}"),
        corrected: None,
    };
    assert_eq!(hardware, [(About::Host, expected)], "{written:?}");
}
