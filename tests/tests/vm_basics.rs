//! The virtual machine is what its tests take it for, and a unit's kill on it is told whole.
//!
//! `cargo xtask vm` runs this.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, path::Path};

use hostmedic_model::signal::Fact;
use hostmedic_observe::kernel::Options;
use hostmedic_tests::{
    kernel::{Capture, child_in},
    vm::{Unit, eventually, is_inside, run},
};

/// Goal: tests see what users have: the unified tree alone, with the memory controller.
#[test]
fn cgroups_are_pure_v2() {
    if !is_inside("pure cgroup v2") {
        return;
    }
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap();
    for controller in ["cpu", "io", "memory", "pids"] {
        let mut found = controllers.split_whitespace();
        assert!(found.any(|found| found == controller), "{controllers}");
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let of_v1 = |line: &&str| line.split(' ').nth(2) == Some("cgroup");
    assert_eq!(mounts.lines().find(of_v1), None);
}

/// Goal: systemd is PID 1 and has finished its boot, and the kernel describes itself.
#[test]
fn boot_is_whole() {
    if !is_inside("a whole boot") {
        return;
    }
    assert_eq!(
        fs::read_to_string("/proc/1/comm").unwrap().trim(),
        "systemd"
    );
    assert!(Path::new("/sys/kernel/btf/vmlinux").exists());
    for (point, kind) in [
        ("/sys/kernel/tracing", "tracefs"),
        ("/sys/kernel/debug", "debugfs"),
        ("/sys/fs/bpf", "bpf"),
    ] {
        assert_eq!(run("findmnt", &["-no", "FSTYPE", point]), kind);
    }
    eventually("systemd has finished its boot", || {
        run("systemctl", &["list-jobs", "--no-legend"]).is_empty()
    });
    assert_eq!(
        run("systemctl", &["list-units", "--failed", "--no-legend"]),
        ""
    );
}

/// Goal: a disk that a test may break.
#[test]
fn scsi_debug_gives_a_disk() {
    if !is_inside("scsi_debug") {
        return;
    }
    // Without udev nobody loads the disks' driver when a disk comes.
    run("modprobe", &["sd_mod"]);
    run("modprobe", &["scsi_debug", "dev_size_mb=8"]);
    let is_disk = |entry: fs::DirEntry| {
        let model = fs::read_to_string(entry.path().join("device/model"));
        model.is_ok_and(|model| model.trim() == "scsi_debug")
    };
    eventually("the disk is there", || {
        fs::read_dir("/sys/block").unwrap().flatten().any(is_disk)
    });
    eventually("the disk is gone", || {
        let mut remove = std::process::Command::new("modprobe");
        remove
            .args(["-r", "scsi_debug"])
            .status()
            .unwrap()
            .success()
    });
}

/// Goal: the device mapper can lose and refuse writes.
#[test]
fn device_mapper_has_flakey_and_error() {
    if !is_inside("dm-flakey") {
        return;
    }
    run("modprobe", &["dm-flakey"]);
    let targets = run("dmsetup", &["targets"]);
    for target in ["flakey", "error", "linear"] {
        assert!(
            targets.lines().any(|line| line.starts_with(target)),
            "{targets}"
        );
    }
}

/// Goal: a network that a test may make slow and lossy.
#[test]
fn netem_slows_an_interface() {
    if !is_inside("netem") {
        return;
    }
    run("ip", &["link", "add", "vmslow", "type", "dummy"]);
    run(
        "tc",
        &[
            "qdisc", "add", "dev", "vmslow", "root", "netem", "delay", "7ms", "loss", "1%",
        ],
    );
    let shown = run("tc", &["qdisc", "show", "dev", "vmslow"]);
    run("ip", &["link", "delete", "vmslow"]);
    assert!(
        shown.contains("netem") && shown.contains("delay 7ms"),
        "{shown}"
    );
}

/// Goal: a kill under a unit's own `MemoryMax` is told with that unit's cgroup.
/// Method: the unit waits until its cgroup's id is known, then touches 64 MiB below 16. Witnesses
/// are the cgroup's inode and systemd's word about how the unit ended.
#[test]
fn kill_of_a_unit_names_its_cgroup() {
    if !is_inside("a unit's memory limit") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let go = place.path().join("go");
    let child = child_in(&[], &[]);
    let line = format!(
        "until test -e {}; do sleep 0.1; done; exec {} eat 64",
        go.display(),
        child.get_program().display()
    );
    let capture = Capture::start(&Options::default());
    let limit = ["MemoryMax=16M", "MemorySwapMax=0"];
    let unit = Unit::start("vm-hungry", &limit, &line);
    let cgroup_id = unit.cgroup_id();
    let pid: u32 = unit.show("MainPID").parse().unwrap();
    fs::write(&go, "").unwrap();

    eventually("the unit has failed", || {
        unit.show("ActiveState") == "failed"
    });
    assert_eq!(unit.show("Result"), "oom-kill");
    let account = capture.stop();
    account.assert_adds_up();
    let kills: Vec<_> = account
        .events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::OomKill(kill) if kill.pid == pid => Some(kill),
            _ => None,
        })
        .collect();
    assert_eq!(kills.len(), 1, "{kills:?}");
    assert_eq!(kills[0].comm, "kernel-child");
    assert_eq!(kills[0].cgroup_id, cgroup_id);
}
