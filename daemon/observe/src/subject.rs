//! Which unit a cgroup or process belongs to, also after it is gone.
//!
//! A kernel event carries a cgroup id. Without this file it could not be attributed: the unit
//! may be gone (tombstones) and looking at `current` would name whoever ran last.
//!
//! A v2 cgroup's id is the inode of its directory, so a walk of the tree names all that exist.

mod path;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::fs::{DirEntryExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hostmedic_model::{
    subject::{Subject, UnitName},
    time::At,
};

pub use path::{path_in_proc, unit_of};

/// How long a cgroup's name is kept at least after it was last seen.
const KEEP_MIN: Duration = Duration::from_secs(15 * 60);
/// Names kept at most; a host has a few hundred cgroups, a busy container host some thousand.
const NAMES_MAX: usize = 16_384;
/// Directories that one walk reads at most.
const WALK_MAX: usize = 16_384;
/// Walks for unknown ids: this many at once ...
const WALK_BURST: u32 = 8;
/// ... and one more for each such time.
const WALK_EVERY: Duration = Duration::from_millis(250);

/// What resolving cost and missed; all rise only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubjectCounters {
    /// Walks of the cgroup tree.
    pub walks: u64,
    /// Ids that no name was found for.
    pub unresolved: u64,
    /// Unknown ids for which no walk was made, because there had been too many.
    pub rate_limited: u64,
    /// Names forgotten before their time because there were too many.
    pub evicted: u64,
}

/// Where the v2 tree is mounted: at the top, or on a hybrid host under `unified`.
pub fn v2_root() -> Option<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    [top.to_owned(), top.join("unified")]
        .into_iter()
        .find(|root| root.join("cgroup.controllers").exists())
}

/// Names of cgroups by id, shared by all that attribute. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Subjects(Arc<Mutex<Names>>);

#[derive(Debug)]
struct Names {
    root: Option<PathBuf>,
    /// Where the watched systemd's own tree begins; empty at the top.
    below: String,
    by_id: HashMap<u64, Named>,
    names_max: usize,
    walks_left: u32,
    walks_refilled: At,
    counters: SubjectCounters,
}

#[derive(Clone, Debug)]
struct Named {
    /// `None`: a walk did not find it, so there is no need for another.
    path: Option<Arc<str>>,
    seen: At,
}

impl Subjects {
    /// Starts without names, over the host's v2 tree.
    pub fn new() -> Self {
        Self::over(v2_root(), "", NAMES_MAX)
    }

    /// The same for a systemd whose tree begins at the path `below`, such as a container's
    /// `/payload`. What lies elsewhere is a cgroup without unit: units of the same name under
    /// another systemd must not be taken for ours.
    pub fn below(below: &str) -> Self {
        Self::over(v2_root(), below, NAMES_MAX)
    }

    /// Starts without names over the tree at `root`, keeping at most `names_max` names.
    pub fn over(root: Option<PathBuf>, below: &str, names_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Names {
            root,
            below: below.trim_end_matches('/').to_owned(),
            by_id: HashMap::new(),
            names_max: names_max.max(1),
            walks_left: WALK_BURST,
            walks_refilled: At::default(),
            counters: SubjectCounters::default(),
        })))
    }

    /// What the cgroup `id` is, or was; `pid` is a process that was in it.
    ///
    /// Known ids cost one look-up. An unknown one is first asked of `/proc/PID/cgroup`, then
    /// of one walk of the tree, if there were not too many of late.
    pub fn of(&self, id: u64, pid: Option<u32>, at: At) -> Subject {
        let mut names = self.names();
        let known = names.known(id, at);
        // Where systemd lives in the v1 tree alone, every v2 id is the root's.
        if let Some(path) = known.as_deref().filter(|path| *path != "/") {
            return names.subject_of(path);
        }
        if let Some(path) = pid.and_then(path_of_pid)
            && (id == 0
                || known.is_some()
                || names.root.is_none()
                || names.id_of(&path) == Some(id))
        {
            if known.is_none() && names.root.is_some() {
                names.learn(id, &path, at);
            }
            return names.subject_of(&path);
        }
        if let Some(path) = known.or_else(|| names.walk_for(id, at)) {
            return names.subject_of(&path);
        }
        names.counters.unresolved += 1;
        Subject::Cgroup(format!("id:{id}"))
    }

    /// What the cgroup at `path` is: its unit, or itself if it lies in no unit of the watched
    /// systemd.
    pub fn at_path(&self, path: &str) -> Subject {
        self.names().subject_of(path)
    }

    /// cgroup v2 id of the cgroup at `path`, if it exists now.
    pub fn id_at_path(&self, path: &str) -> Option<u64> {
        self.names().id_of(path)
    }

    /// Remembers the cgroup at `path` (as in `/proc/PID/cgroup`) while it exists, so that an
    /// event about it can still be attributed when it is gone.
    pub fn note(&self, path: &str, at: At) {
        let mut names = self.names();
        if let Some(id) = names.id_of(path) {
            names.learn(id, path, at);
        }
    }

    /// Remembers a cgroup that the kernel says was made at `path`; it may be gone already.
    pub fn made(&self, id: u64, path: &str, at: At) {
        self.names().learn(id, path, at);
    }

    /// Path of the cgroup `id`, if it is or was known.
    pub fn path_of_id(&self, id: u64, at: At) -> Option<String> {
        self.names().known(id, at).map(|path| path.to_string())
    }

    /// Walks the tree once and gives every cgroup that exists, by path, with its unit.
    ///
    /// # Errors
    /// Fails if there is no v2 tree or it cannot be read.
    pub fn refresh(&self, at: At) -> io::Result<BTreeMap<String, UnitName>> {
        let mut names = self.names();
        names.walk(at)?;
        let alive = names.by_id.values().filter(|named| named.seen == at);
        let paths = alive.filter_map(|named| named.path.clone());
        let units = paths.filter_map(|path| Some((path.to_string(), names.unit_of(&path)?)));
        Ok(units.collect())
    }

    /// Path of the cgroup of `unit` itself, the newest if it had several.
    pub fn path_of(&self, unit: &UnitName) -> Option<String> {
        let names = self.names();
        let own = names
            .by_id
            .values()
            .filter_map(|named| Some((named.seen, named.path.as_ref()?)));
        own.filter(|(_, path)| {
            let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
            last.strip_prefix('_').unwrap_or(last) == unit.as_str()
                && names.unit_of(path).as_ref() == Some(unit)
                && unit_of(above).is_none_or(|above| above.as_str().ends_with(".slice"))
        })
        .max()
        .map(|(_, path)| path.to_string())
    }

    /// What resolving cost and missed so far.
    pub fn counters(&self) -> SubjectCounters {
        self.names().counters
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // Every change to the map is complete in itself, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Subjects {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    fn known(&mut self, id: u64, at: At) -> Option<Arc<str>> {
        let named = self.by_id.get_mut(&id)?;
        if named.path.is_some() {
            named.seen = named.seen.max(at);
        }
        named.path.clone()
    }

    /// Id of the cgroup at `path`, if it exists.
    fn id_of(&self, path: &str) -> Option<u64> {
        let dir = self.root.as_ref()?.join(path.trim_start_matches('/'));
        fs::metadata(dir).ok().map(|meta| meta.ino())
    }

    /// The unit at `path`, if it lies in the watched systemd's tree.
    fn unit_of(&self, path: &str) -> Option<UnitName> {
        unit_of(
            path.strip_prefix(&self.below)
                .filter(|rest| rest.starts_with('/'))?,
        )
    }

    fn subject_of(&self, path: &str) -> Subject {
        let cgroup = || Subject::Cgroup(path.to_owned());
        self.unit_of(path).map_or_else(cgroup, Subject::Unit)
    }

    fn learn(&mut self, id: u64, path: &str, at: At) {
        self.put(id, Some(path.into()), at);
    }

    fn put(&mut self, id: u64, path: Option<Arc<str>>, at: At) {
        if id == 0 {
            return;
        }
        if self.by_id.len() >= self.names_max && !self.by_id.contains_key(&id) {
            self.make_room(at);
        }
        self.by_id.insert(id, Named { path, seen: at });
    }

    /// Forgets what is past its time; if nothing is, the oldest eighth, counted.
    fn make_room(&mut self, at: At) {
        let before = self.by_id.len();
        self.by_id
            .retain(|_, named| at.since(named.seen) < KEEP_MIN);
        if self.by_id.len() < before {
            return;
        }
        let mut ages: Vec<_> = self
            .by_id
            .iter()
            .map(|(id, named)| (named.seen, *id))
            .collect();
        ages.sort_unstable();
        ages.truncate((self.names_max / 8).max(1));
        for (_, id) in ages {
            self.by_id.remove(&id);
            self.counters.evicted += 1;
        }
    }

    /// One walk for an unknown id, if the budget allows.
    fn walk_for(&mut self, id: u64, at: At) -> Option<Arc<str>> {
        if id == 0 || self.by_id.contains_key(&id) {
            return None;
        }
        let refill = at.since(self.walks_refilled).as_nanos() / WALK_EVERY.as_nanos();
        if refill > 0 {
            let refill = u32::try_from(refill).unwrap_or(WALK_BURST);
            self.walks_left = self.walks_left.saturating_add(refill).min(WALK_BURST);
            self.walks_refilled = at;
        }
        if self.walks_left == 0 {
            self.counters.rate_limited += 1;
            return None;
        }
        self.walks_left -= 1;
        self.walk(at).ok()?;
        let found = self.by_id.get(&id).and_then(|named| named.path.clone());
        if found.is_none() {
            self.put(id, None, at);
        }
        found
    }

    /// Learns every cgroup that exists now.
    fn walk(&mut self, at: At) -> io::Result<()> {
        let Some(root) = self.root.clone() else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no cgroup v2 tree is mounted",
            ));
        };
        self.counters.walks += 1;
        let mut left = WALK_MAX;
        self.learn(fs::metadata(&root)?.ino(), "/", at);
        let mut pending = vec![String::new()];
        while let Some(path) = pending.pop() {
            // A cgroup may go while we walk; only the root must be readable.
            let entries = match fs::read_dir(root.join(path.trim_start_matches('/'))) {
                Ok(entries) => entries,
                Err(error) if path.is_empty() => return Err(error),
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                if left == 0 || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                left -= 1;
                let below = format!("{path}/{}", entry.file_name().to_string_lossy());
                self.learn(entry.ino(), &below, at);
                pending.push(below);
            }
        }
        Ok(())
    }
}

/// Path of a living process's cgroup.
fn path_of_pid(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    path_in_proc(&text).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn at(secs: u64) -> At {
        At::default().plus(Duration::from_secs(secs))
    }

    fn unit(name: &str) -> Subject {
        Subject::Unit(UnitName::new(name).unwrap())
    }

    /// A directory tree stands in for cgroupfs: its inodes are the ids.
    fn tree() -> (tempfile::TempDir, impl Fn(&str) -> u64) {
        let dir = tempfile::tempdir().unwrap();
        for path in ["system.slice/a.service/sub", "system.slice/b.service"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        let root = dir.path().to_owned();
        (dir, move |path: &str| {
            fs::metadata(root.join(path)).unwrap().ino()
        })
    }

    #[test]
    fn names_outlive_their_cgroup() {
        let (dir, id) = tree();
        let subjects = Subjects::over(Some(dir.path().to_owned()), "", 64);
        let (a, b) = (
            id("system.slice/a.service/sub"),
            id("system.slice/b.service"),
        );
        assert_eq!(subjects.of(a, None, at(1)), unit("a.service"));
        fs::remove_dir_all(dir.path().join("system.slice")).unwrap();
        assert_eq!(subjects.of(b, None, at(700)), unit("b.service"));
        assert_eq!(subjects.counters().walks, 1);
    }

    #[test]
    fn unknown_id_costs_one_walk_only() {
        let (dir, _) = tree();
        let subjects = Subjects::over(Some(dir.path().to_owned()), "", 64);
        for _ in 0..5 {
            assert_eq!(
                subjects.of(u64::MAX, None, at(1)),
                Subject::Cgroup(format!("id:{}", u64::MAX))
            );
        }
        let counters = subjects.counters();
        assert_eq!((counters.walks, counters.unresolved), (1, 5));
    }

    #[test]
    fn storm_of_unknown_ids_is_limited_and_counted() {
        let (dir, id) = tree();
        let subjects = Subjects::over(Some(dir.path().to_owned()), "", 64);
        for n in 0..100 {
            subjects.of(u64::MAX - n, None, at(1));
        }
        let counters = subjects.counters();
        assert_eq!(counters.walks, u64::from(WALK_BURST));
        assert_eq!(counters.walks + counters.rate_limited, 100);
        // A limited id may be asked for again later, and then it is found.
        fs::create_dir_all(dir.path().join("system.slice/late.service")).unwrap();
        let late = id("system.slice/late.service");
        assert_eq!(
            subjects.of(late, None, at(1)),
            Subject::Cgroup(format!("id:{late}"))
        );
        assert_eq!(subjects.of(late, None, at(2)), unit("late.service"));
    }

    #[test]
    fn memory_is_bounded_and_what_it_costs_is_counted() {
        let (dir, id) = tree();
        let subjects = Subjects::over(Some(dir.path().to_owned()), "", 16);
        for n in 0..100 {
            let path = format!("system.slice/s{n}.service");
            fs::create_dir_all(dir.path().join(&path)).unwrap();
            subjects.note(&format!("/{path}"), at(n));
        }
        assert!(subjects.names().by_id.len() <= 16);
        assert!(
            subjects.counters().evicted >= 84,
            "{:?}",
            subjects.counters()
        );
        let newest = id("system.slice/s99.service");
        fs::remove_dir_all(dir.path().join("system.slice")).unwrap();
        assert_eq!(subjects.of(newest, None, at(100)), unit("s99.service"));
        assert_eq!(subjects.counters().walks, 0);
    }

    #[test]
    fn only_the_watched_systemd_has_units() {
        let (dir, id) = tree();
        fs::create_dir_all(dir.path().join("payload/system.slice/a.service")).unwrap();
        let subjects = Subjects::over(Some(dir.path().to_owned()), "/payload/", 64);
        let ours = id("payload/system.slice/a.service");
        let other = id("system.slice/a.service");
        assert_eq!(subjects.of(ours, None, at(1)), unit("a.service"));
        assert_eq!(
            subjects.of(other, None, at(1)),
            Subject::Cgroup("/system.slice/a.service".into())
        );
        let a = UnitName::new("a.service").unwrap();
        assert_eq!(
            subjects.path_of(&a).as_deref(),
            Some("/payload/system.slice/a.service")
        );
    }

    #[test]
    fn refresh_lists_what_exists_now() {
        let (dir, _) = tree();
        let subjects = Subjects::over(Some(dir.path().to_owned()), "", 64);
        subjects.refresh(at(1)).unwrap();
        fs::remove_dir_all(dir.path().join("system.slice/b.service")).unwrap();
        let alive = subjects.refresh(at(2)).unwrap();
        let paths: Vec<_> = alive.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "/system.slice",
                "/system.slice/a.service",
                "/system.slice/a.service/sub"
            ]
        );
        assert!(Subjects::over(None, "", 64).refresh(at(1)).is_err());
    }
}
