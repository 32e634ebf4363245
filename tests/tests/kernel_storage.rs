//! Disks and file systems that really fail are told: which device, which error, and each once.
//!
//! Needs root and the built probes. The disks are loop devices over files that lack room or end
//! early.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use hostmedic_model::{
    loss::Coverage,
    signal::{
        BlockError, BlockOperation, Device, Fact, FilesystemError, FilesystemTrouble,
        WritebackError,
    },
};
use hostmedic_observe::kernel::{About, KernelEvent, Options, What};
use hostmedic_tests::{
    kernel::{Account, Capture, boot_ns},
    storage::{Loop, Mount, attempt, direct_block, need_module, reason, run},
};

/// Events about a device, with when they happened.
fn about<T>(
    account: &Account,
    numbers: (u32, u32),
    pick: impl Fn(&Fact) -> Option<T>,
) -> Vec<(u64, T)> {
    let (major, minor) = numbers;
    let pick = |event: &KernelEvent| {
        let fits = event.about == About::Device { major, minor };
        let picked = fits.then(|| pick(&event.fact))?;
        Some((event.at_boot_ns, picked?))
    };
    account.events.iter().filter_map(pick).collect()
}

fn block_error(fact: &Fact) -> Option<BlockError> {
    match fact {
        Fact::BlockError(error) => Some(error.clone()),
        _ => None,
    }
}

fn writeback_error(fact: &Fact) -> Option<WritebackError> {
    match fact {
        Fact::WritebackError(error) => Some(error.clone()),
        _ => None,
    }
}

fn filesystem_error(fact: &Fact) -> Option<FilesystemError> {
    match fact {
        Fact::FilesystemError(error) => Some(error.clone()),
        _ => None,
    }
}

/// What a failing test shows.
fn troubles(account: &Account) -> Vec<&KernelEvent> {
    let is_trouble = |event: &&KernelEvent| matches!(event.about, About::Device { .. });
    account.events.iter().filter(is_trouble).collect()
}

/// As the probes know it: without a name.
fn device((major, minor): (u32, u32)) -> Device {
    Device {
        major,
        minor,
        ..Device::default()
    }
}

fn assert_captured(capture: &Capture, hook: &str) {
    let coverage = capture.coverage(hook);
    assert_eq!(
        coverage,
        Coverage::Captured,
        "{hook}: {:?}",
        capture.reports
    );
}

/// An ext4 on a loop device over `dir/image`.
fn ext4(dir: &Path, options: &str) -> (Mount, Loop) {
    need_module("ext4");
    let disk = Loop::sparse(&dir.join("image"), 32);
    run("mkfs.ext4", &["-q", disk.path()]);
    let mount = Mount::new("ext4", options, disk.path(), &dir.join("ext4"));
    (mount, disk)
}

/// Goal: a write that the disk refuses is told once, with every field right.
/// Method: the disk is a sparse file in a full tmpfs, and dd(1) writes around the page cache. What
/// it is told is the witness: older loop devices say EIO, newer ones ENOSPC.
#[test]
fn write_without_room_is_told() {
    const BLOCK: u64 = 100;
    let dir = tempfile::tempdir().unwrap();
    let tmpfs = Mount::tmpfs(2, &dir.path().join("full"));
    let disk = Loop::sparse(&tmpfs.path().join("image"), 8);
    tmpfs.fill();
    let capture = Capture::start(&Options::default());
    assert_ne!(capture.coverage("block_error"), Coverage::Absent);

    let before_ns = boot_ns();
    let written = direct_block(disk.path(), BLOCK, true);
    let after_ns = boot_ns();
    assert!(!written.status.success(), "{written:?}");
    let account = capture.stop();
    account.assert_adds_up();

    let errors = about(&account, disk.numbers(), block_error);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let (at_ns, error) = &errors[0];
    assert!((before_ns..after_ns).contains(at_ns));
    assert_eq!(error.device, device(disk.numbers()));
    assert_eq!((error.sector, error.bytes), (BLOCK * 8, 4096));
    assert_eq!(error.operation, BlockOperation::Write);
    assert_eq!(error.error, reason(&written));
    assert_eq!(error.issuer, None);
    // What was delivered is what was told, and nothing was left out.
    let counters = account.of("block_error");
    assert!(counters.delivered >= 1, "{counters:?}");
    assert_eq!((counters.ring_full, counters.rate_limited), (0, 0));
}

/// Goal: a read that fails is told as a read.
/// Method: the file below the disk, on an ext4 and without its page cache, is cut short.
#[test]
fn read_past_the_end_is_told() {
    const BLOCK: u64 = 512;
    let dir = tempfile::tempdir().unwrap();
    let (mount, _below) = ext4(dir.path(), "defaults");
    let file = mount.path().join("short");
    fs::write(&file, vec![7; 4 << 20]).unwrap();
    let disk = Loop::new(&file, true);
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let capture = Capture::start(&Options::default());

    let read = direct_block(disk.path(), BLOCK, false);
    assert!(!read.status.success(), "{read:?}");
    let account = capture.stop();
    account.assert_adds_up();

    let errors = about(&account, disk.numbers(), block_error);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let (_, error) = &errors[0];
    assert_eq!((error.sector, error.bytes), (BLOCK * 8, 4096));
    assert_eq!(error.operation, BlockOperation::Read);
    assert_eq!((error.error.as_str(), reason(&read)), ("EIO", "EIO"));
}

/// Goal: data that a program believed written, and that is lost, is told with file and device.
/// Method: an ext4 on a disk that lacks room; the file is written, and then fsync(2) fails.
#[test]
fn lost_data_of_a_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let tmpfs = Mount::tmpfs(16, &dir.path().join("full"));
    let (mount, disk) = ext4(tmpfs.path(), "errors=continue");
    let mut file = File::create(mount.path().join("file")).unwrap();
    file.write_all(b"first").unwrap();
    file.sync_all().unwrap();
    tmpfs.fill();
    let capture = Capture::start(&Options::default());
    assert_captured(&capture, "writeback_error");

    file.write_all(&vec![1; 1 << 20]).unwrap();
    let error = file.sync_all().unwrap_err();
    let account = capture.stop();
    account.assert_adds_up();

    let inode = file.metadata().unwrap().ino();
    let errors = about(&account, disk.numbers(), writeback_error);
    let of_file: Vec<_> = errors.iter().filter(|(_, e)| e.inode == inode).collect();
    assert!(!of_file.is_empty(), "{error}; {errors:#?}");
    for (_, lost) in of_file {
        assert_eq!(lost.device, device(disk.numbers()));
        assert!(["EIO", "ENOSPC"].contains(&lost.error.as_str()), "{lost:?}");
    }
}

/// Goal: data written to the device itself is lost under the device's own number.
/// Method: the same full disk without a file system, written through the page cache.
#[test]
fn lost_data_of_a_device_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let tmpfs = Mount::tmpfs(2, &dir.path().join("full"));
    let disk = Loop::sparse(&tmpfs.path().join("image"), 8);
    tmpfs.fill();
    let capture = Capture::start(&Options::default());
    let of = format!("of={}", disk.path());
    let words = ["if=/dev/zero", &of, "bs=64k", "count=4", "conv=fsync"];
    let written = attempt("dd", &words);
    assert!(!written.status.success(), "{written:?}");
    let account = capture.stop();
    account.assert_adds_up();

    let errors = about(&account, disk.numbers(), writeback_error);
    assert!(!errors.is_empty(), "{:#?}", troubles(&account));
    for (_, lost) in &errors {
        assert_eq!((lost.inode, &lost.device), (0, &device(disk.numbers())));
        assert!(["EIO", "ENOSPC"].contains(&lost.error.as_str()), "{lost:?}");
    }
}

/// Goal: an ext4 that finds itself damaged is told with its device and the place in its code.
/// Method: debugfs(8) clears the inode of a directory that is then looked up.
#[test]
fn damaged_ext4_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mount, disk) = ext4(dir.path(), "errors=continue");
    fs::create_dir(mount.path().join("hurt")).unwrap();
    drop(mount);
    run("debugfs", &["-w", "-R", "clri hurt", disk.path()]);
    let mount = Mount::new(
        "ext4",
        "errors=continue",
        disk.path(),
        &dir.path().join("again"),
    );
    let capture = Capture::start(&Options::default());
    assert_captured(&capture, "ext4_error");

    fs::metadata(mount.path().join("hurt")).unwrap_err();
    let account = capture.stop();
    account.assert_adds_up();

    let errors = about(&account, disk.numbers(), filesystem_error);
    assert!(!errors.is_empty(), "{:#?}", troubles(&account));
    for (_, error) in &errors {
        assert_eq!(error.filesystem, "ext4");
        assert_eq!(error.trouble, FilesystemTrouble::Error);
        assert!(error.function.contains("ext4_"), "{error:?}");
        assert_ne!(error.line, 0);
    }
}

/// Goal: an xfs that shuts down is told with its device.
/// Method: `xfs_io(8)` asks it to, as an administrator may.
#[test]
fn shutdown_of_xfs_is_told() {
    need_module("xfs");
    let dir = tempfile::tempdir().unwrap();
    // mkfs.xfs makes none below 300 MiB.
    let disk = Loop::sparse(&dir.path().join("image"), 320);
    run("mkfs.xfs", &["-q", disk.path()]);
    let point = dir.path().join("xfs");
    let mount = Mount::new("xfs", "defaults", disk.path(), &point);
    let capture = Capture::start(&Options::default());
    if capture.coverage("xfs_shutdown") == Coverage::Absent {
        let report = capture.report("xfs_shutdown");
        println!("skipped: xfs_shutdown is absent: {}", report.reason);
        return;
    }

    let at = mount.path().to_str().unwrap();
    run("xfs_io", &["-x", "-c", "shutdown", at]);
    let account = capture.stop();
    account.assert_adds_up();

    let errors = about(&account, disk.numbers(), filesystem_error);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let (_, error) = &errors[0];
    assert_eq!(error.filesystem, "xfs");
    assert_eq!(error.trouble, FilesystemTrouble::Shutdown);
}

/// Requests that a disk has completed (Documentation/block/stat.rst).
fn completed(disk: &Loop) -> u64 {
    let path = format!("/sys/block/{}/stat", disk.name());
    let numbers = fs::read_to_string(path).unwrap();
    let number = |at: usize| numbers.split_ascii_whitespace().nth(at);
    [0, 4, 11, 15]
        .map(|at| number(at).map_or(0, |number| number.parse().unwrap()))
        .iter()
        .sum()
}

/// Goal: every request is counted under its device, in the bucket that fits its time, also with more
/// devices in turns than a CPU has seats.
/// Method: direct reads, of one disk after the other. The kernel's own account of each is the witness.
#[test]
fn requests_are_counted_by_how_long_they_took() {
    const DISKS: usize = 20;
    const READS: u64 = 8;
    const TURNS: u64 = 3;
    let dir = tempfile::tempdir().unwrap();
    let disks: Vec<Loop> = (0..DISKS)
        .map(|n| Loop::sparse(&dir.path().join(format!("image{n}")), 8))
        .collect();
    let mut capture = Capture::start(&Options {
        disk_latency: true,
        ..Options::default()
    });
    assert_captured(&capture, "block_latency");
    drop(capture.tallies());
    let before: Vec<u64> = disks.iter().map(completed).collect();
    let mut tallies = Vec::new();
    for _ in 0..TURNS {
        for disk in &disks {
            let from = format!("if={}", disk.path());
            let count = format!("count={READS}");
            run(
                "dd",
                &[&from, "of=/dev/null", "bs=4096", &count, "iflag=direct"],
            );
        }
        tallies.extend(capture.tallies());
    }
    let expected: HashMap<(u32, u32), u64> = disks
        .iter()
        .zip(before)
        .map(|(disk, before)| (disk.numbers(), completed(disk) - before))
        .collect();
    capture.stop().assert_adds_up();

    let mut counted: HashMap<(u32, u32), u64> = HashMap::new();
    for tally in &tallies {
        let What::DiskRequest { major, minor, bits } = tally.what else {
            continue;
        };
        // A bucket's times add up to between half its limit and its limit for each request.
        let limit_ns = (1_u64 << bits) * 1000 * tally.count;
        let least_ns = if bits == 0 { 0 } else { limit_ns / 2 };
        assert!((least_ns..limit_ns).contains(&tally.amount), "{tally:?}");
        assert_eq!(tally.cgroup_id, 0);
        *counted.entry((major, minor)).or_default() += tally.count;
    }
    for (numbers, expected) in expected {
        assert!(expected >= READS * TURNS, "{expected}");
        assert_eq!(counted.get(&numbers), Some(&expected), "{tallies:#?}");
    }
}

/// Goal: what nobody asked for costs nothing, and says so.
#[test]
fn latency_is_absent_unless_asked_for() {
    let mut capture = Capture::start(&Options::default());
    let report = capture.report("block_latency");
    assert_eq!(report.coverage, Coverage::Absent);
    assert!(report.reason.contains("`disk_latency`"), "{report:?}");
    let is_disk = |what: &What| matches!(what, What::DiskRequest { .. });
    assert!(!capture.tallies().iter().any(|tally| is_disk(&tally.what)));
    assert_eq!(capture.stop().of("block_latency").seen, 0);
}
