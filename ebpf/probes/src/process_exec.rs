//! `sched:sched_process_exec`: a process now runs another program.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Header, Hook, KIND_PROCESS_EXEC, ProcessExec};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Task, keep_recent, now_boot_ns},
    memory::{Recent, remember},
    tally::{Doer, count_deed, end_untold, may_tell},
};

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`. The
/// task is its group's only thread by now, so its start is the process's.
#[btf_tracepoint(function = "sched_process_exec")]
fn process_exec(ctx: BtfTracePointContext) {
    let Some(task) = Task::argument(&ctx, 0) else {
        return Run::pass(Hook::ProcessExec);
    };
    let doer = Doer::of(task);
    let Some(mut run) = Run::begin(Hook::ProcessExec) else {
        return;
    };
    let cgroup_id = count_deed(&mut run, doer);
    if keep_recent() {
        keep(task, cgroup_id);
    }
    if !may_tell(&mut run, doer) {
        return end_untold(run);
    }
    tell(run, task, ctx.number(1) as u32);
}

/// Remembers the process for kernels whose `mark_victim` names only a thread. Not inline, as `tell`.
#[inline(never)]
fn keep(task: Task, cgroup_id: u64) {
    let recent = Recent {
        started_boot_ns: task.started_boot_ns(),
        cgroup_id,
        comm: task.comm().bytes(),
    };
    remember(task.tgid(), recent);
}

/// Tells that a process runs another program. Not inline, as most runs only count.
#[inline(never)]
fn tell(mut run: Run, task: Task, old_pid: u32) {
    let cgroup_id = run.seat().cgroup_id;
    let unsent = run.deliver_hot(ProcessExec {
        header: Header::of::<ProcessExec>(KIND_PROCESS_EXEC),
        at_boot_ns: now_boot_ns(),
        started_boot_ns: task.started_boot_ns(),
        cgroup_id,
        pid: task.tgid(),
        old_pid,
        comm: task.comm().bytes(),
    });
    if let Some(run) = unsent {
        end_untold(run);
    }
}
