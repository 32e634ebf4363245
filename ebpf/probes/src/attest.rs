//! `sched:sched_process_exit` of one thread of the daemon: what the offsets yield, side by side
//! with what the kernel's helpers say. Attached for a moment at start, then unloaded.
//!
//! One program for each group of offsets, because the verifier may refuse a wrong one outright,
//! and that must not take the others down.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Attestation, FILLED_CGROUP, FILLED_EXIT, FILLED_SCORE, FILLED_TASK};

use crate::{
    emit::attest,
    kernel::{Cgroup, Task, current_cgroup_id, current_pid_tgid, is_attesting, now_boot_ns},
};

/// Who the thread is.
#[btf_tracepoint(function = "sched_process_exit")]
fn attest_task(ctx: BtfTracePointContext) {
    if let Some(task) = attesting(&ctx)
        && let Some(leader) = task.leader()
    {
        fill(FILLED_TASK, |record| {
            record.tgid = task.tgid();
            record.pid = task.tid();
            record.leader_pid = leader.tid();
            record.started_boot_ns = task.started_boot_ns();
            record.leader_started_boot_ns = leader.started_boot_ns();
            record.comm = task.comm().bytes();
            record.leader_comm = leader.comm().bytes();
        });
    }
}

/// Where it belongs.
#[btf_tracepoint(function = "sched_process_exit")]
fn attest_cgroup(ctx: BtfTracePointContext) {
    if let Some(task) = attesting(&ctx) {
        fill(FILLED_CGROUP, |record| {
            record.cgroup_id = task.cgroup_id();
            record.cgroup_serial = task.cgroup().map_or(0, Cgroup::serial);
        });
    }
}

/// How its process would end.
#[btf_tracepoint(function = "sched_process_exit")]
fn attest_exit(ctx: BtfTracePointContext) {
    if let Some(task) = attesting(&ctx)
        && let Some(signal) = task.signal()
    {
        fill(FILLED_EXIT, |record| {
            record.live = signal.live();
            record.threads = signal.threads();
            record.signal_flags = signal.flags();
            record.group_exit_code = signal.group_exit_code();
            record.exit_code = task.exit_code();
        });
    }
}

/// How the kernel would rank it when memory runs out.
#[btf_tracepoint(function = "sched_process_exit")]
fn attest_score(ctx: BtfTracePointContext) {
    if let Some(task) = attesting(&ctx)
        && let Some(signal) = task.signal()
    {
        fill(FILLED_SCORE, |record| {
            record.oom_score_adj = signal.oom_score_adj()
        });
    }
}

/// The task, if it is the daemon's attesting thread.
#[inline(always)]
fn attesting(ctx: &BtfTracePointContext) -> Option<Task> {
    if is_attesting() {
        Task::argument(ctx, 0)
    } else {
        None
    }
}

#[inline(always)]
fn fill(bit: u32, with: impl FnOnce(&mut Attestation)) {
    attest(|record| {
        record.helper_pid_tgid = current_pid_tgid();
        record.helper_cgroup_id = current_cgroup_id();
        record.helper_boot_ns = now_boot_ns();
        with(record);
        record.filled |= bit;
    });
}
