//! `sched:sched_process_fork`: a process was made. New threads are filtered. Only counted, by the
//! parent's cgroup.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Hook, Key};

use crate::{
    emit::Run,
    kernel::Task,
    tally::{Book, count},
};

/// `sched_process_fork(struct task_struct *parent, struct task_struct *child)`.
#[btf_tracepoint(function = "sched_process_fork")]
fn process_fork(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::ProcessFork) else {
        return;
    };
    let (Some(parent), Some(child)) = (Task::argument(&ctx, 0), Task::argument(&ctx, 1)) else {
        return run.end(Counter::Filtered);
    };
    if child.tgid() != child.tid() {
        return run.end(Counter::Filtered);
    }
    let key = Key::of(Hook::ProcessFork, parent.cgroup_id());
    run.end(match count(Book::Processes, key, 0) {
        true => Counter::Aggregated,
        false => Counter::MapFull,
    });
}
