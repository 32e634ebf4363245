//! auditd with a rule for execve, in a directory of its own, and the kernel's audit put back
//! afterwards.
//!
//! Once audit was on, the kernel gives each new task an audit context until the next boot, and
//! every system call of such a task costs more. [`Bystanders`] spares the other contenders that.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::load::PRIORITY;
use crate::command;

/// The rule, as people write it.
const RULE: &str = "always,exit -F arch=b64 -S execve -k hostmedic-bench";
/// Takes tasks out of audit when they are made.
const BYSTANDER: &str = "never,task";
/// What distributions ship; the kernel's own 64 would make every exec wait.
const BACKLOG: &str = "8192";
/// Longest time for auditd to take over.
const READY_MAX: Duration = Duration::from_secs(5);

/// As distributions ship it, but for the place of the log, and for what it would do to the host.
const CONFIG: &str = "local_events = yes\nwrite_logs = yes\nlog_format = ENRICHED\n\
    log_group = root\nflush = INCREMENTAL_ASYNC\nfreq = 50\nmax_log_file = 8\nnum_logs = 2\n\
    max_log_file_action = ROTATE\npriority_boost = 0\nname_format = NONE\nq_depth = 2000\n\
    space_left = 75\nspace_left_action = IGNORE\nadmin_space_left = 50\n\
    admin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\n";

/// A running auditd; stopped, and the kernel's audit put back, when dropped.
pub(super) struct Audit {
    child: Child,
    kernel_thread: Option<u32>,
    was: Status,
}

/// Of `auditctl -s`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Status {
    enabled: String,
    pid: u32,
    backlog_limit: String,
}

impl Status {
    fn read() -> Result<Self> {
        let text = auditctl("-s").context("the kernel's audit does not answer")?;
        Self::parse(&text).with_context(|| format!("`auditctl -s` said `{text}`"))
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            Some(lines.find(|(found, _)| *found == name)?.1.to_owned())
        };
        Some(Self {
            enabled: field("enabled")?,
            pid: field("pid")?.parse().ok()?,
            backlog_limit: field("backlog_limit")?,
        })
    }
}

impl Audit {
    /// Starts it, with its log in `work`.
    ///
    /// # Errors
    /// Says why audit cannot be measured here, for example that the host uses it.
    pub(super) fn start(work: &Path) -> Result<Self> {
        let was = Status::read()?;
        ensure!(
            was.pid == 0,
            "this host's own auditd runs; it is left alone"
        );
        ensure!(
            was.enabled != "2",
            "this host's audit is locked until the next boot"
        );
        let config = work.join("audit");
        fs::create_dir_all(config.join("plugins.d")).context("cannot make its directory")?;
        let log = config.join("audit.log");
        let text = format!("log_file = {}\n{CONFIG}", log.display());
        let file = config.join("auditd.conf");
        fs::write(&file, text).context("cannot write its configuration")?;
        // auditd refuses what others may write.
        for (path, mode) in [(&file, 0o640), (&config, 0o750)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
                .context("cannot protect its configuration")?;
        }
        let mut daemon = Command::new(PRIORITY[0]);
        daemon.args(&PRIORITY[1..]).args(["auditd", "-n", "-c"]);
        daemon
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut audit = Self {
            child: command::spawn(&mut daemon)?,
            kernel_thread: kernel_thread(),
            was,
        };
        let began = Instant::now();
        while Status::read()?.pid != audit.pid() {
            let ended = audit.child.try_wait().context("cannot look after auditd")?;
            ensure!(
                ended.is_none(),
                "auditd ended; audit may be refused in a container"
            );
            ensure!(began.elapsed() < READY_MAX, "auditd did not take over");
            thread::sleep(Duration::from_millis(20));
        }
        auditctl(&format!("-b {BACKLOG}"))?;
        let _ = auditctl(&format!("-d {BYSTANDER}"));
        auditctl(&format!("-a {RULE}"))?;
        audit.favour_kernel_thread("-20");
        Ok(audit)
    }

    /// The daemon's process.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The daemon, to see whether it lives.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The kernel's thread that sends records to it.
    pub(super) fn kernel_thread(&self) -> Option<u32> {
        self.kernel_thread
    }

    /// It works for auditd, so it gets the priority of a contender, or the loads would starve it.
    fn favour_kernel_thread(&self, niceness: &str) {
        if let Some(pid) = self.kernel_thread {
            let mut command = Command::new("renice");
            let _ = command::output(command.args(["-n", niceness, "-p", &pid.to_string()]));
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        let _ = auditctl(&format!("-d {RULE}"));
        let _ = auditctl(&format!("-a {BYSTANDER}"));
        command::stop(&mut self.child);
        self.favour_kernel_thread("0");
        let _ = auditctl(&format!("-b {}", self.was.backlog_limit));
        let _ = auditctl(&format!("-e {}", self.was.enabled));
    }
}

/// Keeps tasks that do not run beside auditd out of audit; a rule of the kernel, taken out again
/// when dropped.
pub(super) struct Bystanders;

impl Bystanders {
    /// From now on.
    pub(super) fn spare() -> Self {
        let _ = auditctl(&format!("-a {BYSTANDER}"));
        Self
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        let _ = auditctl(&format!("-d {BYSTANDER}"));
    }
}

fn auditctl(words: &str) -> Result<String> {
    command::output(Command::new("auditctl").args(words.split(' ')))
}

fn kernel_thread() -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "kauditd\n")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_by_name() {
        let text = "enabled 0\nfailure 1\npid 0\nrate_limit 0\nbacklog_limit 64\nlost 0\n";
        let expected = Status {
            enabled: "0".to_owned(),
            pid: 0,
            backlog_limit: "64".to_owned(),
        };
        assert_eq!(Status::parse(text), Some(expected));
        assert_eq!(Status::parse("enabled 0\n"), None);
    }
}
