//! A deadly signal.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, TaskId};

/// Written by `probes/src/signal_fatal.rs`, read by `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SignalFatal {
    /// [`crate::KIND_SIGNAL_FATAL`].
    pub header: Header,
    /// When it was sent.
    pub at_boot_ns: u64,
    /// Whom it was sent to.
    pub target: TaskId,
    /// Who sent it, if a process did.
    pub sender: TaskId,
    /// Number of the signal.
    pub signal: u32,
    /// 1 if the kernel sent it; then `sender` is who ran at that moment and means nothing.
    pub by_kernel: u32,
}

const _: () = assert!(size_of::<SignalFatal>() == 104);
