//! Evidence from a real unit under a real systemd: what a playbook can ask for, and what is said where
//! a right is missing.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Instant};

use hostmedic_model::{
    capture::{CaptureKind, Wanted},
    incident::IncidentId,
    intent::IntentId,
    record::Captured,
    subject::{Subject, UnitName},
};
use hostmedic_observe::{host::clock::now, subject::Subjects};
use hostmedic_respond::capture::{Asked, Capture};
use hostmedic_tests::nspawn::Nspawn;
use support::{boot, start, unit};

/// Holds a deleted file and a socket that listens, and has a child with a secret on its command line.
const BUSY: &str = "\
[Unit]
Requires=busy.socket
[Service]
Environment=BUSY_TOKEN=hunter3
ExecStart=/bin/sh -c 'exec 7>/var/tmp/gone.log; head -c 300000 /dev/zero >&7; rm /var/tmp/gone.log; \
sh -c \"echo ready; sleep 1000; true\" worker --token=hunter2 & wait'
";
const SOCKET: &str = "[Socket]\nListenStream=127.0.0.77:4711\n";

fn asked(about: Vec<Subject>, wanted: &[(CaptureKind, u32)]) -> Asked {
    let wanted = wanted
        .iter()
        .map(|(kind, count)| Wanted::new(*kind, Some(*count)));
    Asked {
        incident: IncidentId("inc_20260101_000000_00000000".to_owned()),
        intent: IntentId("inc_20260101_000000_00000000/1.1".to_owned()),
        unit: unit("busy.service"),
        about,
        wanted: wanted.collect(),
    }
}

/// The lines of one part.
#[track_caller]
fn lines<'a>(captured: &'a Captured, name: &str) -> &'a [String] {
    let part = captured
        .parts
        .iter()
        .find(|part| part.name.starts_with(name));
    let part = part.unwrap_or_else(|| panic!("no {name}: {captured:#?}"));
    &part.lines
}

#[track_caller]
fn has<'a>(captured: &'a Captured, name: &str, words: &str) -> &'a str {
    let line = lines(captured, name)
        .iter()
        .find(|line| line.contains(words));
    line.unwrap_or_else(|| panic!("{name} has no `{words}`: {captured:#?}"))
}

fn begin(machine: &Nspawn) {
    machine.write_unit("busy.socket", SOCKET).unwrap();
    machine
        .write_file(
            "/etc/systemd/system/busy.service.d/50-limits.conf",
            "[Service]\nLimitNOFILE=4321\n",
            0o644,
        )
        .unwrap();
    start(machine, "busy.service", BUSY);
    machine
        .sh("for i in $(seq 100); do journalctl --sync; journalctl -u busy.service | grep -q ready && exit 0; sleep 0.1; done; exit 1")
        .unwrap();
}

/// Goal: a unit with children, a deleted file, a socket, a drop-in and a job that waits is told with
/// all of them, within the time; and no secret is in it.
#[tokio::test]
async fn what_a_playbook_asks_for_is_captured() {
    let machine = boot();
    begin(&machine);
    // Waits for a start that takes long.
    machine
        .write_unit(
            "slow.service",
            "[Service]\nType=oneshot\nExecStart=sleep 1000\n",
        )
        .unwrap();
    machine
        .sh("systemctl start --no-block slow.service")
        .unwrap();
    machine
        .write_file(
            "/var/log/apt/history.log",
            "Start-Date: 2026-08-01  10:00:00\nCommandline: apt-get install busy\nInstall: busy:amd64 (1.2)\n",
            0o644,
        )
        .unwrap();
    machine
        .sh("mkdir -p /var/log/big && head -c 40000000 /dev/urandom > /var/log/big/file")
        .unwrap();
    let subjects = Subjects::below(&machine.cgroup_below());
    subjects.refresh(now()).unwrap();
    let capture = Capture {
        journal_dir: Some(machine.root().join("var/log/journal")),
        bus_address: Some(machine.bus_address()),
        root: machine.root(),
        ..Capture::new(subjects)
    };
    let wanted: Vec<_> = CaptureKind::ALL.map(|kind| (kind, 20)).to_vec();
    let about = vec![
        Subject::Unit(unit("busy.service")),
        Subject::Mount("/var".to_owned()),
    ];
    let began = Instant::now();
    let captured = capture.capture(asked(about, &wanted)).await;
    let took = began.elapsed();
    eprintln!("capturing {} parts took {took:?}", captured.parts.len());
    assert!(took.as_secs() < 5, "{took:?}");
    assert!(
        captured.journal.iter().any(|line| line == "ready"),
        "{captured:#?}"
    );

    let tree = lines(&captured, "proc.tree");
    assert_eq!(tree.len(), 3, "{tree:?}");
    assert!(
        tree[0].starts_with(char::is_numeric) && tree[1].starts_with("  "),
        "{tree:?}"
    );
    has(&captured, "proc.tree", "worker --token=(secret)");
    has(&captured, "proc.smaps_top", "proportional");
    has(&captured, "proc.stacks", " S sleep");
    let fds = has(&captured, "proc.fds_top", " of 4321 allowed");
    assert!(fds.contains("sockets"), "{fds}");
    has(
        &captured,
        "disk.deleted_open",
        "/var/tmp/gone.log, held by ",
    );
    let socket = has(&captured, "net.sockets_top", "tcp listen 127.0.0.77:4711");
    assert!(socket.contains(", pid "), "{socket}");
    // The container has a network of its own, with nothing but the loopback.
    let links = lines(&captured, "net.counters")
        .iter()
        .filter(|line| line.contains("nothing yet") || line.contains("rx bytes"));
    assert_eq!(links.count(), 1, "{captured:#?}");
    has(&captured, "net.counters", "TcpExt: ");
    has(&captured, "net.addresses", "address 127.0.0.1");
    has(&captured, "systemd.jobs", "start slow.service: running");
    has(&captured, "unit.files", "busy.service: loaded");
    has(
        &captured,
        "unit.files",
        "unit file /etc/systemd/system/busy.service: ",
    );
    let drop_in = has(
        &captured,
        "unit.files",
        "drop-in /etc/systemd/system/busy.service.d/50-limits.conf: ",
    );
    let sum = machine
        .sh("sha256sum /etc/systemd/system/busy.service.d/50-limits.conf")
        .unwrap();
    assert!(drop_in.ends_with(&sum[..64]), "{drop_in} {sum}");
    has(
        &captured,
        "package.history",
        "apt-get install busy; install busy:amd64 (1.2)",
    );
    has(&captured, "disk.usage_top", ": /var/log/big");
    has(&captured, "sysctl.values", "kernel.pid_max = ");
    has(&captured, "clock.sources", "kernel clock ");
    assert_eq!(lines(&captured, "coredump.newest"), [""; 0]);

    let named = |name: &str| captured.missing.iter().any(|why| why.starts_with(name));
    assert!(named("certificate.chain: "), "{:?}", captured.missing);
    let all = serde_json::to_string(&captured).unwrap();
    assert!(!all.contains("hunter"), "{all}");
}

/// Goal: without rights it captures what everybody may read, and names each right that is missing.
/// Method: the test runs itself once more as nobody, without any capability.
#[tokio::test]
async fn what_may_not_be_read_is_named_with_its_right() {
    const BELOW: &str = "HOSTMEDIC_TEST_BELOW";
    const WANTED: [(CaptureKind, u32); 7] = [
        (CaptureKind::ProcTree, 0),
        (CaptureKind::ProcSmapsTop, 5),
        (CaptureKind::ProcStacks, 5),
        (CaptureKind::ProcFdsTop, 5),
        (CaptureKind::DiskDeletedOpen, 5),
        (CaptureKind::NetSocketsTop, 5),
        (CaptureKind::CgroupCpu, 0),
    ];
    if let Ok(below) = std::env::var(BELOW) {
        let subjects = Subjects::below(&below);
        subjects.refresh(now()).unwrap();
        let about = vec![Subject::Unit(UnitName::new("busy.service").unwrap())];
        let captured = Capture::new(subjects).capture(asked(about, &WANTED)).await;
        println!("captured {}", serde_json::to_string(&captured).unwrap());
        return;
    }
    let machine = boot();
    begin(&machine);
    // Where anybody can run it.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["--inh-caps=-all", "--bounding-set=-all"])
        .arg(&program)
        .args([
            "--exact",
            "what_may_not_be_read_is_named_with_its_right",
            "--nocapture",
        ])
        .env(BELOW, machine.cgroup_below())
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let json = said
        .lines()
        .find_map(|line| Some(line.split_once("captured ")?.1));
    let json = json.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    let captured: Captured = serde_json::from_str(json).unwrap();
    assert_eq!(lines(&captured, "proc.tree").len(), 3);
    has(&captured, "proc.tree", "worker --token=(secret)");
    has(&captured, "proc.smaps_top", "resident ");
    has(&captured, "proc.stacks", " S sleep");
    has(&captured, "proc.fds_top", " open");
    has(&captured, "net.sockets_top", "tcp listen 127.0.0.77:4711");
    for (name, right) in [
        ("proc.smaps_top(5): ", "CAP_SYS_PTRACE"),
        ("proc.stacks(5): ", "CAP_SYS_ADMIN"),
        ("proc.fds_top(5): ", "CAP_SYS_PTRACE"),
        ("disk.deleted_open(5): ", "CAP_SYS_PTRACE"),
        ("net.sockets_top(5): ", "CAP_SYS_PTRACE"),
    ] {
        let is_named = captured
            .missing
            .iter()
            .any(|why| why.starts_with(name) && why.ends_with(right));
        assert!(is_named, "{name}{right}: {:#?}", captured.missing);
    }
}
