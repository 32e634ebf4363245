//! Tasks and what the threads of a process share. Fields are named as in include/linux/sched.h,
//! sched/signal.h and mm_types.h.

use hostmedic_abi::{COMM_LEN, TaskId};

use super::{Arguments, Cgroup, Object, cgroup, hop, load, peek};
use crate::frozen::frozen;

frozen! {
    OFF_TASK_TGID: u32;
    OFF_TASK_PID: u32;
    OFF_TASK_CGROUPS: u32;
    OFF_TASK_CHARGED: u32;
    /// `sched_process_exit` says whether the whole group is dead.
    HAS_GROUP_DEAD: bool;
}

frozen! {
    OFF_TASK_LEADER: u32;
    OFF_TASK_START: u32;
    OFF_TASK_COMM: u32;
    OFF_TASK_SIGNAL: u32;
    OFF_TASK_EXIT_CODE: u32;
    OFF_TASK_MM: u32;
    OFF_SIGNAL_LIVE: u32;
    OFF_SIGNAL_THREADS: u32;
    OFF_SIGNAL_FLAGS: u32;
    OFF_SIGNAL_EXIT_CODE: u32;
    OFF_SIGNAL_SCORE: u32;
    OFF_SIGNAL_MAXRSS: u32;
    /// First of the counters of resident pages: file, anonymous, swapped, shared.
    OFF_MM_RSS: u32;
    /// Bytes from one of them to the next.
    RSS_STRIDE: u32;
    OFF_SIGINFO_CODE: u32;
    /// `mark_victim` passes the task; else only a thread id.
    HAS_VICTIM_TASK: bool;
    /// `oom_score_adj` may be read.
    HAS_SCORE: bool;
    /// Resident pages may be read.
    HAS_RSS: bool;
    /// The kernel's kills are remembered by `signal_fatal`.
    HAS_SIGNALS: bool;
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
pub struct Task(Object);

/// The `struct signal_struct` that the threads of a process share.
#[derive(Clone, Copy)]
pub struct Signal(Object);

impl Task {
    /// The task that is argument `n`.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments, n: usize) -> Option<Self> {
        ctx.object(n).map(Self)
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

    /// When the scheduler last charged it for its time, on the clock of the CPU it runs on (`rq_clock_task`
    /// of kernel/sched/sched.h): for the running task the time of now, behind by a tick at most, or by a
    /// second where ticks are off (`nohz_full`). The scheduler uses the field all the time, so it is in
    /// the caches, which of `jiffies` and the clocks' own data nobody can say.
    #[inline(always)]
    pub fn charged_ns(self) -> u64 {
        load(self.0, &OFF_TASK_CHARGED)
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

    /// Its cgroup in the unified tree.
    #[inline(always)]
    pub fn cgroup(self) -> Option<Cgroup> {
        hop(self.0, &OFF_TASK_CGROUPS).and_then(cgroup::of_css_set)
    }

    /// Id of its cgroup in the unified tree; 0 if the walk breaks off.
    #[inline(always)]
    pub fn cgroup_id(self) -> u64 {
        self.cgroup().map_or(0, Cgroup::id)
    }

    /// Resident pages, where they may be read: `MM_FILEPAGES`, `MM_ANONPAGES` and
    /// `MM_SHMEMPAGES` of include/linux/mm_types_task.h. From 6.2 on these are per-CPU counters,
    /// of which the shared part is read: it is behind by at most a batch for each CPU.
    #[inline(always)]
    pub fn rss_pages(self) -> Option<u64> {
        if !HAS_RSS.load() {
            return None;
        }
        let mm = hop(self.0, &OFF_TASK_MM)?;
        // By the helper: the verifier of 5.10 cannot walk into an array of `atomic_long_t`.
        let counter = |index: u32| -> i64 {
            let at = OFF_MM_RSS.load() + index * RSS_STRIDE.load();
            peek(mm as u64, u64::from(at))
        };
        let pages = counter(0) + counter(1) + counter(3);
        Some(if pages < 0 { 0 } else { pages as u64 })
    }

    /// All that tells the process apart.
    #[inline(always)]
    pub fn identity(self) -> Option<TaskId> {
        let leader = self.leader()?;
        Some(TaskId {
            started_boot_ns: leader.started_boot_ns(),
            cgroup_id: self.cgroup_id(),
            pid: self.tgid(),
            tid: self.tid(),
            comm: leader.comm().bytes(),
        })
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
        i32::from(load::<i16, _>(self.0, &OFF_SIGNAL_SCORE))
    }

    /// Most pages the process had resident; set just before its end is traced.
    #[inline(always)]
    pub fn peak_rss_pages(self) -> u64 {
        load(self.0, &OFF_SIGNAL_MAXRSS)
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
    HAS_VICTIM_TASK.load()
}

/// Whether `oom_score_adj` may be read here.
#[inline(always)]
pub fn has_score() -> bool {
    HAS_SCORE.load()
}

/// Whether the kernel's kills are remembered here.
#[inline(always)]
pub fn has_signals() -> bool {
    HAS_SIGNALS.load()
}

/// Whether `sched_process_exit` says if the group is dead.
#[inline(always)]
pub fn says_group_dead() -> bool {
    HAS_GROUP_DEAD.load()
}

/// What it says, where it does.
#[inline(always)]
pub fn group_dead(ctx: &impl Arguments) -> bool {
    // A `bool` argument leaves the rest of its register undefined.
    ctx.number(1) & 0xff != 0
}

/// Whether the kernel sent the signal whose `struct kernel_siginfo` is argument 1. Two values are
/// no addresses: `SEND_SIG_NOINFO` (0) is a process, `SEND_SIG_PRIV` (1) the kernel
/// (include/linux/sched/signal.h). Else a positive `si_code` is the kernel's (sigaction(2)).
#[inline(always)]
pub fn is_sent_by_kernel(ctx: &impl Arguments) -> bool {
    match ctx.number(1) {
        0 => false,
        1 => true,
        info => peek::<i32>(info, u64::from(OFF_SIGINFO_CODE.load())) > 0,
    }
}
