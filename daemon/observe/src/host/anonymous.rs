//! Anonymous memory of a cgroup's processes, added up, for units whose memory nothing accounts:
//! systemd has it switched off, or the memory controller belongs to another tree.
//!
//! What processes share is counted for each of them, and a cgroup below is not looked into.

use std::{fs, path::Path};

use procfs::process::Process;

/// Bytes that no file backs, of all processes in the cgroup at `directory` (resident less file and
/// shared pages of `/proc/PID/statm`); `None` if none of them could be read.
pub(super) fn of_processes(directory: &Path) -> Option<u64> {
    let processes = fs::read_to_string(directory.join("cgroup.procs")).ok()?;
    // One that has ended in the meantime has no memory left.
    let of_one = |line: &str| {
        let memory = Process::new(line.parse().ok()?).ok()?.statm().ok()?;
        Some(memory.resident.saturating_sub(memory.shared) * procfs::page_size())
    };
    let mut each = processes.lines().filter_map(of_one).peekable();
    each.peek()?;
    Some(each.sum())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn memory_of_living_processes_is_added_up() {
        let directory = tempfile::tempdir().unwrap();
        let write = |text: String| fs::write(directory.path().join("cgroup.procs"), text).unwrap();
        write(String::new());
        assert_eq!(of_processes(directory.path()), None);
        let own = std::process::id();
        // 0 is a process of another namespace, the last one cannot be.
        write(format!("{own}\n0\n4194305\n"));
        let before = of_processes(directory.path()).unwrap();
        let mut held = vec![0_u8; 64 << 20];
        held.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        let grown = of_processes(directory.path()).unwrap() - before;
        assert!((60 << 20..=80 << 20).contains(&grown), "{grown}");
        assert!(held.contains(&1));
    }
}
