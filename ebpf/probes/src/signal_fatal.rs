//! `signal:signal_generate`: a deadly signal was sent. All others are filtered.
//!
//! The running task is the sender if a process sent it; if the kernel did (a fault, the
//! out-of-memory killer), it means nothing.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, KIND_SIGNAL_FATAL, Key, SignalFatal};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Task, current, is_sent_by_kernel, now_boot_ns},
    memory::remember_kill,
    tally::{count_signal, is_within_share},
};

/// Numbers of asm-generic/signal.h, which are the same on all architectures we run on.
const SIGABRT: u32 = 6;
const SIGBUS: u32 = 7;
const SIGKILL: u32 = 9;
const SIGSEGV: u32 = 11;
/// `TRACE_SIGNAL_DELIVERED` of include/trace/events/signal.h.
const DELIVERED: i32 = 0;

/// `signal_generate(int sig, struct kernel_siginfo *info, struct task_struct *task, int group,
/// int result)`.
#[btf_tracepoint(function = "signal_generate")]
fn signal_fatal(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::SignalFatal) else {
        return;
    };
    let signal = ctx.number(0) as u32;
    let is_deadly = matches!(signal, SIGABRT | SIGBUS | SIGKILL | SIGSEGV);
    if !is_deadly || ctx.number(4) as i32 != DELIVERED {
        return run.end(Counter::Filtered);
    }
    let Some(target) = Task::argument(&ctx, 2).and_then(Task::identity) else {
        return run.end(Counter::Filtered);
    };
    let at_boot_ns = now_boot_ns();
    let by_kernel = is_sent_by_kernel(&ctx);
    if by_kernel && signal == SIGKILL {
        remember_kill(target.pid, at_boot_ns);
    }
    let key = Key {
        cgroup_id: target.cgroup_id,
        hook: Hook::SignalFatal as u32,
        a: signal,
        b: 0,
        c: 0,
        d: 0,
    };
    let is_counted = count_signal(key);
    if !is_within_share(Hook::SignalFatal, target.cgroup_id) {
        return run.end(if is_counted {
            Counter::Aggregated
        } else {
            Counter::RateLimited
        });
    }
    run.deliver_rare(SignalFatal {
        header: Header::of::<SignalFatal>(KIND_SIGNAL_FATAL),
        at_boot_ns,
        target,
        sender: current(),
        signal,
        by_kernel: u32::from(by_kernel),
    });
}
