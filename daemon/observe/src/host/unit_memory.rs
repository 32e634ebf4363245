//! How much memory each unit uses, from its cgroup; the walk also keeps the names fresh.
//!
//! Without it a leak has no baseline, and a unit that never had an event would have no name
//! by the time of its first.

use std::{fs, path::Path};

use hostmedic_model::{
    sample::Measure,
    subject::{Subject, UnitName},
};

use super::Taken;
use crate::subject::{Subjects, v2_root};

/// Samples every unit that has a memory cgroup of its own.
pub(super) fn sample(subjects: &Subjects, taken: &mut Taken) {
    let units = match subjects.refresh(taken.at) {
        Ok(units) => units,
        Err(error) => return taken.problem("the cgroup v2 tree", error),
    };
    let Some(file) = MemoryFile::find() else {
        return taken.problem("unit memory", "no memory controller is mounted");
    };
    let mut unread = 0_u32;
    for (path, unit) in &units {
        if !is_units_own(path, unit) {
            continue;
        }
        match file.read(path) {
            Some(bytes) => {
                let subject = Subject::Unit(unit.clone());
                taken.sample(subject, Measure::UnitMemoryBytes, bytes as f64);
            }
            None => unread += 1,
        }
    }
    if unread > 0 {
        let reason = format!(
            "{unread} units have no {}: memory is not accounted for them",
            file.name
        );
        taken.problem("unit memory", reason);
    }
}

/// Whether the cgroup at `path` is the unit's, not one below it. Slices are no services.
pub(super) fn is_units_own(path: &str, unit: &UnitName) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    !unit.as_str().ends_with(".slice") && last.strip_prefix('_').unwrap_or(last) == unit.as_str()
}

/// Where the memory controller lives and what its file is called.
struct MemoryFile {
    root: &'static Path,
    name: &'static str,
}

impl MemoryFile {
    /// The v2 tree if it has the controller, else the v1 tree of a hybrid host.
    fn find() -> Option<Self> {
        let v1 = Path::new("/sys/fs/cgroup/memory");
        if v1.join("memory.usage_in_bytes").exists() {
            return Some(Self {
                root: v1,
                name: "memory.usage_in_bytes",
            });
        }
        v2_root().map(|_| Self {
            root: Path::new("/sys/fs/cgroup"),
            name: "memory.current",
        })
    }

    fn read(&self, path: &str) -> Option<u64> {
        let file = self.root.join(path.trim_start_matches('/')).join(self.name);
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
}
