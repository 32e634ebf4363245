//! The first eight bytes of every event: what it is, and how long.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Layout version of all events. Raised when a field changes its meaning or place.
pub const VERSION: u16 = 1;

/// [`crate::OomVictim`].
pub const KIND_OOM_VICTIM: u32 = 1;
/// [`crate::ProcessExec`].
pub const KIND_PROCESS_EXEC: u32 = 2;
/// [`crate::ProcessExit`].
pub const KIND_PROCESS_EXIT: u32 = 3;

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
