//! Open files: how many each process has, and which deleted ones still take space.

use std::{collections::BTreeMap, fs, io, os::unix::fs::MetadataExt as _, path::Path};

use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use super::{
    found::{self, Found, PTRACE, is_denied, size},
    process::stat,
    scene::Scene,
};

/// Descriptors counted of one process, and those of it that are looked at.
const COUNTED_MAX: usize = 1 << 20;
const LOOKED_AT_MAX: usize = 8192;
/// Descriptors looked at in all for deleted files.
const ALL_MAX: usize = 200_000;
/// Targets told of a process.
const TARGETS_MAX: usize = 5;
/// Different targets kept apart.
const NAMES_MAX: usize = 4096;
/// What the kernel appends to the name of a deleted file.
const DELETED: &str = " (deleted)";

/// How many files a process has open, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    Counted(u64),
    /// Its table has so much room; there are at most that many.
    Room(u64),
}

impl Count {
    fn number(self) -> u64 {
        match self {
            Self::Counted(number) | Self::Room(number) => number,
        }
    }

    fn told(self) -> String {
        match self {
            Self::Counted(number) => format!("{number} open"),
            Self::Room(number) => format!("at most {number} open"),
        }
    }
}

/// The `count` processes with most open files, and what they are.
pub(super) fn top(scene: &Scene, count: u32) -> Found {
    let pids = match scene.pids() {
        Ok(pids) => pids,
        Err(reason) => return Found::nothing(reason),
    };
    let mut fullest: Vec<_> = pids
        .iter()
        .take_while(|_| !scene.is_late())
        .filter_map(|pid| Some((count_of(&scene.process(*pid))?, *pid)))
        .collect();
    fullest.sort_by_key(|(count, pid)| (std::cmp::Reverse(count.number()), *pid));
    let mut found = Found::default();
    let mut denied = 0;
    for (count, pid) in fullest.iter().take(count as usize) {
        let dir = scene.process(*pid);
        let comm = stat(&dir).map_or_else(|| "(ended)".to_owned(), |stat| stat.comm);
        let limit = found::text(&dir.join("limits"), 4096).ok();
        let limit = limit.as_deref().and_then(limit_of);
        let limit = limit.map_or_else(String::new, |limit| format!(" of {limit} allowed"));
        match targets(&dir.join("fd"), scene) {
            Ok((kinds, names)) => {
                found.line(format!("{pid} {comm}: {}{limit}: {kinds}", count.told()));
                found
                    .lines
                    .extend(names.into_iter().map(|name| format!("  {name}")));
            }
            Err(error) => {
                denied += usize::from(is_denied(&error));
                found.line(format!("{pid} {comm}: {}{limit}", count.told()));
            }
        }
    }
    found.lacks_right(denied, "the open files", PTRACE);
    if scene.is_late() {
        found.lacks("not all processes in time");
    }
    found
}

/// How many files a process has open. Since Linux 6.2 the directory's size says so to everybody
/// (`proc_fd_getattr()`, fs/proc/fd.c); before it, only the room of its table is public.
fn count_of(dir: &Path) -> Option<Count> {
    let fd = dir.join("fd");
    if let Ok(entries) = fs::read_dir(&fd) {
        return Some(Count::Counted(entries.take(COUNTED_MAX).count() as u64));
    }
    let size = fs::metadata(&fd).ok()?.len();
    if size > 0 {
        return Some(Count::Counted(size));
    }
    let status = found::text(&dir.join("status"), 8192).ok()?;
    let room = status
        .lines()
        .find_map(|line| line.strip_prefix("FDSize:"))?;
    room.trim().parse().ok().map(Count::Room)
}

/// The soft limit on open files in `/proc/PID/limits`.
fn limit_of(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// What the descriptors of a process lead to: how many of each kind, and the most frequent.
fn targets(dir: &Path, scene: &Scene) -> io::Result<(String, Vec<String>)> {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    for entry in fs::read_dir(dir)?.flatten().take(LOOKED_AT_MAX) {
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let kind = kind_of(&target);
        *kinds.entry(kind).or_default() += 1;
        let is_named = matches!(kind, "files" | "devices" | "of the kernel");
        if is_named && (names.len() < NAMES_MAX || names.contains_key(&target)) {
            *names.entry(target).or_default() += 1;
        }
        if scene.is_late() {
            break;
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let names = names.into_iter().take(TARGETS_MAX);
    let names = names.map(|(name, count)| format!("{count} x {name}"));
    Ok((kinds.join(", "), names.collect()))
}

fn kind_of(target: &str) -> &'static str {
    if target.starts_with("socket:") {
        "sockets"
    } else if target.starts_with("pipe:") {
        "pipes"
    } else if target.starts_with("anon_inode:") {
        "of the kernel"
    } else if target.starts_with("/dev/") {
        "devices"
    } else {
        "files"
    }
}

/// A deleted file and who holds it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Deleted {
    bytes: u64,
    name: String,
    holders: Vec<String>,
}

/// The `count` largest deleted files that processes still have open: of the incident's mount, of its
/// unit, or of the host.
pub(super) fn deleted(scene: &Scene, count: u32) -> Found {
    let place = match scene.mount.as_deref().map(|mount| Place::of(scene, mount)) {
        Some(Ok(place)) => Some(place),
        Some(Err(reason)) => return Found::nothing(reason),
        None => None,
    };
    let everybody;
    let pids = if place.is_some() || !scene.of_unit {
        everybody = scene.all();
        everybody.as_slice()
    } else {
        match scene.pids() {
            Ok(pids) => pids,
            Err(reason) => return Found::nothing(reason),
        }
    };
    let mut found = Found::default();
    let mut files: BTreeMap<(u64, u64), Deleted> = BTreeMap::new();
    let mut denied = 0;
    let mut left = ALL_MAX;
    for pid in pids {
        if left == 0 || scene.is_late() {
            found.lacks("not all open files in time");
            break;
        }
        let dir = scene.process(*pid);
        match fs::read_dir(dir.join("fd")) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    if left == 0 || scene.is_late() {
                        break;
                    }
                    left -= 1;
                    note(&entry.path(), *pid, &dir, place.as_ref(), &mut files);
                }
            }
            Err(error) => denied += usize::from(is_denied(&error)),
        }
    }
    let mut files: Vec<_> = files.into_values().collect();
    files.sort_by(|one, other| other.cmp(one));
    for file in files.into_iter().take(count as usize) {
        let holders = file.holders.join(", ");
        found.line(format!(
            "{} {}, held by {holders}",
            size(file.bytes),
            file.name
        ));
    }
    found.lacks_right(denied, "the open files", PTRACE);
    found
}

/// Where a deleted file must have been.
struct Place<'a> {
    mount: &'a str,
    device: u64,
    /// Files of an overlay have the devices of its layers: their names tell.
    by_name: bool,
}

impl<'a> Place<'a> {
    fn of(scene: &Scene, mount: &'a str) -> Result<Self, String> {
        let path = scene.below_root(mount);
        let say = |error: io::Error| format!("{mount}: {error}");
        let device = fs::metadata(&path).map_err(say)?.dev();
        let kind = statfs(&path).map_err(|error| say(error.into()))?;
        Ok(Self {
            mount,
            device,
            by_name: kind.filesystem_type() == OVERLAYFS_SUPER_MAGIC,
        })
    }

    fn holds(&self, name: &str, device: u64) -> bool {
        device == self.device || (self.by_name && Path::new(name).starts_with(self.mount))
    }
}

/// Notes what a descriptor leads to if it is a deleted file of `place`, or of any.
fn note(
    descriptor: &Path,
    pid: u32,
    dir: &Path,
    place: Option<&Place<'_>>,
    files: &mut BTreeMap<(u64, u64), Deleted>,
) {
    const HOLDERS_MAX: usize = 4;
    let Ok(target) = fs::read_link(descriptor) else {
        return;
    };
    let target = target.to_string_lossy();
    let Some(name) = target.strip_suffix(DELETED).filter(|name| is_on_disk(name)) else {
        return;
    };
    let Ok(meta) = fs::metadata(descriptor) else {
        return;
    };
    if !meta.is_file()
        || meta.nlink() > 0
        || place.is_some_and(|place| !place.holds(name, meta.dev()))
    {
        return;
    }
    let key = (meta.dev(), meta.ino());
    if files.len() >= NAMES_MAX && !files.contains_key(&key) {
        return;
    }
    let file = files.entry(key).or_insert_with(|| Deleted {
        bytes: meta.blocks().saturating_mul(512),
        name: name.to_owned(),
        holders: Vec::new(),
    });
    if file.holders.len() < HOLDERS_MAX {
        let comm = stat(dir).map_or_else(String::new, |stat| format!(" {}", stat.comm));
        let holder = format!("{pid}{comm}");
        if !file.holders.contains(&holder) {
            file.holders.push(holder);
        }
    }
}

/// Whether a deleted name was one in a file system: shared memory of the kernel looks alike.
fn is_on_disk(name: &str) -> bool {
    let of_kernel = ["/memfd:", "/SYSV", "/dev/zero", "/[aio]", "/anon_hugepage"];
    name.starts_with('/') && !of_kernel.iter().any(|start| name.starts_with(start))
}

/// Where the sockets of these processes lead: their inodes, and how many processes may not be
/// looked into.
pub(super) fn sockets(scene: &Scene, pids: &[u32]) -> (BTreeMap<u64, u32>, usize) {
    let mut inodes = BTreeMap::new();
    let mut denied = 0;
    for pid in pids {
        match fs::read_dir(scene.process(*pid).join("fd")) {
            Ok(entries) => {
                for entry in entries.flatten() {
                    if ALL_MAX <= inodes.len() || scene.is_late() {
                        return (inodes, denied);
                    }
                    let target = fs::read_link(entry.path()).ok();
                    if let Some(inode) = target.as_deref().and_then(inode_of) {
                        inodes.entry(inode).or_insert(*pid);
                    }
                }
            }
            Err(error) => denied += usize::from(is_denied(&error)),
        }
    }
    (inodes, denied)
}

/// `socket:[123]` as 123.
fn inode_of(target: &Path) -> Option<u64> {
    let name = target.to_str()?.strip_prefix("socket:[")?;
    name.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{io::Write as _, os::unix::fs::symlink, path::PathBuf};

    use super::*;
    use crate::capture::process::tests::{over, process};

    fn descriptor(dir: &Path, number: u32, target: &str) -> PathBuf {
        let fd = dir.join("fd");
        fs::create_dir_all(&fd).unwrap();
        let path = fd.join(number.to_string());
        symlink(target, &path).unwrap();
        path
    }

    #[test]
    fn the_fullest_come_first_with_what_they_have_open() {
        let dir = tempfile::tempdir().unwrap();
        let web = process(dir.path(), 5, "web", 1, 1);
        for number in 0..7 {
            descriptor(&web, number, &format!("socket:[{number}]"));
        }
        descriptor(&web, 7, "/var/log/web.log");
        descriptor(&web, 8, "/var/log/web.log");
        descriptor(&web, 9, "/dev/null");
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files    1024     4096   files\n";
        fs::write(web.join("limits"), limits).unwrap();
        let idle = process(dir.path(), 6, "idle", 1, 1);
        descriptor(&idle, 0, "pipe:[1]");
        // No fd directory at all: it has ended.
        process(dir.path(), 7, "gone", 1, 1);
        let found = top(&over(dir.path()), 20);
        assert_eq!(
            found.lines,
            [
                "5 web: 10 open of 1024 allowed: 7 sockets, 2 files, 1 devices",
                "  2 x /var/log/web.log",
                "  1 x /dev/null",
                "6 idle: 1 open: 1 pipes",
            ]
        );
        assert_eq!(top(&over(dir.path()), 1).lines.len(), 3);
        let (inodes, denied) = sockets(&over(dir.path()), &[5, 6, 7]);
        assert_eq!((inodes.len(), denied), (7, 0));
    }

    #[test]
    fn limits_of_all_forms_are_read() {
        assert_eq!(limit_of("Max open files  unlimited unlimited files"), None);
        assert_eq!(limit_of("Max open files\n"), None);
        assert_eq!(limit_of("\u{fffd}"), None);
        assert_eq!(inode_of(Path::new("socket:[12")), None);
        assert_eq!(inode_of(Path::new("socket:[12]")), Some(12));
    }

    #[test]
    fn a_deleted_file_of_this_process_is_found_on_its_mount() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big one.log");
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&vec![7; 300 * 1024]).unwrap();
        file.sync_all().unwrap();
        fs::remove_file(&path).unwrap();
        let mut scene = over(Path::new("/proc"));
        scene.root = "/".into();
        scene.mount = Some(dir.path().display().to_string());
        let found = deleted(&scene, 50);
        let own = std::process::id().to_string();
        let line = found.lines.iter().find(|line| line.contains("big one.log"));
        let line = line.unwrap_or_else(|| panic!("{found:?}"));
        assert!(line.contains(&format!("held by {own} ")), "{line}");
        scene.mount = Some("/proc".to_owned());
        assert_eq!(deleted(&scene, 50).lines, [""; 0]);
        scene.mount = Some("/nonexistent".to_owned());
        assert_eq!(deleted(&scene, 50).missing.len(), 1);
        drop(file);
    }

    #[test]
    fn memory_that_only_looks_like_a_file_is_none() {
        for name in ["/memfd:x", "/SYSV0000", "/dev/zero", "relative"] {
            assert!(!is_on_disk(name), "{name}");
        }
        assert!(is_on_disk("/var/log/a"));
    }
}
