//! The throw-away systemd itself: it boots, answers, is found from the host, and goes away.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, time::Instant};

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
