//! A program that began to run.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{COMM_LEN, Header};

/// Written by `probes/src/process_exec.rs`, read by `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ProcessExec {
    /// [`crate::KIND_PROCESS_EXEC`].
    pub header: Header,
    /// When the program replaced the one before it.
    pub at_boot_ns: u64,
    /// When the process started, which is its fork and not this exec.
    pub started_boot_ns: u64,
    /// cgroup v2 id.
    pub cgroup_id: u64,
    /// Process id in the initial namespace.
    pub pid: u32,
    /// Thread id of the thread that called exec; differs from `pid` if it was not the leader.
    pub old_pid: u32,
    /// Name after the exec, zero-padded.
    pub comm: [u8; COMM_LEN],
}

const _: () = assert!(size_of::<ProcessExec>() == 56);
