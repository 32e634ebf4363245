//! One thread that waits for what the kernel reports through poll(2): mounts, errors of file
//! systems, and pressure.
//!
//! A thread of its own, because a mountinfo of thousands of lines is read here, and because
//! neither may wait behind an async task that is busy. A full queue holds nothing up.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, PipeReader, PipeWriter},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use hostmedic_model::{
    signal::Signal,
    subject::{Subject, UnitName},
    time::At,
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tokio::sync::mpsc::Sender;

use super::{
    SourceProblem, clock,
    devices::Devices,
    fs_errors::FsErrors,
    mounts::Mounts,
    outbox::Outbox,
    psi::{PressureOptions, Quiet, Watched},
    unit_numbers::is_units_own,
};
use crate::subject::{Subjects, v2_root};

/// Longest wait; so soon a signal that found the queue full is tried again.
const WAIT_MS_MAX: u16 = 1000;
/// Mounts are read this often although nothing woke us: a file system that gives up, or a remount
/// in another namespace, does not.
const MOUNTS_EVERY: Duration = Duration::from_secs(10);
/// And so soon after a file system reported an error.
const SOON: Duration = Duration::from_millis(500);
/// Units are listed anew this often.
const UNITS_EVERY: Duration = Duration::from_secs(30);

/// What is watched, and where.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// Thresholds of pressure.
    pub pressure: PressureOptions,
    /// Pressure files of the host.
    pub proc_pressure: PathBuf,
    /// The v2 tree, whose cgroups have pressure files.
    pub cgroup: Option<PathBuf>,
    /// Mounts of the daemon's namespace.
    pub mountinfo: PathBuf,
    /// Whether file systems are asked for their errors by fanotify. Not needed where the probe on
    /// `ext4_error` is attached, which says more.
    pub has_fs_errors: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            pressure: PressureOptions::default(),
            proc_pressure: "/proc/pressure".into(),
            cgroup: v2_root(),
            mountinfo: "/proc/self/mountinfo".into(),
            has_fs_errors: true,
        }
    }
}

/// What the thread says besides signals.
#[derive(Debug, Default)]
struct Shared {
    problems: Mutex<Vec<SourceProblem>>,
    dropped: Arc<AtomicU64>,
}

/// The running thread. Dropping it ends it and waits for its end.
#[derive(Debug)]
pub(super) struct Watch {
    /// Closing it is the request to stop.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Watch {
    /// Starts to watch, sending to `queue`. Triggers are set before it returns, so that pressure
    /// from now on is told.
    pub(super) fn start(
        options: WatchOptions,
        subjects: Subjects,
        queue: Sender<Signal>,
    ) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let shared = Arc::new(Shared::default());
        let mut work = Work {
            mounts: None,
            mounts_due: At::default(),
            mounts_problem: None,
            fs_errors: None,
            fs_problems: BTreeSet::new(),
            host: Vec::new(),
            units: BTreeMap::new(),
            units_listed: None,
            pressure_problems: Vec::new(),
            quiet: Quiet::new(options.pressure.quiet),
            options,
            subjects,
            outbox: Outbox::new(queue, Arc::clone(&shared.dropped)),
            shared: Arc::clone(&shared),
            stopped,
        };
        work.open(clock::now());
        let thread = thread::Builder::new()
            .name("host-watch".to_owned())
            .spawn(move || work.run())?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            shared,
        })
    }

    /// What cannot be watched now, or only by polling.
    pub(super) fn problems(&self) -> Vec<SourceProblem> {
        let problems = self.shared.problems.lock();
        problems.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signals dropped because the queue stayed full; it only rises.
    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The watcher of mounts and pressure had panicked.");
        }
    }
}

struct Work {
    options: WatchOptions,
    subjects: Subjects,
    mounts: Option<Mounts>,
    mounts_due: At,
    mounts_problem: Option<SourceProblem>,
    fs_errors: Option<FsErrors>,
    fs_problems: BTreeSet<String>,
    host: Vec<Watched>,
    /// By the path of the cgroup.
    units: BTreeMap<String, Vec<Watched>>,
    units_listed: Option<At>,
    pressure_problems: Vec<SourceProblem>,
    quiet: Quiet,
    outbox: Outbox,
    shared: Arc<Shared>,
    stopped: PipeReader,
}

/// What a wait found.
#[derive(Default)]
struct Woken {
    is_stopped: bool,
    has_mounts: bool,
    has_fs_errors: bool,
    fired: Vec<Signal>,
    /// Cgroups that are gone.
    gone: BTreeSet<String>,
}

impl Work {
    fn run(&mut self) {
        while !self.outbox.is_closed() {
            let woken = self.wait();
            if woken.is_stopped {
                return;
            }
            let at = clock::now();
            if woken.has_fs_errors {
                self.read_fs_errors(at);
            }
            if woken.has_mounts || at >= self.mounts_due {
                self.read_mounts(at);
            }
            for path in &woken.gone {
                self.units.remove(path);
            }
            for signal in woken.fired {
                self.tell_pressure(signal);
            }
            self.look(at);
            if self
                .units_listed
                .is_none_or(|then| at.since(then) >= UNITS_EVERY)
            {
                self.list_units(at);
            }
            self.outbox.flush();
        }
    }

    /// Everything that is there at the start.
    fn open(&mut self, at: At) {
        let name = self.options.mountinfo.display().to_string();
        match Mounts::open(&self.options.mountinfo, Devices::new()) {
            Ok(mounts) => self.mounts = Some(mounts),
            Err(error) => self.mounts_problem = Some(SourceProblem::new(name, error)),
        }
        if self.options.has_fs_errors {
            match FsErrors::open() {
                Ok(fs_errors) => self.fs_errors = Some(fs_errors),
                Err(why) => drop(self.fs_problems.insert(why)),
            }
        }
        self.read_mounts(at);
        for threshold in self.options.pressure.host.clone() {
            let path = self.options.proc_pressure.join(threshold.file());
            let name = path.display().to_string();
            match Watched::open(Subject::Host, threshold, &path) {
                Ok((watched, refused)) => {
                    self.host.push(watched);
                    if let Some(why) = refused {
                        self.pressure_problem(&name, format!("polled only: {why}"));
                    }
                }
                Err(why) => self.pressure_problem(&name, why),
            }
        }
        self.list_units(at);
    }

    fn read_mounts(&mut self, at: At) {
        self.mounts_due = at.plus(MOUNTS_EVERY);
        let Some(mounts) = &mut self.mounts else {
            return;
        };
        let read = mounts.read(at);
        match read {
            Ok(signals) => {
                self.mounts_problem = None;
                for signal in signals {
                    self.outbox.send(signal);
                }
                self.mark_file_systems(at);
            }
            Err(error) => {
                let name = self.options.mountinfo.display().to_string();
                self.mounts_problem = Some(SourceProblem::new(name, error));
            }
        }
    }

    /// Asks file systems that are new for their errors.
    fn mark_file_systems(&mut self, at: At) {
        let (Some(mounts), Some(fs_errors)) = (&mut self.mounts, &mut self.fs_errors) else {
            return;
        };
        fs_errors.keep(&mounts.file_systems().map(|(_, _, number)| number).collect());
        let new: Vec<_> = mounts
            .file_systems()
            .filter(|(_, filesystem, number)| fs_errors.wants(filesystem, *number))
            .map(|(point, filesystem, number)| (point.to_owned(), filesystem.to_owned(), number))
            .collect();
        for (point, filesystem, number) in new {
            // Another mount of the same may have been marked just now.
            if fs_errors.wants(&filesystem, number) {
                let device = mounts.device(number, at);
                if let Err(why) = fs_errors.mark(Path::new(&point), &filesystem, device) {
                    self.fs_problems.insert(format!("{filesystem}: {why}"));
                }
            }
        }
    }

    fn read_fs_errors(&mut self, at: At) {
        let fs_errors = self.fs_errors.as_mut();
        for signal in fs_errors.map(|own| own.read(at)).unwrap_or_default() {
            self.outbox.send(signal);
        }
        // It reports the error first and gives up after that, of which nothing wakes us.
        self.mounts_due = self.mounts_due.min(at.plus(SOON));
    }

    /// Watches units that are new and forgets those that are gone.
    fn list_units(&mut self, at: At) {
        self.units_listed = Some(at);
        let mut problems = Vec::new();
        if let Some(root) = self.options.cgroup.clone()
            && !self.options.pressure.units.is_empty()
        {
            match self.subjects.refresh(at) {
                Ok(units) => self.watch_units(&root, &units, &mut problems),
                Err(error) => problems.push(SourceProblem::new("pressure of units", error)),
            }
        }
        problems.extend(self.pressure_problems.iter().cloned());
        problems.extend(self.mounts_problem.clone());
        let of_fs = self.fs_problems.iter();
        problems.extend(of_fs.map(|why| SourceProblem::new("errors of file systems", why)));
        let mut shared = self
            .shared
            .problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *shared = problems;
    }

    fn watch_units(
        &mut self,
        root: &Path,
        units: &BTreeMap<String, UnitName>,
        problems: &mut Vec<SourceProblem>,
    ) {
        self.units.retain(|path, _| units.contains_key(path));
        let (mut beyond, mut refused) = (0_usize, BTreeSet::new());
        for (path, unit) in units.iter().filter(|(path, unit)| is_units_own(path, unit)) {
            if self.units.contains_key(path) {
                continue;
            }
            if self.units.len() >= self.options.pressure.units_max {
                beyond += 1;
                continue;
            }
            let dir = root.join(path.trim_start_matches('/'));
            let mut all = Vec::new();
            for threshold in &self.options.pressure.units {
                let file = dir.join(format!("{}.pressure", threshold.file()));
                let subject = Subject::Unit(unit.clone());
                match Watched::open(subject, *threshold, &file) {
                    Ok((watched, degraded)) => {
                        all.push(watched);
                        refused.extend(degraded.map(|why| format!("polled only: {why}")));
                    }
                    // One that went between listing and opening is no problem.
                    Err(why) => refused.extend(dir.exists().then_some(why)),
                }
            }
            self.units.insert(path.clone(), all);
        }
        if beyond > 0 {
            let watched = self.options.pressure.units_max;
            let reason = format!("{beyond} units beyond the first {watched} are not watched");
            problems.push(SourceProblem::new("pressure of units", reason));
        }
        for why in refused {
            self.pressure_problem("pressure of units", why);
        }
    }

    /// Remembers a problem once; each has one cause for all units.
    fn pressure_problem(&mut self, source: &str, why: String) {
        let problem = SourceProblem::new(source, why);
        if !self.pressure_problems.contains(&problem) {
            self.pressure_problems.push(problem);
        }
    }

    /// Reads what has no trigger.
    fn look(&mut self, at: At) {
        let all = self
            .host
            .iter_mut()
            .chain(self.units.values_mut().flatten());
        // A file that went is found gone by the next listing.
        let found: Vec<_> = all.filter_map(|watched| watched.look(at).ok()?).collect();
        for signal in found {
            self.tell_pressure(signal);
        }
    }

    fn tell_pressure(&mut self, signal: Signal) {
        if self.quiet.lets(&signal) {
            self.outbox.send(signal);
        }
    }

    /// Waits for the request to stop, for a mount and for pressure.
    fn wait(&self) -> Woken {
        let mut fds = vec![PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN)];
        let mounts = self.mounts.as_ref();
        fds.extend(mounts.map(|mounts| PollFd::new(mounts.fd(), PollFlags::POLLPRI)));
        let fs_errors_at = fds.len();
        let fs_errors = self.fs_errors.as_ref();
        fds.extend(fs_errors.map(|group| PollFd::new(group.fd(), PollFlags::POLLIN)));
        let first_trigger = fds.len();
        let units = self.units.iter();
        let of_units = units.flat_map(|(path, all)| all.iter().map(move |own| (Some(path), own)));
        let all = self.host.iter().map(|own| (None, own)).chain(of_units);
        let triggered: Vec<_> = all
            .filter_map(|(path, watched)| Some((path, watched, watched.trigger()?)))
            .collect();
        let trigger_fds = triggered.iter().map(|(_, _, file)| file.as_fd());
        fds.extend(trigger_fds.map(|fd| PollFd::new(fd, PollFlags::POLLPRI)));
        match poll(&mut fds, PollTimeout::from(WAIT_MS_MAX)) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Woken::default(),
            Err(error) => {
                tracing::error!(%error, "Could not wait for mounts and pressure.");
                thread::sleep(Duration::from_millis(WAIT_MS_MAX.into()));
                return Woken::default();
            }
        }
        let at = clock::now();
        let flags = |fd: &PollFd| fd.revents().unwrap_or(PollFlags::empty());
        let mut woken = Woken {
            is_stopped: fds.first().is_some_and(|fd| !flags(fd).is_empty()),
            has_mounts: mounts.is_some() && fds.get(1).is_some_and(|fd| !flags(fd).is_empty()),
            has_fs_errors: fs_errors.is_some()
                && fds
                    .get(fs_errors_at)
                    .is_some_and(|fd| !flags(fd).is_empty()),
            ..Woken::default()
        };
        for ((path, watched, _), fd) in triggered.iter().zip(fds.iter().skip(first_trigger)) {
            let flags = flags(fd);
            if flags.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL) {
                woken.gone.extend(path.cloned());
            } else if flags.contains(PollFlags::POLLPRI) {
                woken.fired.push(watched.fired(at));
            }
        }
        woken
    }
}
