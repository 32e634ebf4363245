//! A process, safe from reuse of its id.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::COMM_LEN;

/// Part of an event.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TaskId {
    /// When the process started; 0 when unknown.
    pub started_boot_ns: u64,
    /// cgroup v2 id; 0 when unknown.
    pub cgroup_id: u64,
    /// Process (thread group) id in the initial namespace.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name, zero-padded.
    pub comm: [u8; COMM_LEN],
}

const _: () = assert!(size_of::<TaskId>() == 40);
