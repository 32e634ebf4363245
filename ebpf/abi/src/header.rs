//! The first eight bytes of every event: what it is, and how long.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Layout version of all events and maps. Raised when a field changes its meaning or place, so
/// that a daemon never reads counters that an older one left pinned.
pub const VERSION: u16 = 9;

/// [`crate::OomVictim`].
pub const KIND_OOM_VICTIM: u32 = 1;
/// [`crate::ProcessExec`].
pub const KIND_PROCESS_EXEC: u32 = 2;
/// [`crate::ProcessExit`].
pub const KIND_PROCESS_EXIT: u32 = 3;
/// [`crate::SignalFatal`].
pub const KIND_SIGNAL_FATAL: u32 = 4;
/// [`crate::HungTask`].
pub const KIND_HUNG_TASK: u32 = 5;
/// [`crate::RcuStall`].
pub const KIND_RCU_STALL: u32 = 6;
/// [`crate::BlockError`].
pub const KIND_BLOCK_ERROR: u32 = 7;
/// [`crate::ScsiError`].
pub const KIND_SCSI_ERROR: u32 = 8;
/// [`crate::WritebackError`].
pub const KIND_WRITEBACK_ERROR: u32 = 9;
/// [`crate::FilesystemError`].
pub const KIND_FILESYSTEM_ERROR: u32 = 10;
/// [`crate::TransmitTimeout`].
pub const KIND_TRANSMIT_TIMEOUT: u32 = 11;
/// [`crate::HardwareError`].
pub const KIND_HARDWARE_ERROR: u32 = 12;
/// [`crate::CgroupChange`].
pub const KIND_CGROUP_CHANGE: u32 = 13;

/// Begins every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Header {
    /// One of the `KIND_` constants.
    pub kind: u32,
    /// [`VERSION`] of the probe that wrote it.
    pub version: u16,
    /// Bytes of the whole event, this header included.
    pub size: u16,
}

impl Header {
    /// The header of an event of type `T`.
    pub const fn of<T>(kind: u32) -> Self {
        assert!(size_of::<T>() <= u16::MAX as usize);
        Self {
            kind,
            version: VERSION,
            size: size_of::<T>() as u16,
        }
    }
}

const _: () = assert!(size_of::<Header>() == 8);
