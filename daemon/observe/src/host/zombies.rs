//! Processes that do not wait for their children that ended.
//!
//! Each zombie holds a process id, and the host has a limited number of them. One or two are
//! normal for a moment; dozens under one parent are a program with a fault.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use hostmedic_model::{
    signal::{Fact, Signal, TaskRef, Zombies},
    time::At,
};

use super::SourceProblem;
use crate::subject::{Subjects, path_in_proc};

/// Zombies of one parent that are too many.
pub const CHILDREN_MIN: u32 = 32;
/// Processes read in one round: the kernel's own limit of ids on a small host.
const PROCESSES_MAX: usize = 32_768;
/// Parents told of in one round.
const PARENTS_MAX: usize = 64;
/// Nanoseconds in a tick of `/proc/PID/stat`: `USER_HZ` is 100 on every architecture.
const TICK_NS: u64 = 10_000_000;

/// Counts zombies by parent once a round, and tells of a parent when it comes to have too many.
#[derive(Debug)]
pub struct ZombieWatch {
    proc: PathBuf,
    subjects: Subjects,
    children_min: u32,
    /// Parents that were told of and still have too many, with their starts.
    told: BTreeSet<(u32, u64)>,
}

impl ZombieWatch {
    /// Over this host's processes, telling of [`CHILDREN_MIN`] and more.
    pub fn new(subjects: Subjects) -> Self {
        Self::over("/proc", subjects, CHILDREN_MIN)
    }

    /// Over another directory, telling of `children_min` and more.
    pub fn over(proc: impl Into<PathBuf>, subjects: Subjects, children_min: u32) -> Self {
        Self {
            proc: proc.into(),
            subjects,
            children_min: children_min.max(1),
            told: BTreeSet::new(),
        }
    }

    /// Parents that have too many zombies and had not in the round before.
    pub(super) fn poll(&mut self, at: At, problems: &mut Vec<SourceProblem>) -> Vec<Signal> {
        let mut zombies: BTreeMap<u32, u32> = BTreeMap::new();
        let entries = match fs::read_dir(&self.proc) {
            Ok(entries) => entries,
            Err(error) => {
                problems.push(SourceProblem::new(self.proc.display().to_string(), error));
                return Vec::new();
            }
        };
        let pids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        for (count, pid) in pids.enumerate() {
            if count == PROCESSES_MAX {
                let reason = format!("processes beyond the first {PROCESSES_MAX} are not read");
                problems.push(SourceProblem::new("zombies", reason));
                break;
            }
            let stat = self.stat(pid);
            if let Some(stat) = stat.filter(|stat| stat.state == b'Z') {
                *zombies.entry(stat.parent).or_default() += 1;
            }
        }
        let mut too_many: Vec<_> = zombies
            .into_iter()
            // Children of 0 are the kernel's; there is nobody to tell of.
            .filter(|(parent, count)| *parent != 0 && *count >= self.children_min)
            .collect();
        too_many.sort_by_key(|(parent, count)| (std::cmp::Reverse(*count), *parent));
        too_many.truncate(PARENTS_MAX);
        let mut still = BTreeSet::new();
        let mut signals = Vec::new();
        for (pid, count) in too_many {
            let Some(stat) = self.stat(pid) else { continue };
            let identity = (pid, stat.started_ticks);
            if !self.told.contains(&identity) {
                signals.push(self.signal(at, pid, stat, count));
            }
            still.insert(identity);
        }
        self.told = still;
        signals
    }

    fn stat(&self, pid: u32) -> Option<Stat> {
        parse(&fs::read(self.proc.join(pid.to_string()).join("stat")).ok()?)
    }

    fn signal(&self, at: At, pid: u32, stat: Stat, count: u32) -> Signal {
        let dir = self.proc.join(pid.to_string());
        let path = cgroup_path(&dir).unwrap_or_else(|| "/".to_owned());
        Signal {
            at,
            subject: self.subjects.at_path(&path),
            fact: Fact::Zombies(Zombies {
                parent: TaskRef {
                    pid,
                    comm: stat.comm,
                    started_boot_ns: stat.started_ticks.saturating_mul(TICK_NS),
                    cgroup_id: self.subjects.id_at_path(&path).unwrap_or(0),
                },
                count,
            }),
        }
    }
}

fn cgroup_path(dir: &Path) -> Option<String> {
    let text = fs::read_to_string(dir.join("cgroup")).ok()?;
    path_in_proc(&text).map(str::to_owned)
}

/// What is needed of `/proc/PID/stat`. Source: `proc_pid_stat`(5).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    comm: String,
    state: u8,
    parent: u32,
    /// On the boot clock, in ticks.
    started_ticks: u64,
}

/// `pid (comm) state ppid ...`: a `comm` may hold anything, also `)`, so its end is the last one.
fn parse(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let comm = bytes.get(open + 1..close)?;
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of the whole line; these were 3 and 4.
    let started_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        comm: String::from_utf8_lossy(comm).into_owned(),
        state,
        parent,
        started_ticks,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use hostmedic_model::subject::Subject;
    use proptest::prelude::*;

    use super::*;

    struct Proc(tempfile::TempDir);

    impl Proc {
        fn new() -> Self {
            let proc = Self(tempfile::tempdir().unwrap());
            fs::create_dir(proc.0.path().join("self")).unwrap();
            proc.process(7, "web) Z 1 (", 'S', 1, 500);
            fs::write(
                proc.0.path().join("7/cgroup"),
                "0::/system.slice/web.service\n",
            )
            .unwrap();
            proc
        }

        fn process(&self, pid: u32, comm: &str, state: char, parent: u32, started: u64) {
            let dir = self.0.path().join(pid.to_string());
            fs::create_dir_all(&dir).unwrap();
            let zeros = "0 ".repeat(17);
            let stat = format!("{pid} ({comm}) {state} {parent} {zeros}{started} 0 0\n");
            fs::write(dir.join("stat"), stat).unwrap();
        }

        fn zombies(&self, count: u32) {
            for pid in 100..200 {
                let _ = fs::remove_dir_all(self.0.path().join(pid.to_string()));
            }
            for pid in 100..100 + count {
                self.process(pid, "sh", 'Z', 7, 600);
            }
        }

        fn watch(&self) -> ZombieWatch {
            ZombieWatch::over(self.0.path(), Subjects::over(None, "", 8), 3)
        }
    }

    fn told(watch: &mut ZombieWatch) -> Vec<Signal> {
        let mut problems = Vec::new();
        let signals = watch.poll(At::default(), &mut problems);
        assert_eq!(problems, []);
        signals
    }

    #[test]
    fn a_parent_is_told_of_once_for_each_time_it_comes_to_have_too_many() {
        let proc = Proc::new();
        let mut watch = proc.watch();
        proc.zombies(2);
        assert_eq!(told(&mut watch), []);
        proc.zombies(3);
        let signals = told(&mut watch);
        let [signal] = signals.as_slice() else {
            panic!("{signals:?}")
        };
        assert_eq!(signal.subject.to_string(), "web.service");
        let Fact::Zombies(fact) = &signal.fact else {
            panic!("{signal:?}")
        };
        assert_eq!((fact.count, fact.parent.pid), (3, 7));
        assert_eq!(fact.parent.comm, "web) Z 1 (");
        assert_eq!(fact.parent.started_boot_ns, 5_000_000_000);
        proc.zombies(9);
        assert_eq!(told(&mut watch), []);
        proc.zombies(0);
        assert_eq!(told(&mut watch), []);
        proc.zombies(4);
        assert_eq!(told(&mut watch).len(), 1);
        // Another process under the same id.
        proc.process(7, "web", 'S', 1, 900);
        assert_eq!(told(&mut watch).len(), 1);
    }

    #[test]
    fn a_parent_without_a_unit_is_told_of_by_its_cgroup() {
        let proc = Proc::new();
        fs::write(proc.0.path().join("7/cgroup"), "0::/docker/12\n").unwrap();
        proc.zombies(5);
        let signals = told(&mut proc.watch());
        assert_eq!(signals[0].subject, Subject::Cgroup("/docker/12".to_owned()));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }

        #[test]
        fn a_comm_of_any_bytes_moves_no_field(comm in proptest::collection::vec(any::<u8>(), 0..15)) {
            let zeros = "0 ".repeat(17);
            let stat = [b"1 (", comm.as_slice(), format!(") Z 42 {zeros}9 0").as_bytes()].concat();
            let stat = parse(&stat).unwrap();
            prop_assert_eq!((stat.state, stat.parent, stat.started_ticks), (b'Z', 42, 9));
        }
    }
}
