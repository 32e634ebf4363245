//! What the tests of the host's sources share: children, and cgroups that look like a unit's.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use hostmedic_observe::subject::v2_root;

/// How long a test waits for what must come; it is a limit, not a measure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the v1 memory controller is, on a host that has it there.
pub const MEMORY_V1: &str = "/sys/fs/cgroup/memory";

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A cgroup that is taken for a unit's, with a memory limit of its own; removed when dropped.
pub struct UnitCgroup {
    /// In the unified tree, where the unit is known and its pressure is counted.
    unified: PathBuf,
    /// In the memory controller's tree, where it is another.
    v1: Option<PathBuf>,
}

impl UnitCgroup {
    /// Makes the cgroup of a unit called `unit` in the unified tree and limits its memory: on a
    /// pure v2 host by `memory.high`, above which the kernel makes its processes wait; on a
    /// hybrid one by the hard limit of v1.
    pub fn new(unit: &str, limit_bytes: usize) -> Self {
        let root = v2_root().expect("no cgroup v2 tree is mounted");
        let v1 = Path::new(MEMORY_V1)
            .exists()
            .then(|| Path::new(MEMORY_V1).join(unit));
        let own = Self {
            unified: root.join(unit),
            v1,
        };
        if own.v1.is_none() {
            fs::write(root.join("cgroup.subtree_control"), "+memory").unwrap();
        }
        let (limited, file) = match &own.v1 {
            Some(v1) => (v1, "memory.limit_in_bytes"),
            None => (&own.unified, "memory.high"),
        };
        for dir in [Some(&own.unified), own.v1.as_ref()].into_iter().flatten() {
            fs::create_dir(dir).unwrap_or_else(|e| panic!("cannot make cgroup {dir:?}: {e}"));
        }
        fs::write(limited.join(file), limit_bytes.to_string()).unwrap();
        own
    }

    /// Whether the limit is v1's.
    pub fn is_v1(&self) -> bool {
        self.v1.is_some()
    }

    /// A child in it.
    pub fn child(&self, verb: &[&str]) -> Reaped {
        let mut arguments = Vec::new();
        for dir in [Some(&self.unified), self.v1.as_ref()]
            .into_iter()
            .flatten()
        {
            arguments.push("enter".to_owned());
            arguments.push(dir.join("cgroup.procs").display().to_string());
        }
        arguments.extend(verb.iter().map(|word| (*word).to_owned()));
        child(&arguments)
    }
}

impl Drop for UnitCgroup {
    fn drop(&mut self) {
        for dir in [Some(&self.unified), self.v1.as_ref()]
            .into_iter()
            .flatten()
        {
            // The kernel keeps a directory busy until the last process in it is reaped.
            let is_gone = (0..200).any(|_| {
                let gone = fs::remove_dir(dir).is_ok();
                if !gone {
                    thread::sleep(Duration::from_millis(10));
                }
                gone
            });
            if !is_gone {
                eprintln!("cannot remove cgroup {dir:?}");
            }
        }
    }
}

/// A child that is killed and waited for when dropped.
pub struct Reaped(pub Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the helper program.
pub fn child<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Reaped {
    let own = std::env::current_exe().unwrap();
    let built = own
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("host-child");
    let mut command = Command::new(built);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Reaped(command.spawn().unwrap())
}
