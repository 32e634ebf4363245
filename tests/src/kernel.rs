//! What the tests of the probes share: cgroups made for a moment, and a capture to look at.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use hostmedic_model::loss::{Coverage, HookCounters, HookReport, QueueCounters};
use hostmedic_observe::kernel::{Counted, KernelEvent, Options, Probes};
use nix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Longest wait for an event that must come. An emulated processor is slow.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// More than any test makes.
const QUEUE_LEN: usize = 1 << 18;

/// A directory in a cgroup tree; removed when dropped.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// A new one in the unified tree, wherever that is mounted.
    pub fn unified(name: &str) -> Self {
        Self::make(unified_tree().join(format!("hostmedic-test-{}-{name}", std::process::id())))
    }

    /// A new one below this one.
    pub fn child(&self, name: &str) -> Self {
        Self::make(self.0.join(name))
    }

    fn make(path: PathBuf) -> Self {
        fs::create_dir(&path).unwrap_or_else(|e| panic!("cannot make cgroup {path:?}: {e}"));
        Self(path)
    }

    /// Its id in the unified tree, which is its directory's inode (cgroups(7)).
    pub fn id(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }

    /// Its path below the root of its tree, as in `/proc/PID/cgroup`.
    pub fn path(&self) -> String {
        let name = self.0.strip_prefix(unified_tree()).unwrap();
        format!("/{}", name.display())
    }

    /// The file that takes the processes to move here.
    pub fn procs(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The kernel keeps a directory busy until the last process in it is reaped.
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        eprintln!("cannot remove cgroup {:?}", self.0);
    }
}

fn unified_tree() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let of_kind = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(point))
    };
    mounts
        .lines()
        .find_map(of_kind)
        .expect("no cgroup2 file system is mounted")
}

/// Two cgroups of the unified tree whose processes share one memory limit.
///
/// On a pure v2 host the limit is the parent's `memory.max`. On a hybrid one the memory
/// controller lives in a v1 tree, so processes enter a cgroup there as well.
pub struct Cage {
    /// The first.
    pub first: Cgroup,
    /// The second.
    pub second: Cgroup,
    v1: Option<Cgroup>,
    parent: Cgroup,
}

impl Cage {
    /// Limits the two to `limit_bytes` together.
    pub fn new(name: &str, limit_bytes: u64) -> Self {
        let parent = Cgroup::unified(name);
        let v1_tree = Path::new("/sys/fs/cgroup/memory");
        let v1 = v1_tree.join("memory.limit_in_bytes").exists().then(|| {
            let own = format!("hostmedic-test-{}-{name}", std::process::id());
            let cgroup = Cgroup::make(v1_tree.join(own));
            fs::write(
                cgroup.0.join("memory.limit_in_bytes"),
                limit_bytes.to_string(),
            )
            .unwrap();
            cgroup
        });
        if v1.is_none() {
            fs::write(unified_tree().join("cgroup.subtree_control"), "+memory").unwrap();
            fs::write(parent.0.join("memory.max"), limit_bytes.to_string()).unwrap();
        }
        Self {
            first: parent.child("first"),
            second: parent.child("second"),
            v1,
            parent,
        }
    }

    /// Id of the cgroup that has the limit, in its own tree.
    pub fn limit_id(&self) -> u64 {
        self.v1.as_ref().unwrap_or(&self.parent).id()
    }

    /// A child that enters the limit and `place`, one of the two, before it does `verb`.
    pub fn child(&self, place: &Cgroup, verb: &[&str]) -> Command {
        let procs: Vec<_> = [Some(place), self.v1.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        child_in(&procs, verb)
    }
}

/// The helper program, which enters `cgroups` before it does `verb`.
pub fn child_in(cgroups: &[&Cgroup], verb: &[&str]) -> Command {
    let mut command = helper("kernel-child");
    enter(&mut command, cgroups);
    command.args(verb);
    command
}

/// A shell that enters `cgroups` before it runs `line`.
pub fn shell_in(cgroups: &[&Cgroup], line: &str) -> Command {
    let mut script = String::new();
    for cgroup in cgroups {
        script += &format!("echo 0 >{} && ", cgroup.procs().display());
    }
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{script}{line}")]);
    command
}

/// A program of this package, which cargo built beside the tests.
pub(crate) fn helper(name: &str) -> Command {
    let own = std::env::current_exe().unwrap();
    let programs = own.parent().and_then(Path::parent).unwrap();
    Command::new(programs.join(name))
}

/// Makes a helper enter `cgroups` first.
pub(crate) fn enter(command: &mut Command, cgroups: &[&Cgroup]) {
    for cgroup in cgroups {
        command.arg("enter").arg(cgroup.procs());
    }
}

/// Attached probes and what came out of them.
pub struct Capture {
    probes: Option<Probes>,
    /// One for each hook.
    pub reports: Vec<HookReport>,
    /// Rare events that were waited for.
    taken: Vec<KernelEvent>,
    rare: Receiver<KernelEvent>,
    hot: Receiver<KernelEvent>,
    senders: Option<(Sender<KernelEvent>, Sender<KernelEvent>)>,
}

/// The end of a capture.
pub struct Account {
    /// Everything handed on, kills first.
    pub events: Vec<KernelEvent>,
    /// The last counters.
    pub counters: Vec<HookCounters>,
    /// The last counters of the queues.
    pub queue: QueueCounters,
}

impl Capture {
    /// Attaches and starts the readers.
    pub fn start(options: &Options) -> Self {
        let mut capture = Self::attach(options, QUEUE_LEN, QUEUE_LEN);
        capture.read();
        capture
    }

    /// Attaches only, with queues of these lengths.
    pub fn attach(options: &Options, rare_len: usize, hot_len: usize) -> Self {
        let (probes, reports) = Probes::load(options).unwrap_or_else(|e| panic!("{e}: {e:?}"));
        let ((rare_in, rare), (hot_in, hot)) = (channel(rare_len), channel(hot_len));
        let senders = Some((rare_in, hot_in));
        Self {
            probes: Some(probes),
            reports,
            taken: Vec::new(),
            rare,
            hot,
            senders,
        }
    }

    /// Starts the readers.
    pub fn read(&mut self) {
        let (rare, hot) = self.senders.take().expect("started twice");
        self.probes.as_mut().unwrap().start(rare, hot).unwrap();
    }

    /// The probes.
    pub fn probes(&self) -> &Probes {
        self.probes.as_ref().unwrap()
    }

    /// The probes, to change what they do.
    pub fn probes_mut(&mut self) -> &mut Probes {
        self.probes.as_mut().unwrap()
    }

    /// What was counted by key since the last call.
    pub fn tallies(&mut self) -> Vec<Counted> {
        self.probes.as_mut().unwrap().tallies().unwrap()
    }

    /// Waits for the next kill.
    pub fn next_rare(&mut self) -> KernelEvent {
        let began = Instant::now();
        loop {
            match self.rare.try_recv() {
                Ok(event) => return event,
                Err(error) => {
                    assert!(began.elapsed() < WAIT_MAX, "no rare event came: {error}");
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    /// Waits until a rare event fits; it stays part of the account.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&KernelEvent) -> bool) {
        let began = Instant::now();
        loop {
            match self.rare.try_recv() {
                Ok(event) => {
                    let is_it = fits(&event);
                    self.taken.push(event);
                    if is_it {
                        return;
                    }
                }
                Err(_) => {
                    let taken = &self.taken;
                    assert!(began.elapsed() < WAIT_MAX, "no {what}: {taken:#?}");
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    /// The rare events that have come; they stay part of the account.
    pub fn rare_so_far(&mut self) -> &[KernelEvent] {
        while let Ok(event) = self.rare.try_recv() {
            self.taken.push(event);
        }
        &self.taken
    }

    /// What was said about `hook` at the start.
    pub fn report(&self, hook: &str) -> &HookReport {
        let mut reports = self.reports.iter();
        reports.find(|report| report.hook == hook).unwrap()
    }

    /// Coverage of `hook`.
    pub fn coverage(&self, hook: &str) -> Coverage {
        self.report(hook).coverage
    }

    /// Attaches hooks whose module has come; gives their reports.
    pub fn revisit(&mut self) -> Vec<HookReport> {
        self.probes.as_mut().unwrap().revisit()
    }

    /// Detaches and takes everything.
    pub fn stop(mut self) -> Account {
        let (counters, queue) = self.probes.take().unwrap().stop().unwrap();
        drop(self.senders.take());
        let mut events = self.taken;
        for lane in [&mut self.rare, &mut self.hot] {
            while let Some(event) = lane.blocking_recv() {
                events.push(event);
            }
        }
        Account {
            events,
            counters,
            queue,
        }
    }
}

impl Account {
    /// Counters of `hook`.
    pub fn of(&self, hook: &str) -> &HookCounters {
        self.counters
            .iter()
            .find(|counters| counters.hook == hook)
            .unwrap()
    }

    /// Asserts that every run of a hook has an end, and every record was read.
    pub fn assert_adds_up(&self) {
        for of in &self.counters {
            assert_eq!(of.seen, of.explained(), "{of:?}");
        }
        let told = |of: &HookCounters| of.delivered + of.recovered;
        let delivered: u64 = self.counters.iter().map(told).sum();
        assert_eq!(self.queue.read, delivered, "{:?}", self.counters);
        assert_eq!(self.queue.undecodable, 0);
        let handed_on = u64::try_from(self.events.len()).unwrap();
        assert_eq!(self.queue.read, handed_on + self.queue.queue_full);
    }
}

/// `CLOCK_BOOTTIME` now.
pub fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
    u64::try_from(now.tv_sec()).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec()).unwrap()
}

/// Major and minor number of the running kernel.
pub fn kernel_version() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|n| n.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Whether this is a machine of `cargo xtask vm`, where starting a process takes 50 ms.
pub fn is_emulated() -> bool {
    std::env::var_os("HOSTMEDIC_VM").is_some()
}
