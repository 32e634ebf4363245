//! What tests share that run in a virtual machine only, because they change the machine.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use crate::storage::run;

use crate::kernel::is_emulated;

/// Longest wait for something that happens by itself. An emulated processor is slow.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Whether this is the machine that `cargo xtask vm` boots; otherwise says that `test` is skipped.
pub fn is_inside(test: &str) -> bool {
    let inside = is_emulated();
    if !inside {
        println!("skipped: {test}, because this is no machine of `cargo xtask vm`");
    }
    inside
}

/// Waits until `is_so`.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < WAIT_MAX, "still not: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A unit that systemd runs for a test; stopped and forgotten when dropped.
pub struct Unit(String);

impl Unit {
    /// Runs a line of shell as `NAME.service` with these properties.
    pub fn start(name: &str, properties: &[&str], line: &str) -> Self {
        let unit = format!("{name}.service");
        let named = format!("--unit={unit}");
        let mut arguments = vec!["--quiet", "--service-type=exec", &named];
        for property in properties {
            arguments.extend(["--property", property]);
        }
        arguments.extend(["sh", "-c", line]);
        run("systemd-run", &arguments);
        Self(unit)
    }

    /// A property, as systemd prints it.
    pub fn show(&self, property: &str) -> String {
        run(
            "systemctl",
            &["show", "--value", "--property", property, &self.0],
        )
    }

    /// Id of its cgroup, which is its directory's inode (cgroups(7)), while it runs.
    pub fn cgroup_id(&self) -> u64 {
        let inside = self.show("ControlGroup");
        let dir = Path::new("/sys/fs/cgroup").join(inside.trim_start_matches('/'));
        fs::metadata(&dir)
            .unwrap_or_else(|e| panic!("{} has no cgroup {dir:?}: {e}", self.0))
            .ino()
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        for verb in ["stop", "reset-failed"] {
            // It may have ended by itself; then there is nothing to do.
            let _ = Command::new("systemctl")
                .args([verb, &self.0])
                .stderr(Stdio::null())
                .status();
        }
    }
}
