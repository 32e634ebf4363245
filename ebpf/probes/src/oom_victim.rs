//! `oom:mark_victim`: the kernel has chosen a process to kill for lack of memory.
//!
//! Everything is read from the victim that the kernel names. `current` is only the task that
//! wanted memory: another process, often of another service, or a kernel thread.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{
    COMM_LEN, Header, Hook, KIND_OOM_VICTIM, KNOWN_IDENTITY, KNOWN_SCORE, OomVictim,
};

use crate::{
    emit::{Run, recall},
    kernel::{Task, has_score, has_victim_task, now_boot_ns},
};

/// `mark_victim(struct task_struct *task, uid_t uid)`, or `mark_victim(int pid)` before kernel
/// commit 72ba14deb40a, which some stable kernels have and others have not.
#[btf_tracepoint(function = "mark_victim")]
fn oom_victim(ctx: BtfTracePointContext) {
    let Some(run) = Run::seen(Hook::OomVictim) else {
        return;
    };
    let event = if has_victim_task() {
        from_task(&ctx)
    } else {
        Some(from_tid(ctx.arg(0)))
    };
    match event {
        Some(event) => run.deliver_rare(event),
        None => run.filter(),
    }
}

#[inline(always)]
fn from_task(ctx: &BtfTracePointContext) -> Option<OomVictim> {
    let victim = Task::argument(ctx)?;
    let leader = victim.leader()?;
    let (mut known, mut oom_score_adj) = (KNOWN_IDENTITY, 0);
    if has_score()
        && let Some(signal) = victim.signal()
    {
        known |= KNOWN_SCORE;
        oom_score_adj = signal.oom_score_adj();
    }
    Some(OomVictim {
        header: Header::of::<OomVictim>(KIND_OOM_VICTIM),
        at_boot_ns: now_boot_ns(),
        started_boot_ns: leader.started_boot_ns(),
        cgroup_id: victim.cgroup_id(),
        pid: victim.tgid(),
        tid: victim.tid(),
        known,
        oom_score_adj,
        comm: leader.comm().bytes(),
    })
}

/// The id alone, and what exec remembered about it.
#[inline(always)]
fn from_tid(tid: u32) -> OomVictim {
    let mut event = OomVictim {
        header: Header::of::<OomVictim>(KIND_OOM_VICTIM),
        at_boot_ns: now_boot_ns(),
        started_boot_ns: 0,
        cgroup_id: 0,
        pid: tid,
        tid,
        known: 0,
        oom_score_adj: 0,
        comm: [0; COMM_LEN],
    };
    if let Some(recent) = recall(tid) {
        event.known = KNOWN_IDENTITY;
        event.started_boot_ns = recent.started_boot_ns;
        event.cgroup_id = recent.cgroup_id;
        event.comm = recent.comm;
    }
    event
}
