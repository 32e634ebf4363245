//! A file system that finds itself damaged tells so, and that it became read-only.
//!
//! Needs root, a loop device and mkfs.ext4: `cargo test -p hostmedic-tests --features kernel`. On
//! a kernel whose ext4 does not report, that this is said.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use hostmedic_model::{
    signal::{Fact, FilesystemTrouble, Signal},
    subject::Subject,
};
use hostmedic_observe::{
    host::{HostSignals, PressureOptions, WatchOptions, clock},
    subject::Subjects,
};
use hostmedic_tests::host::wait_for;
use tokio::sync::mpsc::{Receiver, channel};

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|e| panic!("{program} cannot be run: {e}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
}

/// An ext4 on a loop device, which gives up at its first error.
struct Ext4(PathBuf);

impl Ext4 {
    fn new(dir: &Path) -> Self {
        let (image, point) = (dir.join("image"), dir.join("mnt"));
        File::create(&image).unwrap().set_len(32 << 20).unwrap();
        fs::create_dir(&point).unwrap();
        run("mkfs.ext4", &["-q", image.to_str().unwrap()]);
        let (image, to) = (image.to_str().unwrap(), point.to_str().unwrap());
        run("mount", &["-o", "loop,errors=remount-ro", image, to]);
        Self(point)
    }

    /// Name of its loop device.
    fn device(&self) -> String {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let of_line = |line: &str| {
            let mut fields = line.split(' ');
            let source = fields.next()?.strip_prefix("/dev/")?.to_owned();
            (Path::new(fields.next()?) == self.0).then_some(source)
        };
        mounts.lines().find_map(of_line).unwrap()
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        run("umount", &[self.0.to_str().unwrap()]);
    }
}

fn next(signals: &mut Receiver<Signal>, what: &str, is_it: impl Fn(&Signal) -> bool) -> Signal {
    wait_for(what, || {
        let signal = signals.try_recv().ok()?;
        is_it(&signal).then_some(signal)
    })
}

/// Goal: the report comes with the right device, and the fall to read-only with the mount.
/// Method: ext4's own switch for tests, `trigger_fs_error`.
#[test]
fn a_damaged_file_system_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = HostSignals::new(Subjects::new());
    let (queue, mut signals) = channel(16);
    let pressure = PressureOptions {
        host: Vec::new(),
        units: Vec::new(),
        ..PressureOptions::default()
    };
    let options = WatchOptions {
        pressure,
        ..WatchOptions::default()
    };
    let ext4 = Ext4::new(dir.path());
    host.watch(options, queue).unwrap();
    let (_, problems) = host.poll(clock::now());
    let refused = problems
        .iter()
        .find(|problem| problem.source == "errors of file systems");

    let device = ext4.device();
    let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
    fs::write(&trigger, "test").unwrap_or_else(|e| panic!("{trigger}: {e}"));

    if let Some(problem) = refused {
        assert!(problem.reason.contains("5.16"), "{problem}");
    } else {
        let is_error = |signal: &Signal| matches!(signal.fact, Fact::FilesystemError(_));
        let signal = next(&mut signals, "the report", is_error);
        assert_eq!(signal.subject, Subject::Device(device.clone()));
        let Fact::FilesystemError(error) = signal.fact else {
            unreachable!()
        };
        assert_eq!(error.filesystem, "ext4");
        assert_eq!(error.device.name.as_deref(), Some(device.as_str()));
        assert_eq!(error.trouble, FilesystemTrouble::Error);
    }

    // From 6.12 to 6.14 the kernel shows nowhere that ext4 takes no more writes.
    let info = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = info
        .lines()
        .find(|line| line.contains(ext4.0.to_str().unwrap()))
        .unwrap();
    let whole = line.rsplit(' ').next().unwrap();
    if whole
        .split(',')
        .any(|option| option == "ro" || option == "emergency_ro")
    {
        let is_mount = |signal: &Signal| matches!(signal.fact, Fact::MountReadOnly(_));
        let signal = next(&mut signals, "the fall", is_mount);
        assert_eq!(signal.subject, Subject::Mount(ext4.0.display().to_string()));
        let Fact::MountReadOnly(mount) = signal.fact else {
            unreachable!()
        };
        assert!(mount.whole, "{mount:?}");
    }
    drop(host);
}
