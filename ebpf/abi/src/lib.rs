//! The bytes that the probes write and the daemon reads; nothing else is shared between them.
//!
//! Each event is `repr(C)`, free of padding (`IntoBytes` refuses it, so no stale kernel memory
//! can leave the kernel) and begins with a [`Header`], so that a daemon and a probe object of
//! different ages can tell that they disagree instead of misreading each other. Every time is
//! `CLOCK_BOOTTIME` in nanoseconds, as `bpf_ktime_get_boot_ns` gives it (bpf-helpers(7)).
#![no_std]

mod attestation;
mod counters;
mod header;
mod oom_victim;
mod process_exec;
mod process_exit;

pub use attestation::{Attestation, FILLED_CGROUP, FILLED_EXIT, FILLED_SCORE, FILLED_TASK};
pub use counters::{COUNTERS, Counter, HOOKS, Hook};
pub use header::{Header, KIND_OOM_VICTIM, KIND_PROCESS_EXEC, KIND_PROCESS_EXIT, VERSION};
pub use oom_victim::{KNOWN_IDENTITY, KNOWN_SCORE, OomVictim};
pub use process_exec::ProcessExec;
pub use process_exit::ProcessExit;

/// Length of a task's name with its final zero: `TASK_COMM_LEN`, include/linux/sched.h.
pub const COMM_LEN: usize = 16;
