//! `sched:sched_process_fork`: a process was made. New threads are filtered. Only counted, by the
//! parent's cgroup.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Hook};

use crate::{
    emit::Run,
    kernel::Task,
    tally::{Doer, count_deed, end_untold},
};

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`.
#[btf_tracepoint(function = "sched_process_fork")]
fn process_fork(ctx: BtfTracePointContext) {
    let Some(mut run) = Run::begin(Hook::ProcessFork) else {
        return;
    };
    let (Some(parent), Some(child)) = (Task::argument(&ctx, 0), Task::argument(&ctx, 1)) else {
        return run.end(Counter::Filtered);
    };
    if child.tgid() != child.tid() {
        return run.end(Counter::Filtered);
    }
    count_deed(&mut run, Doer::of(parent));
    end_untold(run);
}
