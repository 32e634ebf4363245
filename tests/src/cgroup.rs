//! The host's cgroup trees: where a container's cgroups are made and how they go away.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the v2 tree is mounted and, on a hybrid host, systemd's own v1 tree.
pub(crate) fn roots() -> Vec<PathBuf> {
    let base = Path::new("/sys/fs/cgroup");
    if base.join("cgroup.procs").exists() {
        return vec![base.to_owned()];
    }
    ["unified", "systemd"]
        .map(|tree| base.join(tree))
        .into_iter()
        .filter(|t| t.exists())
        .collect()
}

/// Every cgroup tree, also those of single v1 controllers: a test may have made a cgroup with
/// the container's name there.
pub(crate) fn trees() -> Vec<PathBuf> {
    let base = PathBuf::from("/sys/fs/cgroup");
    if base.join("cgroup.procs").exists() {
        return vec![base];
    }
    fs::read_dir(base)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

/// Removes an empty cgroup and those in it, deepest first.
pub(crate) fn remove(cgroup: &Path) {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(cgroup);
}
