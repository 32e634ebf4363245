//! The real daemon with a directory of its own, against a booted systemd, and what its chain says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use hostmedic_model::record::{Body, Record};
use hostmedic_retain::{store::Store, verify};

use crate::nspawn::Nspawn;

/// Longest wait for anything; far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon's own directory, and the machine that it looks after.
pub struct Stage<'a> {
    machine: &'a Nspawn,
    unit: String,
    dir: tempfile::TempDir,
}

impl<'a> Stage<'a> {
    /// Sets up a daemon in the autonomous phase with one playbook, which looks after `unit`.
    pub fn set(machine: &'a Nspawn, unit: &str, playbook: (&str, &str)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let playbooks = dir.path().join("playbooks");
        fs::create_dir(&playbooks).expect("a directory");
        fs::write(playbooks.join(playbook.0), playbook.1).expect("a playbook");
        let config = format!(
            "state_dir = \"{0}/state\"\nsocket = \"{0}/sock\"\nplaybooks_dir = \"{0}/playbooks\"\n\
             bus_address = \"{1}\"\ncgroup_below = \"{2}\"\nprobes = false\n\
             [policy]\nphase = \"autonomous\"\n",
            dir.path().display(),
            machine.bus_address(),
            machine.cgroup_below(),
        );
        fs::write(dir.path().join("medicd.toml"), config).expect("a configuration");
        let unit = unit.to_owned();
        Self { machine, unit, dir }
    }

    /// The machine.
    pub fn machine(&self) -> &Nspawn {
        self.machine
    }

    /// Starts the daemon, which dies at the named point, and waits until it has seen the unit.
    pub fn start(&self, crash_at: &str) -> Child {
        let bins = PathBuf::from(
            std::env::var_os("HOSTMEDIC_BIN_DIR")
                .expect("HOSTMEDIC_BIN_DIR: run by `cargo xtask test`"),
        );
        let before = self.log().len();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .expect("a log");
        let child = Command::new(bins.join("medicd-crash"))
            .arg("--config")
            .arg(self.dir.path().join("medicd.toml"))
            .env("HOSTMEDIC_CRASH_AT", crash_at)
            .env("RUST_LOG", "debug")
            .stdin(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the daemon");
        let socket = self.dir.path().join("sock");
        self.wait("the daemon's socket", || {
            std::os::unix::net::UnixStream::connect(&socket)
                .is_ok()
                .then_some(())
        });
        // The first sight of a unit is no signal: it must be known before something happens to it.
        let unit = &self.unit;
        self.wait("the daemon to know the unit", || {
            self.log()[before..]
                .contains(&format!("subject={unit}"))
                .then_some(())
        });
        child
    }

    /// Where the daemon can be asked.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    /// All that the daemon has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Where its chain is.
    pub fn ledger(&self) -> PathBuf {
        self.dir.path().join("state/ledger")
    }

    /// Its chain.
    pub fn records(&self) -> Vec<Record> {
        Store::open_read_only(&self.ledger())
            .and_then(|store| store.records(1, 10_000))
            .expect("the chain can be read")
    }

    /// Records of its chain of one sort.
    pub fn count(&self, which: impl Fn(&Body) -> bool) -> usize {
        let records = self.records();
        records.iter().filter(|record| which(&record.body)).count()
    }

    /// Looks until there is something.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "waited for {what}; the daemon said:\n{}",
                self.log()
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits for the daemon's end.
    pub fn end(&self, child: &mut Child, what: &str) -> ExitStatus {
        self.wait(what, || child.try_wait().expect("the daemon is a child"))
    }

    /// Stops the daemon in order.
    pub fn terminate(&self, mut child: Child) {
        let pid = i32::try_from(child.id()).expect("a process number");
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        let status = self.end(&mut child, "the daemon to stop");
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Fails if the chain does not verify.
    pub fn verify_chain(&self) {
        verify_chain(&self.ledger());
    }
}

fn verify_chain(ledger: &Path) {
    let store = Store::open_read_only(ledger).expect("the chain can be opened");
    let verified = verify::verify(&mut store.source(), None, |_, _| {});
    assert!(verified.is_ok(), "{:?}", verified.err());
}
