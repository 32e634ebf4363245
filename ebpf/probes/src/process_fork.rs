//! `sched:sched_process_fork`: a process was made. New threads are filtered. Only counted, by the
//! parent's cgroup.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Hook};

use crate::{
    emit::Run,
    kernel::Task,
    tally::{Doer, count_deed, count_usual},
};

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`.
#[btf_tracepoint(function = "sched_process_fork")]
fn process_fork(ctx: BtfTracePointContext) {
    let (Some(parent), Some(child)) = (Task::argument(&ctx, 0), Task::argument(&ctx, 1)) else {
        return Run::pass(Hook::ProcessFork);
    };
    if child.tgid() != child.tid() {
        return Run::pass(Hook::ProcessFork);
    }
    let doer = Doer::of(parent);
    let Some(run) = Run::of(Hook::ProcessFork) else {
        return;
    };
    if !count_usual(run, doer, 0) {
        fork(doer);
    }
}

/// A process was made, and it cannot only be counted as the ones before.
#[inline(never)]
fn fork(doer: Doer) {
    let Some(mut run) = Run::begin(Hook::ProcessFork) else {
        return;
    };
    count_deed(&mut run, doer);
    run.end(Counter::Aggregated);
}
