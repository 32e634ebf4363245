//! What `/proc` says of a contender: its CPU time, its BPF programs and their run times.

use std::fs;

/// A BPF program that a process holds, and what the kernel accounted to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Program {
    /// The kernel's number of it.
    pub(super) id: u32,
    /// Time of its timed runs.
    pub(super) run_time_ns: u64,
    /// Number of its timed runs.
    pub(super) runs: u64,
}

/// CPU time of a process's threads, from what the scheduler counts (`schedstat`).
pub(super) fn cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// The BPF programs that a process holds, oldest first.
pub(super) fn programs(pid: u32) -> Vec<Program> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo"));
    let files = files.into_iter().flatten().flatten();
    let mut programs: Vec<_> = files
        .filter_map(|file| program(&fs::read_to_string(file.path()).ok()?))
        .collect();
    programs.sort_by_key(|program| program.id);
    programs.dedup_by_key(|program| program.id);
    programs
}

/// Reads `fdinfo` of a program. That of a link names its program too, but no run time.
fn program(text: &str) -> Option<Program> {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(found, _)| *found == name)?;
        value.trim().parse::<u64>().ok()
    };
    Some(Program {
        run_time_ns: field("run_time_ns")?,
        runs: field("run_cnt")?,
        id: u32::try_from(field("prog_id")?).ok()?,
    })
}

/// How many files of perf a process holds.
pub(super) fn perf_events(pid: u32) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd"));
    files
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter(|target| target.as_os_str() == "anon_inode:[perf_event]")
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_and_a_link_is_not() {
        let text = "pos:\t0\nprog_type:\t5\nprog_tag:\tb114\nprog_id:\t1238\n\
                    run_time_ns:\t183573\nrun_cnt:\t546\n";
        let expected = Program {
            id: 1238,
            run_time_ns: 183_573,
            runs: 546,
        };
        assert_eq!(program(text), Some(expected));
        assert_eq!(program("link_type:\ttracing\nprog_id:\t1238\n"), None);
    }

    #[test]
    fn our_own_cpu_time_grows() {
        let own = std::process::id();
        assert!(cpu_ns(own) > 0);
        assert_eq!(cpu_ns(u32::MAX), 0);
    }
}
