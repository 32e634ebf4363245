//! `sched:sched_process_hang`: a task has been in uninterruptible sleep for too long. It fires
//! before the kernel's limit on warnings, so it tells also when the log no longer does.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, HungTask, KIND_HUNG_TASK};

use crate::{
    emit::Run,
    kernel::{Task, now_boot_ns},
};

/// `sched_process_hang(struct task_struct *tsk)`.
#[btf_tracepoint(function = "sched_process_hang")]
fn hung_task(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::HungTask) else {
        return;
    };
    match Task::argument(&ctx, 0).and_then(Task::identity) {
        Some(task) => run.deliver_rare(HungTask {
            header: Header::of::<HungTask>(KIND_HUNG_TASK),
            at_boot_ns: now_boot_ns(),
            task,
        }),
        None => run.end(Counter::Filtered),
    }
}
