//! A task that hangs, and a CPU that does.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, TaskId};

/// Written by `probes/src/hung_task.rs`, read by `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct HungTask {
    /// [`crate::KIND_HUNG_TASK`].
    pub header: Header,
    /// When the kernel noticed.
    pub at_boot_ns: u64,
    /// Which task.
    pub task: TaskId,
}

/// Written by `probes/src/rcu_stall.rs`, read by `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RcuStall {
    /// [`crate::KIND_RCU_STALL`].
    pub header: Header,
    /// When the kernel reported it.
    pub at_boot_ns: u64,
    /// Flavour of RCU, zero-padded.
    pub flavour: [u8; 32],
    /// What kind of stall, zero-padded.
    pub kind: [u8; 32],
}

const _: () = assert!(size_of::<HungTask>() == 56 && size_of::<RcuStall>() == 80);
