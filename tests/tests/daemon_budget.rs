//! The real daemon under a real storm: the hook that costs too much does less, step by step down to
//! nothing, each step in the chain; and it comes back by itself.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use hostmedic_model::{
    loss::{
        HookMode::{self, Count, Off, Sample, Stream},
        HookModeChange,
    },
    record::Body,
};
use hostmedic_retain::{store::Store, verify};

const HOOK: &str = "signal_fatal";

/// Longest wait for a step; a look comes every five seconds, and coming back takes many.
const PATIENCE: Duration = Duration::from_secs(400);

/// Signals to itself without end: no process comes or goes, and one hook runs all the time.
const STORM: &str = "trap '' WINCH; while :; do kill -WINCH $$; done";

struct Daemon {
    child: Child,
    dir: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let bins = PathBuf::from(
            std::env::var_os("HOSTMEDIC_BIN_DIR")
                .expect("HOSTMEDIC_BIN_DIR: run by `cargo xtask test`"),
        );
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        let playbooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../playbooks");
        // Nobody listens on that bus: what the hooks cost has nothing to do with systemd.
        let config = format!(
            "state_dir = \"{at}/state\"\nsocket = \"{at}/sock\"\nplaybooks_dir = \"{}\"\n\
             bus_address = \"unix:path={at}/nobody\"\nprobes = true\n\
             [capture]\nhook_budget_ratio = 0.0001\nall_budget_ratio = 1.0\npin_dir = \"{at}\"\n",
            playbooks.display()
        );
        fs::write(dir.path().join("medicd.toml"), config).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(bins.join("medicd-crash"))
            .arg("--config")
            .arg(dir.path().join("medicd.toml"))
            .stdin(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn ledger(&self) -> PathBuf {
        self.dir.path().join("state/ledger")
    }

    fn changes(&self) -> Vec<HookModeChange> {
        let Ok(store) = Store::open_read_only(&self.ledger()) else {
            return Vec::new();
        };
        let records = store.records(1, 10_000).unwrap_or_default();
        let change = |body| match body {
            Body::HookMode(change) if change.hook == HOOK => Some(change),
            _ => None,
        };
        let bodies = records.into_iter().map(|record| record.body);
        bodies.filter_map(change).collect()
    }

    fn wait_for(&mut self, what: &str, mode: HookMode) {
        let deadline = Instant::now() + PATIENCE;
        while self.changes().last().is_none_or(|last| last.to != mode) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "waited for {what}: {:#?}\nthe daemon said:\n{}",
                self.changes(),
                fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
            );
            sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Goal: a storm takes a hook down the whole ladder, and its end brings it back up.
#[test]
fn a_storm_takes_a_hook_down_the_ladder_and_its_end_back_up() {
    let mut daemon = Daemon::start();
    let mut storm = Command::new("sh").args(["-c", STORM]).spawn().unwrap();
    daemon.wait_for("the hook to be off", Off);
    storm.kill().unwrap();
    storm.wait().unwrap();
    daemon.wait_for("the hook to count again", Count);

    let changes = daemon.changes();
    for change in &changes {
        println!("{:?} to {:?}: {}", change.from, change.to, change.reason);
    }
    let steps: Vec<_> = changes.iter().map(|c| (c.from, c.to)).collect();
    let down = [(Stream, Sample), (Sample, Count), (Count, Off)];
    assert!(steps.ends_with(&[(Off, Count)]), "{steps:?}");
    assert_eq!(steps.iter().filter(|step| down.contains(step)).count(), 3);
    for change in changes.iter().filter(|c| down.contains(&(c.from, c.to))) {
        assert!(change.cpu_ratio > change.budget_ratio, "{change:?}");
    }
    let store = Store::open_read_only(&daemon.ledger()).unwrap();
    let verified = verify::verify(&mut store.source(), None, |_, _| {});
    assert!(verified.is_ok(), "{:?}", verified.err());
}
