//! What a capture is about: which processes, which mount, which certificate, and until when.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Instant,
};

use hostmedic_model::subject::{Subject, UnitName};
use hostmedic_observe::subject::{Subjects, path_in_proc, v2_root};

use super::found::{self, is_denied};

/// How the names of shipped actions begin.
const ACTIONS: &str = "hostmedic-";
/// Processes looked at.
const PIDS_MAX: usize = 8192;
/// Cgroups below a unit's own that are looked into.
const CGROUPS_MAX: usize = 512;
/// Bytes read of a list of processes.
const LIST_BYTES_MAX: usize = 256 * 1024;

/// One capture's subject, shared by its readers.
#[derive(Debug)]
pub(super) struct Scene {
    /// The unit that the first step works on, or that the incident is about.
    pub(super) unit: UnitName,
    /// Whether it is about that unit alone; otherwise about the whole host.
    pub(super) of_unit: bool,
    /// The unit's cgroup.
    pub(super) cgroup: Option<String>,
    /// The unit whose last words and memory the step would end: the one that it works on, or, where
    /// that is an action that has not begun, the one that the incident is about.
    pub(super) ended: UnitName,
    /// Its cgroup.
    pub(super) ended_cgroup: Option<String>,
    /// The mount that the incident is about.
    pub(super) mount: Option<String>,
    /// The certificate's file that the incident is about.
    pub(super) certificate: Option<String>,
    /// `/proc`.
    pub(super) proc: PathBuf,
    /// Where the watched system's files begin.
    pub(super) root: PathBuf,
    /// Until when a reader may take; what it has by then is what there is.
    pub(super) until: Instant,
    subjects: Subjects,
    pids: OnceLock<Vec<u32>>,
}

impl Scene {
    pub(super) fn new(
        unit: &UnitName,
        about: &[Subject],
        subjects: &Subjects,
        root: &Path,
        until: Instant,
    ) -> Self {
        let first = about.first();
        let own = first.and_then(Subject::unit);
        let is_action = unit.as_str().starts_with(ACTIONS);
        let ended = own.filter(|_| is_action).unwrap_or(unit).clone();
        let unit = own.unwrap_or(unit).clone();
        Self {
            of_unit: first.is_none() || own.is_some(),
            cgroup: subjects.path_of(&unit),
            ended_cgroup: subjects.path_of(&ended),
            ended,
            mount: about.iter().find_map(|subject| match subject {
                Subject::Mount(path) => Some(path.clone()),
                _ => None,
            }),
            certificate: about.iter().find_map(|subject| match subject {
                Subject::Certificate(path) => Some(path.clone()),
                _ => None,
            }),
            unit,
            proc: PathBuf::from("/proc"),
            root: root.to_owned(),
            until,
            subjects: subjects.clone(),
            pids: OnceLock::new(),
        }
    }

    /// Whether the time is up.
    pub(super) fn is_late(&self) -> bool {
        self.until <= Instant::now()
    }

    /// Directory of a process.
    pub(super) fn process(&self, pid: u32) -> PathBuf {
        self.proc.join(pid.to_string())
    }

    /// `path` of the watched system, as seen from here.
    pub(super) fn below_root(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The processes that it is about, by number; read once.
    ///
    /// # Errors
    /// Says that there is none.
    pub(super) fn pids(&self) -> Result<&[u32], String> {
        let pids = self.pids.get_or_init(|| match self.of_unit {
            true => self.of_cgroup(),
            false => self.all(),
        });
        match pids.is_empty() {
            true => Err(format!("{} has no process", self.unit)),
            false => Ok(pids),
        }
    }

    /// Tables of the network as its processes see it.
    pub(super) fn net(&self) -> PathBuf {
        let own = self.of_unit.then(|| self.pids().ok()).flatten();
        let own = own.and_then(|pids| pids.first());
        own.map(|pid| self.process(*pid).join("net"))
            .filter(|dir| dir.join("dev").exists())
            .unwrap_or_else(|| self.proc.join("net"))
    }

    /// What of systemd's own tree holds processes: its v2 tree, or its v1 one.
    fn of_cgroup(&self) -> Vec<u32> {
        let v1 = PathBuf::from("/sys/fs/cgroup/systemd");
        let known = self.cgroup.as_ref().map(|path| {
            let path = path.trim_start_matches('/');
            let trees = v2_root().into_iter().chain([v1]);
            trees
                .map(|root| below(&root.join(path)))
                .find(|pids| !pids.is_empty())
        });
        known.flatten().unwrap_or_else(|| {
            // Where the tree cannot be read, each process says whose it is.
            let all = self.all().into_iter();
            all.filter(|pid| {
                let path = self.process(*pid).join("cgroup");
                let text = found::text(&path, 4096).unwrap_or_default();
                let subject = path_in_proc(&text).map(|path| self.subjects.at_path(path));
                subject.is_some_and(|subject| subject.unit() == Some(&self.unit))
            })
            .collect()
        })
    }

    /// Every process of the host.
    pub(super) fn all(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.proc).into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut pids: Vec<u32> = numbers
            .take(PIDS_MAX)
            .take_while(|_| !self.is_late())
            .collect();
        pids.sort_unstable();
        pids
    }
}

/// Processes of the cgroup at `dir` and of those below it.
fn below(dir: &Path) -> Vec<u32> {
    let mut pids = Vec::new();
    let mut todo = VecDeque::from([dir.to_owned()]);
    for _ in 0..CGROUPS_MAX {
        let Some(dir) = todo.pop_front() else { break };
        let list = found::text(&dir.join("cgroup.procs"), LIST_BYTES_MAX).unwrap_or_default();
        let room = PIDS_MAX.saturating_sub(pids.len());
        pids.extend(
            list.lines()
                .filter_map(|pid| pid.parse::<u32>().ok())
                .take(room),
        );
        let children = fs::read_dir(&dir).into_iter().flatten().flatten();
        let children = children.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let room = CGROUPS_MAX.saturating_sub(todo.len());
        todo.extend(children.map(|entry| entry.path()).take(room));
    }
    // A process of another pid namespace is shown as 0.
    pids.retain(|pid| *pid != 0);
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Whether a process has gone while it was looked at: no reason to name anything.
pub(super) fn has_gone(error: &std::io::Error) -> bool {
    // ESRCH has no kind of its own.
    const ESRCH: i32 = 3;
    !is_denied(error)
        && (error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::*;

    fn scene(about: &[Subject]) -> Scene {
        let unit = UnitName::new("step.service").unwrap();
        let subjects = Subjects::over(None, "", 4);
        let until = Instant::now() + Duration::from_secs(5);
        Scene::new(&unit, about, &subjects, Path::new("/srv/root"), until)
    }

    #[test]
    fn what_the_incident_is_about_decides_whose_processes() {
        let web = UnitName::new("web.service").unwrap();
        let mount = Subject::Mount("/var".to_owned());
        let certificate = Subject::Certificate("/etc/a.pem".to_owned());
        let of_unit = scene(&[Subject::Unit(web.clone()), mount.clone(), certificate]);
        assert!(of_unit.of_unit);
        assert_eq!(of_unit.unit, web);
        assert_eq!(of_unit.mount.as_deref(), Some("/var"));
        assert_eq!(of_unit.certificate.as_deref(), Some("/etc/a.pem"));
        assert!(of_unit.pids().unwrap_err().contains("web.service"));
        let of_mount = scene(&[mount]);
        assert!(!of_mount.of_unit);
        assert_eq!(of_mount.unit.as_str(), "step.service");
        let own = std::process::id();
        assert!(of_mount.pids().unwrap().contains(&own));
        assert_eq!(
            of_mount.below_root("/var/log"),
            Path::new("/srv/root/var/log")
        );
    }

    #[test]
    fn a_cgroup_gives_its_own_processes_and_those_below() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("cgroup.procs"), "7\nx\n0\n").unwrap();
        fs::write(dir.path().join("a/b/cgroup.procs"), "5\n7\n99999999999\n").unwrap();
        assert_eq!(below(dir.path()), [5, 7]);
        assert_eq!(below(Path::new("/nonexistent")), [0_u32; 0]);
    }
}
