//! What each unit takes, from its cgroups: memory, CPU time, tasks, and how long it waited. The walk
//! also keeps the names fresh.
//!
//! Without it a leak has no baseline, and a unit that never had an event would have no name
//! by the time of its first. Sources: Documentation/admin-guide/cgroup-v2.rst, and for hosts with
//! controllers of version 1 the files of the same controller there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hostmedic_model::{
    sample::Measure,
    subject::{Subject, UnitName},
};

use super::{Taken, anonymous, ratio, rise::Rises, stalls};
use crate::subject::{Subjects, v2_root};

/// What the last round counted for each unit.
#[derive(Debug)]
pub(super) struct UnitNumbers {
    /// CPU time in nanoseconds.
    cpu_ns: Rises<UnitName>,
    /// Time waited in microseconds, by the place in [`stalls::OF`].
    stalled_us: Rises<(UnitName, usize)>,
}

impl UnitNumbers {
    pub(super) const fn new() -> Self {
        Self {
            cpu_ns: Rises::new(),
            stalled_us: Rises::new(),
        }
    }

    /// Samples every unit that has a cgroup of its own. `window` is the time since the last round.
    pub(super) fn sample(
        &mut self,
        subjects: &Subjects,
        window: Option<Duration>,
        cpus: usize,
        taken: &mut Taken,
    ) {
        let units = match subjects.refresh(taken.at) {
            Ok(units) => units,
            Err(error) => return taken.problem("the cgroup v2 tree", error),
        };
        let own: Vec<_> = units
            .iter()
            .filter(|(path, unit)| is_units_own(path, unit))
            .collect();
        memory(&own, taken);
        tasks(&own, taken);
        let (mut cpu_ns, mut stalled_us) = (BTreeMap::new(), BTreeMap::new());
        let cpu = Controller::find("cpuacct", "cpuacct.usage", "cpu.stat");
        for (path, unit) in &own {
            if let Some(ns) = cpu.as_ref().and_then(|cpu| cpu_time_ns(cpu, path)) {
                cpu_ns.insert((*unit).clone(), ns);
            }
            let Some(root) = v2_root() else {
                continue;
            };
            for (place, (file, _)) in stalls::OF.iter().enumerate() {
                let file = below(&root, path).join(format!("{file}.pressure"));
                if let Some(us) = fs::read_to_string(file)
                    .ok()
                    .as_deref()
                    .and_then(stalls::some_us)
                {
                    stalled_us.insert(((*unit).clone(), place), us);
                }
            }
        }
        let cpu_ns = self.cpu_ns.round(cpu_ns);
        let stalled_us = self.stalled_us.round(stalled_us);
        let Some(window) = window else {
            return;
        };
        for (unit, ns) in cpu_ns {
            let share = ns as f64 / (window.as_nanos() as f64 * cpus.max(1) as f64);
            taken.sample(
                Subject::Unit(unit),
                Measure::UnitCpuShareRatio,
                share.min(1.0),
            );
        }
        // A unit that never waits has no series: most never do.
        for ((unit, place), us) in stalled_us {
            let share = us as f64 / window.as_micros() as f64;
            taken.sample(Subject::Unit(unit), stalls::OF[place].1, share.min(1.0));
        }
    }
}

fn memory(own: &[(&String, &UnitName)], taken: &mut Taken) {
    let used = Controller::find("memory", "memory.usage_in_bytes", "memory.current");
    let limit = Controller::find("memory", "memory.limit_in_bytes", "memory.max");
    let (Some(used), Some(limit)) = (used, limit) else {
        return taken.problem("unit memory", "no memory controller is mounted");
    };
    let stat = Controller::find("memory", "memory.stat", "memory.stat");
    let processes = v2_root();
    let (mut added_up, mut unread) = (0_u32, 0_u32);
    for (path, unit) in own {
        let subject = Subject::Unit((*unit).clone());
        let Some(bytes) = used.number(path) else {
            let directory = processes.as_ref().map(|root| below(root, path));
            match directory.and_then(|directory| anonymous::of_processes(&directory)) {
                Some(anon) => {
                    added_up += 1;
                    taken.sample(subject, Measure::UnitAnonBytes, anon as f64);
                }
                None => unread += 1,
            }
            continue;
        };
        taken.sample(subject.clone(), Measure::UnitMemoryBytes, bytes as f64);
        if let Some(anon) = stat.as_ref().and_then(|stat| stat.anon(path)) {
            taken.sample(subject.clone(), Measure::UnitAnonBytes, anon as f64);
        }
        // Version 1 says "none" by a number beyond any memory.
        if let Some(limit) = limit
            .number(path)
            .filter(|limit| (1..1 << 60).contains(limit))
        {
            taken.sample(subject, Measure::UnitMemoryLimitRatio, ratio(bytes, limit));
        }
    }
    if added_up + unread > 0 {
        let reason = format!(
            "{} units have no {}: memory is not accounted for them; of {added_up} the anonymous \
             memory of their processes is added up instead",
            added_up + unread,
            used.file
        );
        taken.problem("unit memory", reason);
    }
}

fn tasks(own: &[(&String, &UnitName)], taken: &mut Taken) {
    let now = Controller::find("pids", "pids.current", "pids.current");
    let max = Controller::find("pids", "pids.max", "pids.max");
    let (Some(now), Some(max)) = (now, max) else {
        return;
    };
    for (path, unit) in own {
        if let (Some(now), Some(max @ 1..)) = (now.number(path), max.number(path)) {
            let subject = Subject::Unit((*unit).clone());
            taken.sample(subject, Measure::UnitTasksLimitRatio, ratio(now, max));
        }
    }
}

/// `usage_usec` of `cpu.stat` (v2) or the whole of `cpuacct.usage` (v1).
fn cpu_time_ns(cpu: &Controller, path: &str) -> Option<u64> {
    let text = fs::read_to_string(below(&cpu.root, path).join(cpu.file)).ok()?;
    if let Ok(ns) = text.trim().parse() {
        return Some(ns);
    }
    let us = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "))?;
    us.trim().parse::<u64>().ok()?.checked_mul(1000)
}

/// Whether the cgroup at `path` is the unit's, not one below it. Slices are no services.
pub(super) fn is_units_own(path: &str, unit: &UnitName) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    !unit.as_str().ends_with(".slice") && last.strip_prefix('_').unwrap_or(last) == unit.as_str()
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Where a controller's tree begins, and the name of a file of it.
struct Controller {
    root: PathBuf,
    file: &'static str,
}

impl Controller {
    /// The tree of version 1 if the controller is there, else the one of version 2.
    fn find(name: &str, v1_file: &'static str, v2_file: &'static str) -> Option<Self> {
        let v1 = Path::new("/sys/fs/cgroup").join(name);
        if v1.join("cgroup.procs").exists() {
            return Some(Self {
                root: v1,
                file: v1_file,
            });
        }
        v2_root().map(|root| Self {
            root,
            file: v2_file,
        })
    }

    /// Bytes that no file backs: `anon` (v2) or `total_rss` (v1) of `memory.stat`.
    fn anon(&self, path: &str) -> Option<u64> {
        let text = fs::read_to_string(below(&self.root, path).join(self.file)).ok()?;
        let of = |line: &str| {
            let number = line
                .strip_prefix("anon ")
                .or(line.strip_prefix("total_rss "))?;
            number.trim().parse().ok()
        };
        text.lines().find_map(of)
    }

    /// The number in the file of the cgroup at `path`; `None` for `max`, too.
    fn number(&self, path: &str) -> Option<u64> {
        let file = below(&self.root, path).join(self.file);
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_a_units_own_cgroup_counts() {
        let own = |path: &str, unit: &str| is_units_own(path, &UnitName::new(unit).unwrap());
        assert!(own("/system.slice/a.service", "a.service"));
        assert!(own("/system.slice/_cpu.service", "cpu.service"));
        assert!(!own("/system.slice/a.service/sub", "a.service"));
        assert!(!own("/system.slice", "system.slice"));
    }

    #[test]
    fn cpu_time_is_read_in_both_versions() {
        let dir = tempfile::tempdir().unwrap();
        let cpu = |file: &'static str, text: &str| {
            fs::write(dir.path().join(file), text).unwrap();
            let root = dir.path().to_owned();
            cpu_time_ns(&Controller { root, file }, "/")
        };
        assert_eq!(cpu("cpuacct.usage", "1234567\n"), Some(1_234_567));
        let v2 = "usage_usec 42\nuser_usec 40\nsystem_usec 2\n";
        assert_eq!(cpu("cpu.stat", v2), Some(42_000));
        assert_eq!(cpu("cpu.stat", "nonsense"), None);
    }
}
