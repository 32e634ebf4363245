//! The bytes that the probes write and the daemon reads; nothing else is shared between them.
//!
//! Each event is `repr(C)`, free of padding (`IntoBytes` refuses it, so no stale kernel memory
//! can leave the kernel) and begins with a [`Header`], so that a daemon and a probe object of
//! different ages can tell that they disagree instead of misreading each other. Every time is
//! `CLOCK_BOOTTIME` in nanoseconds, as `bpf_ktime_get_boot_ns` gives it (bpf-helpers(7)).
#![no_std]

mod aggregate;
mod attestation;
mod cgroup_change;
mod frozen;
mod header;
mod hooks;
mod hung_task;
mod oom_victim;
mod process_exec;
mod process_exit;
mod signal_fatal;
mod storage;
mod task_id;
mod trouble;

pub use aggregate::{
    DISK_SEATS, DISK_SEATS_WORDS, DROP_SEATS, DROP_SEATS_WORDS, DiskSeat, DiskSeats, DropSeat,
    DropSeats, FlowKey, Key, PORT_EPHEMERAL, PORT_REGISTERED, PORT_UNKNOWN, ROWS_WORDS, Row, Rows,
    RowsElement, SPILL_LEN, SPILL_SLOTS, Seat, SpillSlot, Tally, bytes_before_rows, rows_in,
    rows_in_mut,
};
pub use attestation::{Attestation, FILLED_CGROUP, FILLED_EXIT, FILLED_SCORE, FILLED_TASK};
pub use cgroup_change::{CGROUP_ATTACHED, CGROUP_MADE, CGROUP_REMOVED, CgroupChange, PATH_LEN};
pub use frozen::{FIELD_MARK, FROZEN_MARK, field_word, frozen_word};
pub use header::*;
pub use hooks::*;
pub use hung_task::{HungTask, RcuStall};
pub use oom_victim::{
    KNOWN_IDENTITY, KNOWN_RSS, KNOWN_SCOPE, KNOWN_SCORE, KNOWN_SIGKILL, OomVictim, SCOPE_UNIFIED,
    SENT_SIGKILL,
};
pub use process_exec::ProcessExec;
pub use process_exit::ProcessExit;
pub use signal_fatal::SignalFatal;
pub use storage::{
    BlockError, FILESYSTEM_EXT4, FILESYSTEM_XFS, FilesystemError, ScsiError, WritebackError,
};
pub use task_id::TaskId;
pub use trouble::{
    CORRECTED_UNKNOWN, HARDWARE_CPU, HARDWARE_MEMORY, HARDWARE_PAGE, HARDWARE_PCIE, HardwareError,
    TransmitTimeout,
};

/// Length of a task's name with its final zero: `TASK_COMM_LEN`, include/linux/sched.h.
pub const COMM_LEN: usize = 16;
