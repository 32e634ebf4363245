//! The throw-away systemd itself: it boots, answers, is found from the host, and goes away.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hostmedic_tests::nspawn::{Nspawn, Options};

/// Goal: what every other systemd test stands on.
/// Method: boot, run a unit, find its process from the host, drop, look for what is left.
#[test]
fn container_boots_and_leaves_nothing() {
    let began = Instant::now();
    let machine = Nspawn::boot(&Options {
        files: vec![("/etc/marker".into(), "before boot".into())],
        ..Options::default()
    })
    .unwrap();
    eprintln!("booted in {:?}", began.elapsed());
    assert_eq!(machine.sh("cat /etc/marker").unwrap(), "before boot");

    machine
        .write_unit("sleeper.service", "[Service]\nExecStart=sleep infinity\n")
        .unwrap();
    machine.sh("systemctl start sleeper.service").unwrap();
    let pid = machine.main_pid("sleeper.service").unwrap();
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(comm.trim(), "sleep");
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let line = cgroup.lines().find(|line| line.starts_with("0::")).unwrap();
    assert!(
        line.ends_with("/payload/system.slice/sleeper.service"),
        "{cgroup}"
    );

    let leader = machine.leader();
    let cgroup_dir = machine.unit_cgroup("sleeper.service").unwrap();
    let name = machine.name().to_owned();
    let began = Instant::now();
    drop(machine);
    eprintln!("gone in {:?}", began.elapsed());
    assert!(!Path::new(&format!("/proc/{leader}")).exists());
    assert!(
        !cgroup_dir.exists(),
        "{} is still there",
        cgroup_dir.display()
    );
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&name), "a mount was left: {mounts}");
}

/// Goal: a test program that is killed takes its container with it.
/// Method: this test runs itself once more as a program that boots and then hangs; kill -9.
#[test]
fn container_dies_with_its_owner() {
    const HANG: &str = "HOSTMEDIC_TEST_HANG";
    if std::env::var_os(HANG).is_some() {
        let machine = Nspawn::boot(&Options::default()).unwrap();
        println!("leader {}", machine.leader());
        loop {
            std::thread::park();
        }
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "container_dies_with_its_owner", "--nocapture"])
        .env(HANG, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    // The harness prints the test's name before it, on the same line.
    let leader = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("leader ")?.1.to_owned()))
        .unwrap();
    let lives = || Path::new("/proc").join(&leader).exists();
    assert!(lives());
    owner.kill().unwrap();
    owner.wait().unwrap();
    for _ in 0..600 {
        if lives() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(!lives(), "PID 1 lives on");
    // The next boot finds the empty cgroups and removes them.
    drop(Nspawn::boot(&Options::default()).unwrap());
    let cgroup = format!("hostmedic-{}-0", owner.id());
    for tree in ["", "unified", "systemd"] {
        let left = Path::new("/sys/fs/cgroup").join(tree).join(&cgroup);
        assert!(!left.exists(), "{} is still there", left.display());
    }
}
