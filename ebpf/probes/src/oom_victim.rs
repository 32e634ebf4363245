//! `oom:mark_victim`: the kernel has chosen a process to kill for lack of memory.
//!
//! Everything is read from the victim that the kernel names. `current` is only the task that
//! wanted memory: another process, often of another service, or a kernel thread; it is told as
//! the killer. Whether a signal was sent is asked of `signal_fatal`: the kernel sends it just
//! before, and not at all if the victim is ending already.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{
    COMM_LEN, Counter, Header, Hook, KIND_OOM_VICTIM, KNOWN_IDENTITY, KNOWN_RSS, KNOWN_SCOPE,
    KNOWN_SCORE, KNOWN_SIGKILL, OomVictim, SCOPE_UNIFIED, SENT_SIGKILL, TaskId,
};

use crate::{
    emit::Run,
    kernel::{
        Arguments as _, Task, current, current_pid_tgid, has_score, has_signals, has_victim_task,
        now_boot_ns,
    },
    memory::{kill_of, recall, scope_of},
};

/// Signal and choice are one call of `__oom_kill_process`; much earlier is another story.
const ONE_CALL_NS: u64 = 1_000_000_000;

/// `mark_victim(struct task_struct *task, uid_t uid)`, or `mark_victim(int pid)` before kernel
/// commit 72ba14deb40a, which some stable kernels have and others have not.
#[btf_tracepoint(function = "mark_victim")]
fn oom_victim(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::OomVictim) else {
        return;
    };
    let event = if has_victim_task() {
        from_task(&ctx)
    } else {
        Some(from_tid(ctx.number(0) as u32))
    };
    let Some(mut event) = event else {
        return run.end(Counter::Filtered);
    };
    let killed_at = kill_of(event.pid);
    if has_signals() {
        event.known |= KNOWN_SIGKILL;
    }
    if killed_at != 0 && event.at_boot_ns.saturating_sub(killed_at) < ONE_CALL_NS {
        event.known |= SENT_SIGKILL;
    }
    if let Some(scope) = scope_of(current_pid_tgid())
        && event.at_boot_ns.saturating_sub(scope.at_boot_ns) < ONE_CALL_NS
    {
        event.known |= KNOWN_SCOPE;
        if scope.is_unified != 0 {
            event.known |= SCOPE_UNIFIED;
        }
        event.scope_cgroup_id = scope.cgroup_id;
        event.member = scope.victims;
    }
    run.deliver_rare(event);
}

#[inline(always)]
fn from_task(ctx: &BtfTracePointContext) -> Option<OomVictim> {
    let victim = Task::argument(ctx, 0)?;
    let TaskId {
        started_boot_ns,
        cgroup_id,
        pid,
        tid,
        comm,
    } = victim.identity()?;
    let mut event = OomVictim {
        started_boot_ns,
        cgroup_id,
        comm,
        known: KNOWN_IDENTITY,
        ..blank(pid, tid)
    };
    if has_score()
        && let Some(signal) = victim.signal()
    {
        event.known |= KNOWN_SCORE;
        event.oom_score_adj = signal.oom_score_adj();
    }
    if let Some(pages) = victim.rss_pages() {
        event.known |= KNOWN_RSS;
        event.rss_pages = pages;
    }
    Some(event)
}

/// The id alone, and what exec remembered about it.
#[inline(always)]
fn from_tid(tid: u32) -> OomVictim {
    let mut event = blank(tid, tid);
    if let Some(recent) = recall(tid) {
        event.known = KNOWN_IDENTITY;
        event.started_boot_ns = recent.started_boot_ns;
        event.cgroup_id = recent.cgroup_id;
        event.comm = recent.comm;
    }
    event
}

#[inline(always)]
fn blank(pid: u32, tid: u32) -> OomVictim {
    OomVictim {
        header: Header::of::<OomVictim>(KIND_OOM_VICTIM),
        at_boot_ns: now_boot_ns(),
        started_boot_ns: 0,
        cgroup_id: 0,
        pid,
        tid,
        known: 0,
        oom_score_adj: 0,
        comm: [0; COMM_LEN],
        rss_pages: 0,
        killer: current(),
        scope_cgroup_id: 0,
        member: 0,
    }
}
