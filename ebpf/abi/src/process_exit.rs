//! A process whose last thread ended.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{COMM_LEN, Header};

/// Written by `probes/src/process_exit.rs`, read by `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ProcessExit {
    /// [`crate::KIND_PROCESS_EXIT`].
    pub header: Header,
    /// When its last thread ended.
    pub at_boot_ns: u64,
    /// When the process started.
    pub started_boot_ns: u64,
    /// cgroup v2 id.
    pub cgroup_id: u64,
    /// Process id in the initial namespace.
    pub pid: u32,
    /// As wait(2) tells it: signal in bits 0 to 6, core dump in bit 7, status in bits 8 to 15.
    pub wait_status: u32,
    /// Name of the process, zero-padded.
    pub comm: [u8; COMM_LEN],
    /// Most pages it had resident (`signal->maxrss`).
    pub peak_rss_pages: u64,
}

const _: () = assert!(size_of::<ProcessExit>() == 64);
