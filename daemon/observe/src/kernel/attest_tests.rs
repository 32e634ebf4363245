//! Tests of the comparison: a true record passes, and each field that lies is found out.

use super::*;

fn truth() -> (Attestation, Own) {
    let record = Attestation {
        helper_pid_tgid: 100 << 32 | 107,
        helper_cgroup_id: 55,
        helper_boot_ns: 9_000_000_000,
        started_boot_ns: 8_999_000_000,
        leader_started_boot_ns: 8_000_000_000,
        cgroup_id: 55,
        cgroup_serial: 2001,
        comm: *b"hm-0123456789ab\0",
        leader_comm: *b"medicd\0\0\0\0\0\0\0\0\0\0",
        filled: FILLED_TASK | FILLED_CGROUP | FILLED_EXIT | FILLED_SCORE,
        tgid: 100,
        pid: 107,
        leader_pid: 100,
        live: 4,
        threads: 5,
        signal_flags: 0,
        group_exit_code: 0,
        exit_code: 0,
        oom_score_adj: -900,
    };
    let own = Own {
        thread_name: record.comm,
        name: Some(record.leader_comm),
        pid: Some(100),
        elapsed_ns: 2_000_000,
        start_ticks: Some((800, 899, 100)),
        cgroup_inode: Some(55),
        score: -900,
        threads: 4,
    };
    (record, own)
}

/// Which groups fail after `change`.
fn check(change: impl FnOnce(&mut Attestation, &mut Own), failing: &[Group]) {
    let (mut record, mut own) = truth();
    change(&mut record, &mut own);
    let found: Vec<_> = PROVED
        .into_iter()
        .filter(|group| judge(*group, &record, &own).is_err())
        .collect();
    assert_eq!(found, failing, "{record:?}");
}

#[test]
fn the_truth_passes() {
    check(|_, _| {}, &[]);
}

/// Older kernels write a new name over the old one up to its end.
#[test]
fn what_follows_a_names_end_does_not_matter() {
    let old = |record: &mut Attestation, _: &mut Own| {
        record.leader_comm = *b"medicd\0systemd\0\0";
    };
    check(old, &[]);
    let other = |record: &mut Attestation, _: &mut Own| {
        record.leader_comm = *b"medic\0\0systemd\0\0";
    };
    check(other, &[Group::Task]);
}

#[test]
fn the_truth_passes_where_proc_cannot_confirm_it() {
    let blind = |_: &mut Attestation, own: &mut Own| {
        (own.pid, own.name, own.start_ticks, own.cgroup_inode) = (None, None, None, None);
    };
    check(blind, &[]);
}

#[test]
fn each_lie_about_the_task_is_found() {
    check(|r, _| r.tgid = 107, &[Group::Task]);
    check(|r, _| r.pid = 100, &[Group::Task]);
    check(|r, _| r.leader_pid = 107, &[Group::Task]);
    check(|r, _| r.comm[0] = b'x', &[Group::Task]);
    check(|r, _| r.leader_comm[0] = b'x', &[Group::Task]);
    check(|r, _| r.started_boot_ns = 9_000_000_001, &[Group::Task]);
    check(|r, _| r.started_boot_ns = 8_990_000_000, &[Group::Task]);
    check(
        |r, _| r.leader_started_boot_ns = 7_900_000_000,
        &[Group::Task],
    );
    check(|_, own| own.pid = Some(3), &[Group::Task]);
}

#[test]
fn each_lie_about_the_cgroup_is_found() {
    check(|r, _| r.cgroup_id = 0, &[Group::Cgroup]);
    check(|r, _| r.cgroup_id = 54, &[Group::Cgroup]);
    check(|r, _| r.cgroup_serial = 0, &[Group::Cgroup]);
    check(|r, _| r.cgroup_serial = u64::MAX << 32, &[Group::Cgroup]);
    check(|_, own| own.cgroup_inode = Some(1), &[Group::Cgroup]);
}

#[test]
fn each_lie_about_the_end_is_found() {
    check(|r, _| r.live = 0, &[Group::Exit]);
    check(|r, _| r.live = 6, &[Group::Exit]);
    check(|r, _| r.threads = 4000, &[Group::Exit]);
    check(|r, _| r.signal_flags = 4, &[Group::Exit]);
    check(|r, _| r.signal_flags = 0x8000_0000, &[Group::Exit]);
    check(|r, _| r.group_exit_code = 9, &[Group::Exit]);
    check(|r, _| r.exit_code = 9, &[Group::Exit]);
    check(|r, _| r.oom_score_adj = 0, &[Group::Score]);
}

#[test]
fn what_was_not_seen_is_not_trusted() {
    check(
        |r, _| r.filled = FILLED_TASK | FILLED_SCORE,
        &[Group::Cgroup, Group::Exit],
    );
    check(|r, _| *r = Attestation::default(), &PROVED);
}

#[test]
fn nonce_is_as_long_as_the_kernel_keeps() {
    let nonce = Nonce::new();
    assert_eq!(nonce.name.len(), COMM_LEN - 1);
    let [low, high] = nonce.words().map(u64::to_ne_bytes);
    assert_eq!([low, high].concat(), nonce.bytes);
    assert_ne!(nonce.name, Nonce::new().name);
}
