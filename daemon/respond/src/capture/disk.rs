//! The largest directories of a mount, by a walk that is bounded in entries and in time.
//!
//! It stays on the mount's file system and follows no link: each directory is opened as one and
//! compared before it is listed. It goes breadth first, so that one huge directory does not hide the
//! others, and at the lowest priority of its own thread, which is that of its reads, too: `ioprio_get`(2)
//! of a thread without one of its own follows from its nice value.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::{self, OpenOptions},
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use hostmedic_observe::host::mount_points;
use nix::fcntl::OFlag;
use rustix::process::setpriority_process;

use super::{
    found::{self, Found, SEARCH, is_denied, size},
    scene::Scene,
};

/// Entries looked at; a disk can have a hundred million.
const ENTRIES_MAX: u64 = 300_000;
/// Directories that wait to be looked at.
const WAITING_MAX: usize = 20_000;
/// Bytes of their names: anybody may make a directory four thousand letters deep.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Directories kept apart: those so many levels below the mount; what is deeper counts to them.
const DEPTH_MAX: usize = 5;
const DIRECTORIES_MAX: usize = 20_000;
/// A directory is not told if one below it has this share of it: that one is told.
const SHARE: f64 = 0.9;
/// Bytes read of the list of mounts.
const MOUNTS_BYTES_MAX: usize = 256 * 1024;
/// Directories told beside the largest: those with most entries, for a mount without inodes.
const FULLEST_MAX: usize = 5;
/// What a directory holds, with all that is below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    bytes: u64,
    entries: u64,
}

impl Held {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.entries = self.entries.saturating_add(other.entries);
    }
}

/// What a walk saw.
#[derive(Debug, Default)]
struct Walk {
    /// By path below the mount; the mount itself is empty.
    held: BTreeMap<PathBuf, Held>,
    entries: u64,
    denied: usize,
    cut: bool,
}

/// The `count` largest directories of the incident's mount.
pub(super) fn usage(scene: &Scene, count: u32) -> Found {
    let Some(mount) = &scene.mount else {
        return Found::nothing("the incident is about no mount");
    };
    // Whoever is needed now comes first. A refusal costs only that.
    _ = setpriority_process(None, 19);
    let root = scene.below_root(mount);
    // The mounts of the daemon itself, not those of the host that is watched.
    let mounts = found::text(Path::new("/proc/self/mountinfo"), MOUNTS_BYTES_MAX);
    let mounts = mounts.unwrap_or_default();
    let elsewhere = mount_points(mounts.as_bytes());
    let elsewhere = elsewhere.into_iter().map(PathBuf::from).collect();
    let walk = match walk(&root, &elsewhere, ENTRIES_MAX, || scene.is_late()) {
        Ok(walk) => walk,
        Err(error) => return Found::nothing(format!("{mount}: {error}")),
    };
    let mut found = Found::default();
    let named = |path: &Path| match path.as_os_str().is_empty() {
        true => mount.clone(),
        false => Path::new(mount).join(path).display().to_string(),
    };
    let told = |path: &Path, held: &Held| {
        let (bytes, entries) = (size(held.bytes), held.entries);
        format!("{bytes} in {entries} entries: {}", named(path))
    };
    let chosen = choose(&walk.held, count as usize, |held| held.bytes);
    for (path, held) in &chosen {
        found.line(told(path, held));
    }
    for (path, held) in choose(&walk.held, FULLEST_MAX, |held| held.entries) {
        if !chosen.iter().any(|(known, _)| known == &path) {
            found.line(format!("most entries: {}", told(path, held)));
        }
    }
    for own in own_places(&mounts, mount) {
        found.lacks(format!(
            "{own} as others see it: the daemon has one of its own (PrivateTmp=)"
        ));
    }
    if walk.cut {
        found.lacks(format!(
            "the rest of {mount}: {} entries were looked at, in the time and number allowed",
            walk.entries
        ));
    }
    found.lacks_right(walk.denied, "directories, the inside", SEARCH);
    found
}

/// Directories at or below `mount` that systemd has replaced for the daemon by empty ones. Their
/// root is a directory `systemd-private-...`; `setup_tmp_dirs()` in systemd's namespace.c.
fn own_places<'a>(mountinfo: &'a str, mount: &str) -> Vec<&'a str> {
    let places = mountinfo.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        root.contains("/systemd-private-").then_some(point)
    });
    places
        .filter(|place| Path::new(place).starts_with(mount))
        .take(4)
        .collect()
}

/// Walks what is below `root`. What is mounted at one of `elsewhere` is not even asked for its kind: it
/// might be a server that does not answer, or be mounted only then (autofs).
fn walk(
    root: &Path,
    elsewhere: &BTreeSet<PathBuf>,
    entries_max: u64,
    is_late: impl Fn() -> bool,
) -> std::io::Result<Walk> {
    // The mount point may be a link that its owner made; everything below is not followed.
    let device = fs::metadata(root)?.dev();
    let mut walk = Walk::default();
    let mut waiting = VecDeque::from([PathBuf::new()]);
    let mut waiting_bytes = 0;
    while let Some(path) = waiting.pop_front() {
        waiting_bytes -= path.as_os_str().len();
        let list = match list(&root.join(&path), path.as_os_str().is_empty(), device) {
            Ok(Some(list)) => list,
            Ok(None) => continue,
            Err(error) => {
                walk.denied += usize::from(is_denied(&error));
                continue;
            }
        };
        let mut own = Held::default();
        for entry in list {
            if walk.entries >= entries_max || is_late() {
                walk.cut = true;
                break;
            }
            // One that cannot be read is at an end: it would be the same again.
            let Ok(entry) = entry else { break };
            walk.entries += 1;
            own.entries += 1;
            let below = path.join(entry.file_name());
            if elsewhere.contains(&root.join(&below)) {
                continue;
            }
            let Ok(meta) = entry.metadata() else { continue };
            // Only a directory says for sure: of one overlay files have the devices of its layers.
            if meta.is_dir() && meta.dev() != device {
                continue;
            }
            // A file with several names counts at each a share.
            let links = match meta.is_dir() {
                true => 1,
                false => meta.nlink().max(1),
            };
            let bytes = meta.blocks().saturating_mul(512) / links;
            own.bytes = own.bytes.saturating_add(bytes);
            if meta.is_dir() {
                let bytes = below.as_os_str().len();
                if waiting.len() < WAITING_MAX && waiting_bytes + bytes <= WAITING_BYTES_MAX {
                    waiting_bytes += bytes;
                    waiting.push_back(below);
                } else {
                    walk.cut = true;
                }
            }
        }
        add(&mut walk.held, &path, own);
        if walk.entries >= entries_max || is_late() {
            walk.cut |= !waiting.is_empty();
            break;
        }
    }
    Ok(walk)
}

/// Lists a directory if it is one and lies on `device`. Of a link nothing is listed, nor of a mount.
fn list(path: &Path, is_root: bool, device: u64) -> std::io::Result<Option<fs::ReadDir>> {
    // `dev` of the entry that led here was right; it may have been replaced since.
    let mut flags = OFlag::O_DIRECTORY | OFlag::O_NONBLOCK;
    flags.set(OFlag::O_NOFOLLOW, !is_root);
    let flags = flags.bits();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if opened.metadata()?.dev() != device {
        return Ok(None);
    }
    let own = format!("/proc/self/fd/{}", opened.as_raw_fd());
    fs::read_dir(own).map(Some)
}

/// Adds what `path` holds to it and to all above it.
fn add(all: &mut BTreeMap<PathBuf, Held>, path: &Path, own: Held) {
    for above in path.ancestors() {
        if above.components().count() > DEPTH_MAX {
            continue;
        }
        if let Some(known) = all.get_mut(above) {
            known.add(own);
        } else if all.len() < DIRECTORIES_MAX || above.as_os_str().is_empty() {
            all.insert(above.to_owned(), own);
        }
    }
}

/// The first `count` by `of`, without those of which nearly all lies in one that is told.
fn choose(
    all: &BTreeMap<PathBuf, Held>,
    count: usize,
    of: impl Fn(&Held) -> u64,
) -> Vec<(&Path, &Held)> {
    // The largest directly below each.
    let mut below: BTreeMap<&Path, u64> = BTreeMap::new();
    for (path, held) in all {
        if let Some(parent) = path.parent() {
            let largest = below.entry(parent).or_default();
            *largest = (*largest).max(of(held));
        }
    }
    let mut chosen: Vec<(&Path, &Held)> = all
        .iter()
        .map(|(path, held)| (path.as_path(), held))
        .filter(|(path, held)| {
            let largest = below.get(path).copied().unwrap_or(0);
            of(held) > 0 && (largest as f64) < SHARE * of(held) as f64
        })
        .collect();
    chosen.sort_by_key(|(path, held)| (std::cmp::Reverse(of(held)), *path));
    chosen.truncate(count);
    chosen
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{
        os::unix::fs::symlink,
        time::{Duration, Instant},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::capture::process::tests::over;

    fn file(dir: &Path, path: &str, kib: usize) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![1; kib * 1024]).unwrap();
    }

    #[test]
    fn the_largest_directories_are_told_by_their_deepest_name() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        file(elsewhere.path(), "huge", 4096);
        file(dir.path(), "a/b/c/large", 1000);
        file(dir.path(), "log/small", 100);
        for n in 0..40 {
            file(dir.path(), &format!("many/{n}"), 0);
        }
        symlink(elsewhere.path(), dir.path().join("log/link")).unwrap();
        symlink("..", dir.path().join("a/loop")).unwrap();
        let mut scene = over(Path::new("/proc"));
        scene.root = dir.path().to_owned();
        scene.mount = Some("/".to_owned());
        let found = usage(&scene, 2);
        assert!(found.lines[0].ends_with(": /a/b/c"), "{found:?}");
        assert!(
            found.lines[0].starts_with("1000.0 KiB in 1 entries"),
            "{found:?}"
        );
        assert!(found.lines[1].ends_with(": /log"), "{found:?}");
        let fullest = |line: &String| {
            line.starts_with("most entries: ") && line.ends_with(" in 40 entries: /many")
        };
        assert!(found.lines.iter().any(fullest), "{found:?}");
        assert_eq!(found.missing, [""; 0]);
        // What a link leads to is nowhere.
        let all: u64 = walk(dir.path(), &BTreeSet::new(), 1000, || false)
            .unwrap()
            .held[Path::new("")]
        .bytes;
        assert!(all < 3 * 1024 * 1024, "{all}");
    }

    #[test]
    fn a_directory_that_became_a_link_is_not_listed() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/", dir.path().join("link")).unwrap();
        let device = fs::metadata(dir.path()).unwrap().dev();
        assert!(list(&dir.path().join("link"), false, device).is_err());
        assert!(list(dir.path(), false, device).unwrap().is_some());
        assert!(list(Path::new("/proc"), false, device).unwrap().is_none());
    }

    #[test]
    fn what_is_mounted_below_is_left_out_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), "a/x", 100);
        file(dir.path(), "nfs/y", 100);
        let elsewhere = BTreeSet::from([dir.path().join("nfs")]);
        let walk = walk(dir.path(), &elsewhere, 1000, || false).unwrap();
        assert!(walk.held.contains_key(Path::new("a")));
        assert!(!walk.held.contains_key(Path::new("nfs")), "{walk:?}");
    }

    #[test]
    fn a_place_of_our_own_is_known() {
        let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            40 22 0:30 /systemd-private-0-medicd.service-x/tmp /tmp rw - tmpfs tmpfs rw\n\
            41 22 8:1 /var/tmp/systemd-private-0-medicd.service-y/tmp /var/tmp rw - ext4 /dev/sda1 rw\n\u{fffd}\n";
        assert_eq!(own_places(mounts, "/"), ["/tmp", "/var/tmp"]);
        assert_eq!(own_places(mounts, "/var"), ["/var/tmp"]);
        assert_eq!(own_places(mounts, "/tmp"), ["/tmp"]);
        assert_eq!(own_places(mounts, "/t"), [""; 0]);
        assert_eq!(own_places("", "/"), [""; 0]);
    }

    #[test]
    fn a_walk_ends_by_number_and_by_time_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..300 {
            file(dir.path(), &format!("{}/{n}", n % 7), 0);
        }
        let none = BTreeSet::new();
        let short = walk(dir.path(), &none, 100, || false).unwrap();
        assert!(short.cut && short.entries == 100, "{short:?}");
        let late = walk(dir.path(), &none, 1000, || true).unwrap();
        assert!(late.cut && late.entries == 0, "{late:?}");
        let whole = walk(dir.path(), &none, 1000, || false).unwrap();
        assert!(!whole.cut && whole.entries == 307, "{whole:?}");
        // The whole host's root: nothing but the bound ends it in time.
        let mut scene = over(Path::new("/proc"));
        (scene.root, scene.mount) = ("/".into(), Some("/".to_owned()));
        let began = Instant::now();
        scene.until = began + Duration::from_millis(500);
        let found = usage(&scene, 50);
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        assert!(found.lines.len() <= 50 + FULLEST_MAX);
        scene.mount = None;
        assert_eq!(usage(&scene, 5).missing, ["the incident is about no mount"]);
    }

    proptest! {
        /// However deep and many, no more is kept or told than is allowed, and nothing is lost above.
        #[test]
        fn sums_hold(paths in prop::collection::vec(("[a-c](/[a-c]){0,9}", 0_u64..1_000_000), 0..200), count in 0_usize..30) {
            let mut all = BTreeMap::new();
            let mut sum = 0;
            for (path, bytes) in &paths {
                add(&mut all, Path::new(path), Held { bytes: *bytes, entries: 1 });
                sum += bytes;
            }
            prop_assert!(all.keys().all(|path| path.components().count() <= DEPTH_MAX));
            prop_assert_eq!(all.get(Path::new("")).map_or(0, |held| held.bytes), sum);
            prop_assert!(choose(&all, count, |held| held.bytes).len() <= count);
        }
    }
}
