//! The only door to kernel memory: typed fields at offsets the daemon resolved from BTF.
//!
//! rustc emits no CO-RE relocations, so the offsets are globals that the loader overrides and
//! freezes. The verifier reads frozen values as constants (kernel commit a23740ec43ba, v5.5):
//! `task + OFF_TASK_TGID` stays a typed pointer, is read without a helper, and a bad address
//! yields zero instead of a fault. Fields are named as in include/linux/sched.h,
//! sched/signal.h, cgroup-defs.h and kernfs.h.

use core::ptr::read_volatile;

use aya_ebpf::{
    Global,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns},
    },
    programs::BtfTracePointContext,
};
use hostmedic_abi::COMM_LEN;

/// Declares globals that the daemon sets before the program is loaded.
macro_rules! frozen {
    ($($(#[$doc:meta])* $name:ident: $kind:ty;)+) => {
        $(
            $(#[$doc])*
            #[unsafe(no_mangle)]
            static $name: Global<$kind> = Global::new(0);
        )+
    };
}

frozen! {
    OFF_TASK_TGID: u32;
    OFF_TASK_PID: u32;
    OFF_TASK_LEADER: u32;
    OFF_TASK_START: u32;
    OFF_TASK_COMM: u32;
    OFF_TASK_CGROUPS: u32;
    OFF_TASK_SIGNAL: u32;
    OFF_TASK_EXIT_CODE: u32;
    OFF_CSS_SET_DFL: u32;
    OFF_CGROUP_KN: u32;
    OFF_KN_ID: u32;
    OFF_SIGNAL_LIVE: u32;
    OFF_SIGNAL_THREADS: u32;
    OFF_SIGNAL_FLAGS: u32;
    OFF_SIGNAL_EXIT_CODE: u32;
    OFF_SIGNAL_SCORE: u32;
    /// `mark_victim` passes the task; else only a thread id.
    HAS_VICTIM_TASK: u8;
    /// `oom_score_adj` may be read.
    HAS_SCORE: u8;
    /// `sched_process_exit` says whether the whole group is dead.
    HAS_GROUP_DEAD: u8;
    /// Exec has to remember processes, because `mark_victim` names only a thread id.
    KEEP_RECENT: u8;
    /// Name of the thread that attests, first and second half.
    NONCE_LOW: u64;
    NONCE_HIGH: u64;
}

/// `SIGNAL_GROUP_EXIT`: the group's exit code counts (include/linux/sched/signal.h).
const SIGNAL_GROUP_EXIT: u32 = 4;

/// A name as two words, so that it is copied in two loads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Comm([u64; 2]);

impl Comm {
    /// The bytes of the name.
    #[inline(always)]
    pub fn bytes(self) -> [u8; COMM_LEN] {
        let [low, high] = self.0.map(u64::to_ne_bytes);
        let mut bytes = [0; COMM_LEN];
        bytes[..8].copy_from_slice(&low);
        bytes[8..].copy_from_slice(&high);
        bytes
    }
}

/// A `struct task_struct` that the kernel handed to the tracepoint, or one reached from it.
#[derive(Clone, Copy)]
pub struct Task(*const u8);

/// The `struct signal_struct` that the threads of a process share.
#[derive(Clone, Copy)]
pub struct Signal(*const u8);

impl Task {
    /// The task that is argument 0 of the tracepoint.
    #[inline(always)]
    pub fn argument(ctx: &BtfTracePointContext) -> Option<Self> {
        let task: *const u8 = ctx.arg(0);
        (!task.is_null()).then_some(Self(task))
    }

    /// The thread whose id is the process's id; it also carries the process's start.
    #[inline(always)]
    pub fn leader(self) -> Option<Self> {
        hop(self.0, &OFF_TASK_LEADER).map(Self)
    }

    /// Process (thread group) id in the initial namespace.
    #[inline(always)]
    pub fn tgid(self) -> u32 {
        load(self.0, &OFF_TASK_TGID)
    }

    /// Thread id in the initial namespace.
    #[inline(always)]
    pub fn tid(self) -> u32 {
        load(self.0, &OFF_TASK_PID)
    }

    /// When this thread started, on the boot clock.
    #[inline(always)]
    pub fn started_boot_ns(self) -> u64 {
        load(self.0, &OFF_TASK_START)
    }

    /// Name; the daemon has checked that it is aligned for words.
    #[inline(always)]
    pub fn comm(self) -> Comm {
        Comm(load(self.0, &OFF_TASK_COMM))
    }

    /// Code this thread ended with.
    #[inline(always)]
    pub fn exit_code(self) -> u32 {
        load(self.0, &OFF_TASK_EXIT_CODE)
    }

    /// What it shares with its process.
    #[inline(always)]
    pub fn signal(self) -> Option<Signal> {
        hop(self.0, &OFF_TASK_SIGNAL).map(Signal)
    }

    /// Id of its cgroup in the unified tree; 0 if the walk breaks off.
    #[inline(always)]
    pub fn cgroup_id(self) -> u64 {
        hop(self.0, &OFF_TASK_CGROUPS)
            .and_then(|set| hop(set, &OFF_CSS_SET_DFL))
            .and_then(|cgroup| hop(cgroup, &OFF_CGROUP_KN))
            .map_or(0, |node| load(node, &OFF_KN_ID))
    }
}

impl Signal {
    /// Threads that have not begun to exit.
    #[inline(always)]
    pub fn live(self) -> u32 {
        load(self.0, &OFF_SIGNAL_LIVE)
    }

    /// Threads that are not yet released, so also those that are exiting.
    #[inline(always)]
    pub fn threads(self) -> u32 {
        load(self.0, &OFF_SIGNAL_THREADS)
    }

    /// `SIGNAL_` bits.
    #[inline(always)]
    pub fn flags(self) -> u32 {
        load(self.0, &OFF_SIGNAL_FLAGS)
    }

    /// Code of `exit_group` or of the deadly signal.
    #[inline(always)]
    pub fn group_exit_code(self) -> u32 {
        load(self.0, &OFF_SIGNAL_EXIT_CODE)
    }

    /// `oom_score_adj`.
    #[inline(always)]
    pub fn oom_score_adj(self) -> i32 {
        i32::from(load::<i16>(self.0, &OFF_SIGNAL_SCORE))
    }

    /// What wait(2) will tell the parent, by the rule of `wait_task_zombie` in kernel/exit.c.
    #[inline(always)]
    pub fn wait_status(self, leader: Task) -> u32 {
        if self.flags() & SIGNAL_GROUP_EXIT != 0 {
            self.group_exit_code()
        } else {
            leader.exit_code()
        }
    }
}

/// Whether `mark_victim` passes the task here.
#[inline(always)]
pub fn has_victim_task() -> bool {
    HAS_VICTIM_TASK.load() != 0
}

/// Whether `oom_score_adj` may be read here.
#[inline(always)]
pub fn has_score() -> bool {
    HAS_SCORE.load() != 0
}

/// Whether exec has to remember processes here.
#[inline(always)]
pub fn keep_recent() -> bool {
    KEEP_RECENT.load() != 0
}

/// What `sched_process_exit` says about the group being dead; `None` where it does not.
#[inline(always)]
pub fn group_dead(ctx: &BtfTracePointContext) -> Option<bool> {
    (HAS_GROUP_DEAD.load() != 0).then(|| ctx.arg::<u8>(1) != 0)
}

/// Whether the running thread bears the name of the one that attests.
#[inline(always)]
pub fn is_attesting() -> bool {
    let Ok(name) = bpf_get_current_comm() else {
        return false;
    };
    let (low, high) = name.split_at(8);
    let word = |half: &[u8]| half.try_into().map_or(0, u64::from_ne_bytes);
    word(low) == NONCE_LOW.load() && word(high) == NONCE_HIGH.load()
}

/// `CLOCK_BOOTTIME`.
#[inline(always)]
pub fn now_boot_ns() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Thread group and thread of the running task, as the kernel's helper tells them.
#[inline(always)]
pub fn current_pid_tgid() -> u64 {
    bpf_get_current_pid_tgid()
}

/// cgroup of the running task, as the kernel's helper tells it.
#[inline(always)]
pub fn current_cgroup_id() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_cgroup_id() }
}

/// The pointer at `offset`, unless it is null.
#[inline(always)]
fn hop(base: *const u8, offset: &Global<u32>) -> Option<*const u8> {
    let next: *const u8 = load(base, offset);
    (!next.is_null()).then_some(next)
}

/// The field at `offset` of the kernel object at `base`.
#[inline(always)]
fn load<T: Copy>(base: *const u8, offset: &Global<u32>) -> T {
    // SAFETY: `base` comes from a tracepoint argument through null-checked hops, which the
    // verifier proves to be a typed pointer; it rejects the program if the access is not within
    // the type, and the load it emits yields zero where memory is gone. Each `T` used here is
    // an integer or a pointer, so any bytes are a valid one.
    unsafe { read_volatile(base.add(offset.load() as usize).cast::<T>()) }
}

/// The licence the kernel checks before it lends its GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
