//! The real daemon captures what the playbook asks for, before the step, into the chain; also where a
//! program that it reads with hangs.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use hostmedic_model::record::{Body, Captured, Record};
use hostmedic_retain::{store::Store, verify};
use hostmedic_tests::nspawn::{Nspawn, Options};

/// Asks for much, and is tried once.
const PLAYBOOK: &str = "\
apiVersion: v1
kind: Playbook
metadata: { name: unit-failed-restart, version: 1, owner: tests }
describe: { summary: A unit failed and has no automatic restart; one restart is tried. }
trigger:
  all:
    - { signal: unit.state, within: 10min, bind: { unit: event.unit } }
    - { state: unit, where: { active_state: [failed], result: [signal], restart_policy: [\"no\"] } }
target: { kind: unit, name: \"{{ unit }}\", max_targets: 1, deny: [\"class:protected\"] }
risk:
  class: disruptive
  reversible: true
  stateful: allow
  idempotent: { value: true, why: the unit is dead before it }
autonomy: { max_phase: autonomous }
limits: { per_target: 1/1h, per_slice: 3/1h, cooldown: 5min }
concurrency: { group: \"unit:{{ unit }}\", on_conflict: wait }
windows: { forbid: [maintenance, backup] }
pre_execution_checks:
  - { name: fresh, type: telemetry.fresh, with: { max_age: 10s }, fail_action: wait, reason: nothing acts on old news }
  - { name: cascade, type: unit.stop_closure, with: { max_active: 3 }, fail_action: wait, reason: a restart stops others }
capture: [unit.snapshot, unit.files, systemd.jobs, sysctl.values, net.counters, kernel.log(20), package.history(3), md.status, disk.usage_top(5)]
steps:
  - { id: restart, uses: systemd.restart, with: { unit: \"{{ unit }}\" }, timeout: 20s }
verify:
  settle: 1s
  window: 4s
  all:
    - { check: unit.active, fail_action: escalate }
    - { check: unit.new_invocation, fail_action: escalate }
    - { check: unit.closure_restored, fail_action: escalate }
rollback: { none: nothing was running before it }
escalate: { to: [\"notify:oncall\"] }
";
/// Longest wait for anything; far above what it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon's own directory and its program; ends with the daemon.
struct Stage {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Stage {
    /// Starts the daemon over `machine`, with the programs in `path` before the system's.
    fn start(machine: &Nspawn, unit: &str, path: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("playbooks")).unwrap();
        fs::write(
            dir.path().join("playbooks/unit-failed-restart.yaml"),
            PLAYBOOK,
        )
        .unwrap();
        let config = format!(
            "state_dir = \"{0}/state\"\nsocket = \"{0}/sock\"\nplaybooks_dir = \"{0}/playbooks\"\n\
             bus_address = \"{1}\"\ncgroup_below = \"{2}\"\nroot = \"{3}\"\n\
             journal_dir = \"{3}/var/log/journal\"\nprobes = false\n\
             [logs]\nfollow = false\n[policy]\nphase = \"autonomous\"\n",
            dir.path().display(),
            machine.bus_address(),
            machine.cgroup_below(),
            machine.root().display(),
        );
        fs::write(dir.path().join("medicd.toml"), config).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let bins = std::env::var_os("HOSTMEDIC_BIN_DIR")
            .expect("HOSTMEDIC_BIN_DIR: run by `cargo xtask test`");
        let system = std::env::var("PATH").unwrap();
        let path = path.map_or_else(
            || system.clone(),
            |path| format!("{}:{system}", path.display()),
        );
        let daemon = Command::new(PathBuf::from(bins).join("medicd-crash"))
            .arg("--config")
            .arg(dir.path().join("medicd.toml"))
            .env("RUST_LOG", "debug")
            .env("PATH", path)
            .stdin(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let stage = Self {
            dir,
            daemon: Some(daemon),
        };
        // The first sight of a unit is no signal: it must be known before it fails.
        stage.wait("the daemon to know the unit", || {
            stage
                .log()
                .contains(&format!("subject={unit}"))
                .then_some(())
        });
        stage
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            let log = || self.log();
            assert!(
                Instant::now() < deadline,
                "waited for {what}; the daemon said:\n{}",
                log()
            );
            sleep(Duration::from_millis(50));
        }
    }

    fn records(&self) -> Vec<Record> {
        let ledger = self.dir.path().join("state/ledger");
        Store::open_read_only(&ledger)
            .unwrap()
            .records(1, 10_000)
            .unwrap()
    }

    /// Waits for the step's end, stops the daemon, and gives the evidence and how long it took.
    fn captured(mut self) -> (Captured, Duration) {
        self.wait("the step's end", || {
            let ended = |record: &Record| matches!(record.body, Body::StepEnded(_));
            self.records().iter().any(ended).then_some(())
        });
        let mut daemon = self.daemon.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(daemon.wait().unwrap().success(), "{}", self.log());
        let store = Store::open_read_only(&self.dir.path().join("state/ledger")).unwrap();
        let verified = verify::verify(&mut store.source(), None, |_, _| {});
        assert!(verified.is_ok(), "{:?}", verified.err());
        let records = self.records();
        let place = |which: fn(&Body) -> bool| {
            records
                .iter()
                .position(|record| which(&record.body))
                .unwrap()
        };
        let intent = place(|body| matches!(body, Body::Intent(_)));
        let evidence = place(|body| matches!(body, Body::Captured(_)));
        let end = place(|body| matches!(body, Body::StepEnded(_)));
        assert!(intent < evidence && evidence < end, "{records:#?}");
        let took = records[evidence].at.since(records[intent].at);
        let Body::Captured(captured) = &records[evidence].body else {
            unreachable!("it was looked for");
        };
        (captured.clone(), took)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            _ = daemon.kill();
            _ = daemon.wait();
        }
    }
}

/// A unit that runs until it is killed, known to systemd.
fn victim(machine: &Nspawn) -> &'static str {
    let text =
        "[Service]\nExecStart=/bin/sh -c 'echo last words; exec sleep infinity'\nRestart=no\n";
    machine.write_unit("victim.service", text).unwrap();
    machine.sh("systemctl start victim.service").unwrap();
    "victim.service"
}

fn names(captured: &Captured) -> Vec<&str> {
    captured
        .parts
        .iter()
        .map(|part| part.name.as_str())
        .collect()
}

/// Goal: the chain has what the playbook asks for, in its order, with the right content; what cannot
/// be had is named there.
#[test]
fn the_chain_has_what_the_playbook_asks_for() {
    let machine = Nspawn::boot(&Options::default()).unwrap();
    let unit = victim(&machine);
    machine.sh("journalctl --sync").unwrap();
    let stage = Stage::start(&machine, unit, None);
    machine.sh("systemctl kill -s KILL victim.service").unwrap();
    let (captured, took) = stage.captured();
    eprintln!("captured {:?} in {took:?}", names(&captured));
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        captured.journal.iter().any(|line| line == "last words"),
        "{captured:#?}"
    );
    let lines = |name: &str| {
        let part = captured.parts.iter().find(|part| part.name == name);
        part.unwrap_or_else(|| panic!("no {name}: {captured:#?}"))
            .lines
            .join("\n")
    };
    assert!(lines("unit.files").contains("unit file /etc/systemd/system/victim.service: "));
    assert!(lines("sysctl.values").contains("vm.swappiness = "));
    assert!(lines("net.counters").contains("lo: "));
    lines("systemd.jobs");
    // A dead unit says nothing of a mount.
    let is_named = captured
        .missing
        .iter()
        .any(|why| why == "disk.usage_top(5): the incident is about no mount");
    assert!(is_named, "{:#?}", captured.missing);
}

/// Goal: a program that hangs costs its deadline, is named, and everything else is captured.
#[test]
fn a_program_that_hangs_is_named_in_the_chain() {
    let machine = Nspawn::boot(&Options::default()).unwrap();
    let unit = victim(&machine);
    let programs = tempfile::tempdir().unwrap();
    let journalctl = programs.path().join("journalctl");
    fs::write(&journalctl, "#!/bin/sh\nexec sleep 321\n").unwrap();
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
    let stage = Stage::start(&machine, unit, Some(programs.path().to_owned()));
    machine.sh("systemctl kill -s KILL victim.service").unwrap();
    let (captured, took) = stage.captured();
    assert!(
        Duration::from_secs(2) <= took && took < Duration::from_secs(5),
        "{took:?}"
    );
    for name in ["journal", "kernel.log(20)"] {
        let why = format!("{name}: journalctl took longer than 2s");
        assert!(captured.missing.contains(&why), "{:#?}", captured.missing);
    }
    assert!(names(&captured).contains(&"unit.files"), "{captured:#?}");
    assert!(captured.journal.is_empty());
}
