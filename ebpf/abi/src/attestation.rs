//! What the probes read about a thread of the daemon itself, by offsets and by helpers.
//!
//! A structure offset that is wrong does not fail: it yields a plausible number. So before any
//! hook is trusted, the daemon lets one of its own threads end and compares the two columns
//! below with each other and with /proc.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::COMM_LEN;

/// In [`Attestation::filled`]: identity of the task and of its leader.
pub const FILLED_TASK: u32 = 1;
/// In [`Attestation::filled`]: cgroup.
pub const FILLED_CGROUP: u32 = 2;
/// In [`Attestation::filled`]: how the process would end.
pub const FILLED_EXIT: u32 = 4;
/// In [`Attestation::filled`]: `oom_score_adj`.
pub const FILLED_SCORE: u32 = 8;

/// Written by `probes/src/attest.rs`, read by `observe/src/kernel/attest.rs`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Attestation {
    /// `bpf_get_current_pid_tgid`: thread group in the upper half, thread in the lower.
    pub helper_pid_tgid: u64,
    /// `bpf_get_current_cgroup_id`.
    pub helper_cgroup_id: u64,
    /// `bpf_ktime_get_boot_ns`.
    pub helper_boot_ns: u64,
    /// `task->start_boottime`.
    pub started_boot_ns: u64,
    /// `task->group_leader->start_boottime`.
    pub leader_started_boot_ns: u64,
    /// `task->cgroups->dfl_cgrp->kn->id`.
    pub cgroup_id: u64,
    /// `task->cgroups->dfl_cgrp->self.serial_nr`.
    pub cgroup_serial: u64,
    /// `task->comm`.
    pub comm: [u8; COMM_LEN],
    /// `task->group_leader->comm`.
    pub leader_comm: [u8; COMM_LEN],
    /// `FILLED_` bits: which of the attesting programs ran.
    pub filled: u32,
    /// `task->tgid`.
    pub tgid: u32,
    /// `task->pid`.
    pub pid: u32,
    /// `task->group_leader->pid`.
    pub leader_pid: u32,
    /// `task->signal->live`.
    pub live: u32,
    /// `task->signal->flags`.
    pub signal_flags: u32,
    /// `task->signal->group_exit_code`.
    pub group_exit_code: u32,
    /// `task->exit_code`.
    pub exit_code: u32,
    /// `task->signal->oom_score_adj`.
    pub oom_score_adj: i32,
    /// `task->signal->nr_threads`.
    pub threads: u32,
}

const _: () = assert!(size_of::<Attestation>() == 128);
