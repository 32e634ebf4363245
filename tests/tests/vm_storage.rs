//! Disks that break in a machine with modules and pure cgroup v2: who issued a request that
//! failed, hooks whose module comes late, and a file system that falls to read-only.
//!
//! `cargo xtask vm` runs this.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
};

use hostmedic_model::{
    loss::Coverage,
    signal::{BlockError, BlockOperation, Device, Fact, FilesystemTrouble, ScsiError, Signal},
    subject::Subject,
};
use hostmedic_observe::{
    host::{HostSignals, PressureOptions, WatchOptions, clock},
    kernel::{About, KernelEvent, Options},
    subject::Subjects,
};
use hostmedic_tests::{
    host::wait_for,
    kernel::{Account, Capture},
    storage::{Loop, Mount, Setting, attempt, direct_block, need_module, numbers_of, run},
    vm::{eventually, is_inside},
};
use tokio::sync::mpsc::channel;

/// First sector that `scsi_debug` cannot read if asked to fail (`OPT_MEDIUM_ERR_ADDR`), rounded up
/// to whole blocks of 4096 bytes; ten sectors fail.
const BAD_BLOCK: u64 = 0x1234_u64.div_ceil(8);
/// `SDEBUG_OPT_` values, `drivers/scsi/scsi_debug.c`.
const MEDIUM_ERROR: &str = "2";
const TIMEOUT: &str = "4";
const HOST_BUSY: &str = "0x8000";

/// A disk without hardware that fails on demand; gone when dropped.
struct ScsiDisk {
    name: String,
}

impl ScsiDisk {
    fn new() -> Self {
        // Without udev nobody loads the disks' driver when a disk comes.
        run("modprobe", &["sd_mod"]);
        run("modprobe", &["scsi_debug", "dev_size_mb=8"]);
        let disk = |entry: fs::DirEntry| {
            let model = fs::read_to_string(entry.path().join("device/model")).ok()?;
            let name = entry.file_name().into_string().ok()?;
            (model.trim() == "scsi_debug").then_some(name)
        };
        let name = wait_for("the disk", || {
            let mut entries = fs::read_dir("/sys/block").ok()?.flatten();
            let name = entries.find_map(disk)?;
            Path::new("/dev").join(&name).exists().then_some(name)
        });
        Self { name }
    }

    fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }

    fn numbers(&self) -> (u32, u32) {
        numbers_of(self.path().as_ref())
    }

    /// `host:channel:target:lun`.
    fn address(&self) -> String {
        let device = fs::read_link(format!("/sys/block/{}/device", self.name)).unwrap();
        device.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Makes every `nth` command fail in the way `option`, until dropped.
    fn failing(&self, option: &str, nth: &str) -> [Setting; 2] {
        let change = |name: &str, value: &str| {
            let path = format!("/sys/bus/pseudo/drivers/scsi_debug/{name}");
            Setting::change(&path, value).unwrap_or_else(|| panic!("{path} is missing"))
        };
        // Dropped in this order: the option goes first.
        [change("opts", option), change("every_nth", nth)]
    }
}

impl Drop for ScsiDisk {
    fn drop(&mut self) {
        remove_modules(&["scsi_debug"]);
    }
}

/// Unloads modules, in this order, for as long as they are busy; gives up quietly: the next test
/// says what it misses.
fn remove_modules(modules: &[&str]) {
    for module in modules {
        for _ in 0..100 {
            let gone = !Path::new("/sys/module").join(module).exists();
            if gone || attempt("modprobe", &["-r", module]).status.success() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

fn block_errors(account: &Account, (major, minor): (u32, u32)) -> Vec<BlockError> {
    let pick = |event: &KernelEvent| match &event.fact {
        Fact::BlockError(error) if event.about == (About::Device { major, minor }) => {
            Some(error.clone())
        }
        _ => None,
    };
    account.events.iter().filter_map(pick).collect()
}

fn scsi_error(event: &KernelEvent) -> Option<&ScsiError> {
    match &event.fact {
        Fact::ScsiError(error) => Some(error),
        _ => None,
    }
}

/// Goal: a request that fails names the unit that issued it, also when that is gone by the time
/// somebody asks.
/// Method: a unit reads a bad block of a SCSI disk. The disk must have requests: an error of the
/// device mapper itself happens to a bio, which no hook sees. Witness of the cgroup is its inode,
/// which the unit looks up itself.
#[test]
fn failed_read_names_the_unit_that_is_gone() {
    if !is_inside("a unit's failed read") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let witness = dir.path().join("inode");
    let disk = ScsiDisk::new();
    let _bad = disk.failing(MEDIUM_ERROR, "0");
    let capture = Capture::start(&Options::default());
    for hook in ["block_error", "cgroup_made"] {
        let report = capture.report(hook);
        assert_eq!(report.coverage, Coverage::Captured, "{report:?}");
    }

    let line = format!(
        "stat -c %i /sys/fs/cgroup$(cut -d: -f3- /proc/self/cgroup) >{}; \
         exec dd if={} of=/dev/null bs=4096 count=1 skip={BAD_BLOCK} iflag=direct",
        witness.display(),
        disk.path()
    );
    let words = ["--unit=vm-reader", "--wait", "--collect", "--quiet"];
    let mut unit = Command::new("systemd-run");
    unit.args(words)
        .args(["--property=IOAccounting=yes", "sh", "-c", &line]);
    let status = unit.status().unwrap();
    assert!(!status.success(), "the bad block was read");
    let account = capture.stop();
    account.assert_adds_up();

    let inode = fs::read_to_string(&witness).unwrap();
    let cgroup_id: u64 = inode.trim().parse().unwrap();
    let (major, minor) = disk.numbers();
    let expected = BlockError {
        device: Device {
            major,
            minor,
            ..Device::default()
        },
        sector: BAD_BLOCK * 8,
        bytes: 4096,
        operation: BlockOperation::Read,
        error: "ENODATA".to_owned(),
        cgroup_id,
        issuer: None,
    };
    assert_eq!(block_errors(&account, disk.numbers()), [expected]);

    // As `medicd` does with what arrives: names are learned when a cgroup is made.
    let mut paths = account.events.iter().filter_map(|event| match &event.fact {
        Fact::CgroupMade(cgroup) if cgroup.cgroup_id == cgroup_id => Some(cgroup.path.clone()),
        _ => None,
    });
    let path = paths.next().unwrap();
    eventually("the cgroup is gone", || {
        !Path::new("/sys/fs/cgroup")
            .join(path.trim_start_matches('/'))
            .exists()
    });
    let subjects = Subjects::new();
    let now = clock::now();
    assert_eq!(
        Subjects::new().of(cgroup_id, None, now),
        Subject::Cgroup(format!("id:{cgroup_id}"))
    );
    subjects.made(cgroup_id, &path, now);
    let subject = subjects.of(cgroup_id, None, now);
    let is_unit = |subject: &Subject| matches!(subject, Subject::Unit(unit) if unit.as_str() == "vm-reader.service");
    assert!(is_unit(&subject), "{subject:?}");
}

/// Goal: a device that does not answer, and an adapter that takes no command, are told with the
/// device's address; the hooks come with the module.
#[test]
fn scsi_trouble_is_told_by_hooks_that_came_late() {
    if !is_inside("SCSI that does not answer") {
        return;
    }
    remove_modules(&["scsi_debug", "sd_mod", "scsi_mod"]);
    let mut capture = Capture::start(&Options::default());
    for hook in ["scsi_timeout", "scsi_refused"] {
        let report = capture.report(hook);
        assert_eq!(report.coverage, Coverage::Absent, "{report:?}");
        assert!(report.reason.contains("not loaded scsi_mod"), "{report:?}");
    }
    let disk = ScsiDisk::new();
    let came = capture.revisit();
    if !came.iter().any(|report| report.hook == "scsi_timeout") {
        let reports = capture.probes().reports();
        let report = reports.iter().find(|report| report.hook == "scsi_timeout");
        let reason = &report.unwrap().reason;
        // Modules describe themselves since 5.11.
        assert!(!Path::new("/sys/kernel/btf/scsi_mod").exists(), "{reason}");
        assert!(reason.contains("/sys/kernel/btf/scsi_mod"), "{reason}");
        println!("skipped: {reason}");
        return;
    }
    assert_eq!(came.len(), 2, "{came:?}");
    assert!(
        came.iter()
            .all(|report| report.coverage == Coverage::Captured)
    );
    assert_eq!(capture.revisit(), []);

    let limit = format!("/sys/block/{}/device/timeout", disk.name);
    let _limit = Setting::change(&limit, "1").unwrap();
    for (option, nth, timed_out) in [(TIMEOUT, "1", true), (HOST_BUSY, "2", false)] {
        let expected = ScsiError {
            address: disk.address(),
            timed_out,
        };
        let failing = disk.failing(option, nth);
        let path = disk.path();
        // The commands are tried again; the reads end once the disk works.
        let reader = std::thread::spawn(move || {
            for block in 0..4 {
                assert!(direct_block(&path, block, false).status.success());
            }
        });
        capture.wait_for("SCSI error", |event| scsi_error(event) == Some(&expected));
        drop(failing);
        reader.join().unwrap();
    }
    let account = capture.stop();
    account.assert_adds_up();
    for hook in ["scsi_timeout", "scsi_refused"] {
        assert!(account.of(hook).delivered >= 1, "{:?}", account.of(hook));
    }
}

/// Goal: file systems whose modules are loaded after the probes are watched from then on.
/// Method: ext4's own switch for tests, and a shutdown that `xfs_io(8)` asks for.
#[test]
fn file_systems_that_come_late_are_watched() {
    if !is_inside("a file system's module that comes late") {
        return;
    }
    remove_modules(&["ext4", "xfs"]);
    let mut capture = Capture::start(&Options::default());
    let late = [("ext4", "ext4_error"), ("xfs", "xfs_shutdown")];
    for (module, hook) in late {
        let report = capture.report(hook);
        assert_eq!(report.coverage, Coverage::Absent, "{report:?}");
        let said = format!("not loaded {module};");
        assert!(report.reason.contains(&said), "{report:?}");
        need_module(module);
    }
    let came = capture.revisit();
    let has = |hook: &str| came.iter().any(|report| report.hook == hook);
    let reports = capture.probes().reports().to_vec();
    assert!(has("ext4_error"), "{reports:#?}");

    let dir = tempfile::tempdir().unwrap();
    let point = |name| dir.path().join(name);
    let damaged = Loop::sparse(&point("image"), 32);
    run("mkfs.ext4", &["-q", damaged.path()]);
    let mount = Mount::new("ext4", "errors=continue", damaged.path(), &point("ext4"));
    let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", damaged.name());
    fs::write(trigger, "test").unwrap();
    drop(mount);

    let shut = Loop::sparse(&point("image-xfs"), 320);
    run("mkfs.xfs", &["-q", shut.path()]);
    let mount = Mount::new("xfs", "defaults", shut.path(), &point("xfs"));
    let at = mount.path().to_str().unwrap();
    run("xfs_io", &["-x", "-c", "shutdown", at]);
    drop(mount);
    let account = capture.stop();
    account.assert_adds_up();

    let told = |numbers: (u32, u32), trouble: FilesystemTrouble| {
        let is_it = |event: &&KernelEvent| {
            let (major, minor) = numbers;
            matches!(&event.fact, Fact::FilesystemError(error) if error.trouble == trouble)
                && event.about == About::Device { major, minor }
        };
        account.events.iter().filter(is_it).count()
    };
    assert_eq!(told(damaged.numbers(), FilesystemTrouble::Error), 1);
    let shutdowns = told(shut.numbers(), FilesystemTrouble::Shutdown);
    if has("xfs_shutdown") {
        assert_eq!(shutdowns, 1);
    } else {
        let report = reports.iter().find(|report| report.hook == "xfs_shutdown");
        let reason = &report.unwrap().reason;
        // Modules describe themselves since 5.11.
        assert!(!Path::new("/sys/kernel/btf/xfs").exists(), "{reason}");
        println!("skipped: xfs_shutdown is absent: {reason}");
    }
}

/// A linear device over another, which can lose it.
struct Mapped(&'static str);

impl Mapped {
    fn new(name: &'static str, below: &Loop, sectors: u64) -> Self {
        need_module("dm-mod");
        let table = format!("0 {sectors} linear {} 0", below.path());
        run("dmsetup", &["create", name, "--table", &table]);
        // Without udev nobody makes the special file.
        run("dmsetup", &["mknodes", name]);
        Self(name)
    }

    /// From now on every request fails.
    fn lose(&self, sectors: u64) {
        let table = format!("0 {sectors} error");
        run("dmsetup", &["suspend", "--noflush", "--nolockfs", self.0]);
        run("dmsetup", &["load", self.0, "--table", &table]);
        run("dmsetup", &["resume", self.0]);
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let _ = attempt("dmsetup", &["remove", "--retry", self.0]);
    }
}

/// Goal: a mount that falls to read-only because its disk is gone is noticed.
/// Method: the device mapper takes the disk away below an ext4 that gives up at its first error.
#[test]
fn mount_that_falls_to_read_only_is_noticed() {
    if !is_inside("a disk that goes away") {
        return;
    }
    const MIB: u64 = 32;
    need_module("ext4");
    let dir = tempfile::tempdir().unwrap();
    let disk = Loop::sparse(&dir.path().join("image"), MIB);
    run("mkfs.ext4", &["-q", disk.path()]);
    let mapped = Mapped::new("vm-lost", &disk, MIB << 11);
    let device = format!("/dev/mapper/{}", mapped.0);
    let point = dir.path().join("ext4");
    let mount = Mount::new("ext4", "errors=remount-ro", &device, &point);
    let mut file = File::create(mount.path().join("file")).unwrap();
    file.sync_all().unwrap();
    let mut host = HostSignals::new(Subjects::new());
    let (queue, mut signals) = channel(64);
    let options = WatchOptions {
        pressure: PressureOptions {
            host: Vec::new(),
            units: Vec::new(),
            ..PressureOptions::default()
        },
        ..WatchOptions::default()
    };
    host.watch(options, queue).unwrap();

    mapped.lose(MIB << 11);
    file.write_all(b"lost").unwrap();
    file.sync_all().unwrap_err();
    // The file's own error comes at once, the journal's with its next commit.
    let more = mount.path().join("more");
    wait_for("the end of the journal", || {
        let _ = File::create(&more).and_then(|file| file.sync_all());
        File::create(&more).err()
    });

    let info = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let at = mount.path().to_str().unwrap();
    let line = info.lines().find(|line| line.contains(at)).unwrap();
    let mut whole = line.rsplit(' ').next().unwrap().split(',');
    // On some kernels (Debian's 6.1 and 6.12, not 5.10) nothing shows that ext4 takes no more
    // writes.
    if !whole.any(|option| option == "ro" || option == "emergency_ro") {
        println!("skipped: this kernel does not show the fall: {line}");
        return;
    }
    let is_fall = |signal: &Signal| {
        matches!(&signal.fact, Fact::MountReadOnly(mount) if mount.whole)
            && signal.subject == Subject::Mount(at.to_owned())
    };
    wait_for("the fall", || signals.try_recv().ok().filter(is_fall));
}
