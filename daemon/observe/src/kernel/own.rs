//! What /proc says about the daemon itself: the other side of attestation.
//!
//! Everything here may be hidden from a confined service; then it is `None` and compared with
//! nothing.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use hostmedic_abi::COMM_LEN;
use nix::{
    time::{ClockId, clock_gettime},
    unistd::{SysconfVar, sysconf},
};

/// `PROC_PID_INIT_INO`, `include/linux/proc_ns.h`: the initial PID namespace.
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What we know of ourselves.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// Name that the attesting thread was given.
    pub(crate) thread_name: [u8; COMM_LEN],
    /// Name of our main thread.
    pub(crate) name: Option<[u8; COMM_LEN]>,
    /// Our process id, if we live in the initial namespace.
    pub(crate) pid: Option<u32>,
    /// From before the thread was made until its end had been seen.
    pub(crate) elapsed_ns: u64,
    /// Start of the main thread, of the attesting thread, and ticks a second.
    pub(crate) start_ticks: Option<(u64, u64, u64)>,
    /// Inode of our cgroup's directory, which is its id.
    pub(crate) cgroup_inode: Option<u64>,
    /// Our `oom_score_adj`.
    pub(crate) score: i32,
    /// Our threads.
    pub(crate) threads: u32,
}

impl Own {
    /// Reads the rest around what the thread read about itself.
    pub(crate) fn read(thread_name: [u8; COMM_LEN], elapsed_ns: u64, thread: OwnThread) -> Self {
        let is_initial = fs::read_link("/proc/self/ns/pid")
            .is_ok_and(|link| link.as_os_str() == INITIAL_PID_NAMESPACE);
        let per_s = sysconf(SysconfVar::CLK_TCK).ok().flatten();
        let start_ticks = start_ticks("/proc/self/stat")
            .zip(thread.start_ticks)
            .zip(per_s.and_then(|ticks| u64::try_from(ticks).ok()))
            .map(|((leader, thread), per_s)| (leader, thread, per_s));
        Self {
            thread_name,
            name: name(),
            pid: is_initial.then(std::process::id),
            elapsed_ns,
            start_ticks,
            cgroup_inode: thread.cgroup_inode,
            score: number("/proc/self/oom_score_adj").unwrap_or(0),
            threads: threads().unwrap_or(1),
        }
    }
}

/// What the attesting thread reads about itself before it ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnThread {
    start_ticks: Option<u64>,
    cgroup_inode: Option<u64>,
}

impl OwnThread {
    /// To be called in that thread.
    pub(crate) fn read() -> Self {
        Self {
            start_ticks: start_ticks("/proc/thread-self/stat"),
            cgroup_inode: cgroup_inode("/proc/thread-self/cgroup"),
        }
    }
}

/// `CLOCK_BOOTTIME`; 0 on a kernel without it, which is none that we run on.
pub(crate) fn boot_ns() -> u64 {
    let Ok(now) = clock_gettime(ClockId::CLOCK_BOOTTIME) else {
        return 0;
    };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000) + u64::try_from(now.tv_nsec()).unwrap_or(0)
}

/// Field 22 of `proc_pid_stat(5)`, counted from the end of the name, which may hold anything.
fn start_ticks(path: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let (_, after_name) = text.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn name() -> Option<[u8; COMM_LEN]> {
    let text = fs::read("/proc/self/comm").ok()?;
    let mut name = [0; COMM_LEN];
    let letters = text.iter().take_while(|byte| **byte != b'\n');
    for (to, from) in name.iter_mut().zip(letters) {
        *to = *from;
    }
    Some(name)
}

fn number(path: &str) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn threads() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("Threads:"))?
        .trim()
        .parse()
        .ok()
}

/// Inode of our directory in the unified tree (cgroups(7)), where that tree is mounted whole.
fn cgroup_inode(path: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find_map(unified_mount)?;
    if own.split('/').any(|part| part == "..") {
        return None;
    }
    fs::metadata(Path::new(mount).join(own))
        .ok()
        .map(|directory| directory.ino())
}

/// Mount point of a line of `proc_pid_mountinfo(5)`, if it shows the unified tree from its root.
fn unified_mount(line: &str) -> Option<&str> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    (root == "/" && file_system.starts_with("cgroup2 ")).then_some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_unified_tree_is_used() {
        let line = |root, kind| {
            format!("30 23 0:26 {root} /sys/fs/cgroup rw,nosuid shared:9 - {kind} cgroup2 rw")
        };
        assert_eq!(unified_mount(&line("/", "cgroup2")), Some("/sys/fs/cgroup"));
        assert_eq!(unified_mount(&line("/../..", "cgroup2")), None);
        assert_eq!(unified_mount(&line("/", "cgroup")), None);
        assert_eq!(unified_mount(""), None);
    }

    #[test]
    fn this_process_is_described() {
        let thread = std::thread::spawn(OwnThread::read).join().unwrap();
        let own = Own::read([0; COMM_LEN], 1, thread);
        assert!(
            own.threads >= 1 && own.name.is_some() && own.start_ticks.is_some(),
            "{own:?}"
        );
        assert!(boot_ns() > 0);
    }
}
