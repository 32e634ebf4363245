//! `sched:sched_process_exec`: a process now runs another program.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, KIND_PROCESS_EXEC, ProcessExec};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Task, keep_recent, now_boot_ns},
    memory::{Recent, remember},
    tally::{Doer, count_deed, count_usual, may_ask, may_tell, tell_deed},
};

/// `sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`. The
/// task is its group's only thread by now, so its start is the process's.
#[btf_tracepoint(function = "sched_process_exec")]
fn process_exec(ctx: BtfTracePointContext) {
    let Some(task) = Task::argument(&ctx, 0) else {
        return Run::pass(Hook::ProcessExec);
    };
    let doer = Doer::of(task);
    let Some(mut run) = Run::of(Hook::ProcessExec) else {
        return;
    };
    let unusual = may_ask(&mut run, doer);
    // Where processes have to be remembered, each is.
    if keep_recent() || !count_usual(run, doer, unusual) {
        exec(doer, ctx.number(1) as u32);
    }
}

/// A process runs another program, and it cannot only be counted as the ones before.
#[inline(never)]
fn exec(doer: Doer, old_pid: u32) {
    let Some(mut run) = Run::begin(Hook::ProcessExec) else {
        return;
    };
    let cgroup_id = count_deed(&mut run, doer);
    if keep_recent() {
        keep(doer.task(), cgroup_id);
    }
    if may_tell(&mut run, doer) {
        tell(run, doer.task(), old_pid);
    } else {
        run.end(Counter::Aggregated);
    }
}

/// Remembers the process for kernels whose `mark_victim` names only a thread.
#[inline(always)]
fn keep(task: Task, cgroup_id: u64) {
    let recent = Recent {
        started_boot_ns: task.started_boot_ns(),
        cgroup_id,
        comm: task.comm().bytes(),
    };
    remember(task.tgid(), recent);
}

/// Tells that a process runs another program.
#[inline(always)]
fn tell(mut run: Run, task: Task, old_pid: u32) {
    let cgroup_id = run.seat().cgroup_id;
    let event = ProcessExec {
        header: Header::of::<ProcessExec>(KIND_PROCESS_EXEC),
        at_boot_ns: now_boot_ns(),
        started_boot_ns: task.started_boot_ns(),
        cgroup_id,
        pid: task.tgid(),
        old_pid,
        comm: task.comm().bytes(),
    };
    tell_deed(run, event);
}
