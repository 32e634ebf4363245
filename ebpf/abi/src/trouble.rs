//! Hardware that fails: interfaces, memory, `PCIe` devices, CPUs.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Header;

/// Written by `probes/src/transmit_timeout.rs`, read by `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TransmitTimeout {
    /// [`crate::KIND_TRANSMIT_TIMEOUT`].
    pub header: Header,
    /// When.
    pub at_boot_ns: u64,
    /// Index of the interface.
    pub interface: u32,
    /// Queue that stood still.
    pub queue: u32,
}

/// [`HardwareError::source`]: a memory controller.
pub const HARDWARE_MEMORY: u32 = 0;
/// [`HardwareError::source`]: a page of memory; `number` is its frame.
pub const HARDWARE_PAGE: u32 = 1;
/// [`HardwareError::source`]: a `PCIe` device.
pub const HARDWARE_PCIE: u32 = 2;
/// [`HardwareError::source`]: a CPU; `number` is `cpu << 32 | bank`.
pub const HARDWARE_CPU: u32 = 3;

/// [`HardwareError::corrected`]: it was not said.
pub const CORRECTED_UNKNOWN: u32 = 2;

/// Written by `probes/src/{memory_controller,memory_page,pcie_error,machine_check}.rs`, read by
/// `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct HardwareError {
    /// [`crate::KIND_HARDWARE_ERROR`].
    pub header: Header,
    /// When.
    pub at_boot_ns: u64,
    /// A `HARDWARE_` constant.
    pub source: u32,
    /// 1 if the hardware corrected it, 0 if not, or [`CORRECTED_UNKNOWN`].
    pub corrected: u32,
    /// Where, as a number, if the kernel tells one.
    pub number: u64,
    /// Where, as a name, if the kernel tells one; zero-padded.
    pub label: [u8; 48],
}

const _: () = assert!(size_of::<TransmitTimeout>() == 24 && size_of::<HardwareError>() == 80);
