//! `sched:sched_process_exec`: a process now runs another program.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Header, Hook, KIND_PROCESS_EXEC, ProcessExec};

use crate::{
    emit::{Recent, Run, remember},
    kernel::{Task, keep_recent, now_boot_ns},
};

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`. The
/// task is its group's only thread by now, so its start is the process's.
#[btf_tracepoint(function = "sched_process_exec")]
fn process_exec(ctx: BtfTracePointContext) {
    let Some(run) = Run::seen(Hook::ProcessExec) else {
        return;
    };
    let Some(task) = Task::argument(&ctx) else {
        return run.filter();
    };
    let event = ProcessExec {
        header: Header::of::<ProcessExec>(KIND_PROCESS_EXEC),
        at_boot_ns: now_boot_ns(),
        started_boot_ns: task.started_boot_ns(),
        cgroup_id: task.cgroup_id(),
        pid: task.tgid(),
        old_pid: ctx.arg(1),
        comm: task.comm().bytes(),
    };
    if keep_recent() {
        let ProcessExec {
            started_boot_ns,
            cgroup_id,
            comm,
            ..
        } = event;
        remember(
            event.pid,
            Recent {
                started_boot_ns,
                cgroup_id,
                comm,
            },
        );
    }
    run.deliver_hot(event);
}
