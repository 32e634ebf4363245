//! `sched:sched_process_exit`: a thread ends; with its last thread the process does.
//!
//! The leader's end is not the process's: others may run on. Threads that are not the last one
//! are counted as filtered.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, KIND_PROCESS_EXIT, ProcessExit};

use crate::{
    emit::Run,
    kernel::{Task, group_dead, now_boot_ns, says_group_dead},
    memory::{first_end, has_ended},
    tally::{Doer, count_deed, count_usual, may_ask, may_tell, tell_deed},
};

/// `sched_process_exit(struct task_struct *p, bool group_dead)`, or without the second argument
/// (before 6.16).
#[btf_tracepoint(function = "sched_process_exit")]
fn process_exit(ctx: BtfTracePointContext) {
    let Some(task) = Task::argument(&ctx, 0) else {
        return Run::pass(Hook::ProcessExit);
    };
    let is_last = if says_group_dead() {
        group_dead(&ctx)
    } else {
        is_last_by_count(task).unwrap_or(false)
    };
    if !is_last {
        return Run::pass(Hook::ProcessExit);
    }
    let doer = Doer::of(task);
    let Some(mut run) = Run::of(Hook::ProcessExit) else {
        return;
    };
    let unusual = may_ask(&mut run, doer);
    if !count_usual(run, doer, unusual) {
        end(doer);
    }
}

/// A process ends, and it cannot only be counted as the ones before.
#[inline(never)]
fn end(doer: Doer) {
    let Some(mut run) = Run::begin(Hook::ProcessExit) else {
        return;
    };
    count_deed(&mut run, doer);
    if may_tell(&mut run, doer) {
        tell(run, doer.task());
    } else {
        run.end(Counter::Aggregated);
    }
}

/// Tells the end of a process.
#[inline(always)]
fn tell(mut run: Run, task: Task) {
    let (Some(leader), Some(signal)) = (task.leader(), task.signal()) else {
        return run.end(Counter::Aggregated);
    };
    let cgroup_id = run.seat().cgroup_id;
    let event = ProcessExit {
        header: Header::of::<ProcessExit>(KIND_PROCESS_EXIT),
        at_boot_ns: now_boot_ns(),
        started_boot_ns: leader.started_boot_ns(),
        cgroup_id,
        pid: task.tgid(),
        wait_status: signal.wait_status(leader),
        comm: leader.comm().bytes(),
        peak_rss_pages: signal.peak_rss_pages(),
    };
    tell_deed(run, event);
}

/// Nobody lives on. Threads that end together may all find that, after the last has counted
/// itself out and before the others came here; the first to say so speaks for the group. One
/// that finds itself alone may have been preceded by another that has been released since, so it
/// asks, too; but it leaves no trace, as nobody comes after it.
#[inline(always)]
fn is_last_by_count(task: Task) -> Option<bool> {
    let signal = task.signal()?;
    if signal.live() != 0 {
        return Some(false);
    }
    let (pid, started_boot_ns) = (task.tgid(), task.leader()?.started_boot_ns());
    Some(if signal.threads() <= 1 {
        !has_ended(pid, started_boot_ns)
    } else {
        first_end(pid, started_boot_ns)
    })
}
