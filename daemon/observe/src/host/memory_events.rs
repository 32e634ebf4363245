//! How often cgroups met their memory limit, and whose limit it was.
//!
//! The kernel counts in `memory.events.local` what befell the cgroup itself: `max` and `oom`
//! where the limit is, `oom_kill` where the victim was. So the counts of a unit are the sums of
//! its cgroups, and the limit that killed a process is that of the cgroup on its path whose own
//! `oom` rose. `memory.events` adds up what lies below and would blame every slice above.
//! Source: Documentation/admin-guide/cgroup-v2.rst, "memory.events".
//!
//! Where the memory controller is still in a v1 tree, only `memory.failcnt` (told as `max`) and
//! `oom_kill` of `memory.oom_control` exist; that is said once. The host's own count is
//! `oom_kill` of `/proc/vmstat`, which holds the kills inside cgroups too.

mod counts;

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use counts::{Cgroup, Round, parse_events, parse_oom_control, vmstat_oom_kills};
pub use counts::{Counts, Step, limit_owner};
use hostmedic_model::{
    signal::{Fact, MemoryEvent, MemoryEvents as Rise, OomScope, Signal},
    subject::Subject,
    time::At,
};

use super::{SourceProblem, rise::Rises};
use crate::subject::{Subjects, v2_root};

/// Cgroups read in one round; the rest is named as a problem.
const CGROUPS_MAX: usize = 8192;

/// Which files the memory controller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// `memory.events` and `memory.events.local`.
    V2,
    /// `memory.failcnt` and `memory.oom_control`.
    V1,
}

/// Reads the counters of every cgroup once a round and tells what rose.
#[derive(Debug)]
pub struct MemoryWatch {
    subjects: Subjects,
    tree: Option<(PathBuf, Version)>,
    vmstat: PathBuf,
    before: Option<Round>,
    host: Rises<()>,
    has_told_version: bool,
}

impl MemoryWatch {
    /// Over this host's memory controller, wherever it is mounted.
    pub fn new(subjects: Subjects) -> Self {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let tree = if v1.join("memory.failcnt").exists() {
            Some(v1.to_owned())
        } else {
            v2_root()
        };
        Self::over(subjects, tree, "/proc/vmstat")
    }

    /// Over the controller's tree at `tree` and another `vmstat`.
    pub fn over(subjects: Subjects, tree: Option<PathBuf>, vmstat: impl Into<PathBuf>) -> Self {
        let tree = tree.map(|root| {
            let is_v1 = root.join("memory.failcnt").exists();
            (root, if is_v1 { Version::V1 } else { Version::V2 })
        });
        Self {
            subjects,
            tree,
            vmstat: vmstat.into(),
            before: None,
            host: Rises::new(),
            has_told_version: false,
        }
    }

    /// What rose since the last round, by subject, and what could not be read.
    pub(super) fn poll(&mut self, at: At, problems: &mut Vec<SourceProblem>) -> Vec<Signal> {
        let mut signals = self.host(at, problems);
        let Some((root, version)) = &self.tree else {
            problems.push(SourceProblem::new(
                "memory events",
                "no memory controller is mounted",
            ));
            return signals;
        };
        if *version == Version::V1 && !std::mem::replace(&mut self.has_told_version, true) {
            problems.push(SourceProblem::new(
                "memory events",
                "the memory controller is in a v1 tree: only limits that were hit and kills are \
                 counted, not memory.low, memory.high or who ran out of memory",
            ));
        }
        let now = match walk(root, *version) {
            Ok(now) => now,
            Err(error) => {
                problems.push(SourceProblem::new(root.display().to_string(), error));
                return signals;
            }
        };
        if !now.is_complete {
            let reason = format!("there are more than {CGROUPS_MAX} cgroups; the rest is not read");
            problems.push(SourceProblem::new("memory events", reason));
        }
        let mut by_subject: BTreeMap<(Subject, MemoryEvent), u64> = BTreeMap::new();
        for (path, rose) in now.since(self.before.as_ref()) {
            for (event, count) in rose.each() {
                let sum = by_subject
                    .entry((self.subjects.at_path(&path), event))
                    .or_default();
                *sum = sum.saturating_add(count);
            }
        }
        self.before = Some(now);
        signals.extend(
            by_subject
                .into_iter()
                .map(|((subject, event), count)| Signal {
                    at,
                    subject,
                    fact: Fact::MemoryEvents(Rise { event, count }),
                }),
        );
        signals
    }

    /// Whose limit was hit since the last round, for a victim that was in the cgroup at `path`
    /// of the memory controller's tree (the `memory` line of `/proc/PID/cgroup`, or its `0::`
    /// line where the controller is in the unified tree). Reads a few files and keeps nothing:
    /// ask at once, before the next round takes the rise for old.
    pub fn scope_of(&self, path: &str) -> OomScope {
        let (Some((root, version)), Some(before)) = (&self.tree, &self.before) else {
            return OomScope::Unknown;
        };
        let now = Round {
            is_complete: true,
            cgroups: steps(path)
                .filter_map(|step| Some((step.to_owned(), read(root, step, *version)?)))
                .collect(),
        };
        let rose: Vec<Step> = now
            .since(Some(before))
            .into_iter()
            .map(|(path, rose)| Step { path, rose })
            .collect();
        match limit_owner(&rose) {
            Some(owner) => OomScope::Cgroup {
                cgroup_id: now.cgroups.get(owner).map_or(0, |cgroup| cgroup.inode),
                path: owner.to_owned(),
            },
            // Its own cgroup may be gone by now, and have taken the answer with it.
            None => OomScope::Unknown,
        }
    }

    fn host(&mut self, at: At, problems: &mut Vec<SourceProblem>) -> Vec<Signal> {
        let name = || self.vmstat.display().to_string();
        let kills = match fs::read_to_string(&self.vmstat) {
            Ok(text) => vmstat_oom_kills(&text),
            Err(error) => {
                problems.push(SourceProblem::new(name(), error));
                return Vec::new();
            }
        };
        let Some(kills) = kills else {
            problems.push(SourceProblem::new(name(), "it has no oom_kill"));
            return Vec::new();
        };
        let rose = self.host.round(BTreeMap::from([((), kills)]));
        let signal = |((), count)| Signal {
            at,
            subject: Subject::Host,
            fact: Fact::MemoryEvents(Rise {
                event: MemoryEvent::OomKill,
                count,
            }),
        };
        rose.into_iter().map(signal).collect()
    }
}

/// Reads every cgroup below `root`. The root itself has no limit.
fn walk(root: &Path, version: Version) -> io::Result<Round> {
    let mut round = Round {
        is_complete: true,
        cgroups: BTreeMap::new(),
    };
    let mut left = CGROUPS_MAX;
    let mut pending = vec![String::new()];
    while let Some(path) = pending.pop() {
        // A cgroup may go while we walk; only the root must be readable.
        let entries = match fs::read_dir(root.join(path.trim_start_matches('/'))) {
            Ok(entries) => entries,
            Err(error) if path.is_empty() => return Err(error),
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if left == 0 {
                round.is_complete = false;
                continue;
            }
            left -= 1;
            let below = format!("{path}/{}", entry.file_name().to_string_lossy());
            if let Some(cgroup) = read(root, &below, version) {
                round.cgroups.insert(below.clone(), cgroup);
            }
            pending.push(below);
        }
    }
    Ok(round)
}

/// Counters of one cgroup; `None` if it is gone or the controller is not on for it.
fn read(root: &Path, path: &str, version: Version) -> Option<Cgroup> {
    let dir = root.join(path.trim_start_matches('/'));
    let text = |name: &str| fs::read_to_string(dir.join(name)).ok();
    let counts = match version {
        // `.local` is older than every kernel that the probes load on (5.2).
        Version::V2 => parse_events(&text("memory.events.local")?),
        Version::V1 => Counts {
            max: text("memory.failcnt")?.trim().parse().ok()?,
            oom_kill: parse_oom_control(&text("memory.oom_control").unwrap_or_default()),
            ..Counts::default()
        },
    };
    let inode = fs::metadata(&dir).ok()?.ino();
    Some(Cgroup { inode, counts })
}

/// `/a/b/c` as `/a`, `/a/b`, `/a/b/c`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()]);
    ends.filter_map(|end| path.get(..end))
        .filter(|step| !step.is_empty() && *step != "/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const ZERO: &str = "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n";

    /// A tree of plain files in place of cgroupfs.
    struct Tree(tempfile::TempDir);

    impl Tree {
        fn v2(cgroups: &[&str]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for path in cgroups {
                tree.write(path, "memory.events.local", ZERO);
            }
            tree.write("", "vmstat", "pgpgin 5\noom_kill 3\n");
            tree
        }

        fn write(&self, cgroup: &str, name: &str, text: &str) {
            let dir = self.0.path().join(cgroup);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join(name), text).unwrap();
        }

        fn watch(&self, below: &str) -> MemoryWatch {
            let root = self.0.path().to_owned();
            let subjects = Subjects::over(Some(root.clone()), below, 64);
            let vmstat = root.join("vmstat");
            MemoryWatch::over(subjects, Some(root), vmstat)
        }
    }

    fn told(watch: &mut MemoryWatch) -> Vec<(String, MemoryEvent, u64)> {
        let mut problems = Vec::new();
        let signals = watch.poll(At::default(), &mut problems);
        let told = signals.into_iter().map(|signal| match signal.fact {
            Fact::MemoryEvents(rise) => (signal.subject.to_string(), rise.event, rise.count),
            fact => panic!("{fact:?}"),
        });
        told.collect()
    }

    #[test]
    fn counts_of_a_units_cgroups_are_added_and_others_keep_their_path() {
        let tree = Tree::v2(&[
            "p/system.slice/a.service/one",
            "p/system.slice/a.service/two",
            "other/a.service",
        ]);
        let mut watch = tree.watch("/p");
        assert_eq!(told(&mut watch), []);
        for cgroup in [
            "p/system.slice/a.service/one",
            "p/system.slice/a.service/two",
        ] {
            tree.write(cgroup, "memory.events.local", "max 2\noom_kill 1\n");
        }
        tree.write("other/a.service", "memory.events.local", "high 9\n");
        tree.write("", "vmstat", "oom_kill 5\n");
        let expected = [
            ("host", MemoryEvent::OomKill, 2),
            ("a.service", MemoryEvent::Max, 4),
            ("a.service", MemoryEvent::OomKill, 2),
            ("cgroup /other/a.service", MemoryEvent::High, 9),
        ];
        let expected = expected.map(|(subject, event, count)| (subject.to_owned(), event, count));
        assert_eq!(told(&mut watch), expected);
        assert_eq!(told(&mut watch), []);
    }

    #[test]
    fn a_cgroup_made_since_the_last_round_counts_from_zero() {
        let tree = Tree::v2(&["system.slice/a.service"]);
        let mut watch = tree.watch("");
        told(&mut watch);
        tree.write(
            "system.slice/b.service",
            "memory.events.local",
            "oom_kill 1\n",
        );
        let b = ("b.service".to_owned(), MemoryEvent::OomKill, 1);
        assert_eq!(told(&mut watch), [b]);
    }

    #[test]
    fn the_cgroup_whose_limit_was_hit_is_named() {
        let tree = Tree::v2(&[
            "box.slice/a.service/worker",
            "box.slice/a.service",
            "box.slice",
        ]);
        let mut watch = tree.watch("");
        assert_eq!(
            watch.scope_of("/box.slice/a.service/worker"),
            OomScope::Unknown
        );
        told(&mut watch);
        tree.write(
            "box.slice/a.service/worker",
            "memory.events.local",
            "oom_kill 1\n",
        );
        tree.write("box.slice", "memory.events.local", "max 7\noom 1\n");
        let OomScope::Cgroup { cgroup_id, path } = watch.scope_of("/box.slice/a.service/worker")
        else {
            panic!("nobody's limit");
        };
        assert_eq!(path, "/box.slice");
        let inode = fs::metadata(tree.0.path().join("box.slice")).unwrap().ino();
        assert_eq!(cgroup_id, inode);
    }

    #[test]
    fn v1_is_read_as_far_as_it_goes_and_said_once() {
        let tree = Tree::v2(&[]);
        tree.write("", "memory.failcnt", "0\n");
        tree.write("cage", "memory.failcnt", "4\n");
        tree.write("cage", "memory.oom_control", "under_oom 0\noom_kill 0\n");
        let mut watch = tree.watch("");
        let mut problems = Vec::new();
        watch.poll(At::default(), &mut problems);
        assert_eq!(problems.len(), 1, "{problems:?}");
        tree.write("cage", "memory.failcnt", "9\n");
        tree.write("cage", "memory.oom_control", "under_oom 0\noom_kill 1\n");
        let cage = |event, count| ("cgroup /cage".to_owned(), event, count);
        let expected = [cage(MemoryEvent::Max, 5), cage(MemoryEvent::OomKill, 1)];
        assert_eq!(told(&mut watch), expected);
        watch.poll(At::default(), &mut problems);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn a_path_has_its_steps() {
        let of = |path| steps(path).collect::<Vec<_>>();
        assert_eq!(of("/a/b/c"), ["/a", "/a/b", "/a/b/c"]);
        assert_eq!(of("/"), Vec::<&str>::new());
        assert_eq!(of(""), Vec::<&str>::new());
    }
}
