//! Errors of disks and file systems.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Header;

/// Written by `probes/src/block_error.rs`, read by `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct BlockError {
    /// [`crate::KIND_BLOCK_ERROR`].
    pub header: Header,
    /// When the request ended.
    pub at_boot_ns: u64,
    /// First sector, of 512 bytes.
    pub sector: u64,
    /// cgroup v2 id of who issued it; 0 when unknown.
    pub cgroup_id: u64,
    /// Major number of the device.
    pub major: u32,
    /// Minor number of the device.
    pub minor: u32,
    /// Bytes that failed.
    pub bytes: u32,
    /// `enum req_op`.
    pub operation: u32,
    /// `blk_status_t`, or a negative errno on kernels that pass that.
    pub status: i32,
    /// Zero.
    pub reserved: u32,
}

/// Written by `probes/src/scsi_timeout.rs` and `scsi_refused.rs`, read by
/// `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ScsiError {
    /// [`crate::KIND_SCSI_ERROR`].
    pub header: Header,
    /// When.
    pub at_boot_ns: u64,
    /// Number of the host adapter.
    pub host: u32,
    /// Channel.
    pub channel: u32,
    /// Target.
    pub target: u32,
    /// 1 if the command timed out, 0 if it was refused.
    pub timed_out: u32,
    /// Logical unit.
    pub lun: u64,
}

/// Written by `probes/src/writeback_error.rs`, read by `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct WritebackError {
    /// [`crate::KIND_WRITEBACK_ERROR`].
    pub header: Header,
    /// When.
    pub at_boot_ns: u64,
    /// The file's inode number; 0 for data of the device itself.
    pub inode: u64,
    /// `s_dev` of its file system, or the device itself: major number above bit 20.
    pub device: u32,
    /// errno, positive.
    pub errno: u32,
}

/// [`FilesystemError::filesystem`]: ext4.
pub const FILESYSTEM_EXT4: u32 = 0;
/// [`FilesystemError::filesystem`]: xfs.
pub const FILESYSTEM_XFS: u32 = 1;

/// Written by `probes/src/ext4_error.rs` and `xfs_shutdown.rs`, read by
/// `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FilesystemError {
    /// [`crate::KIND_FILESYSTEM_ERROR`].
    pub header: Header,
    /// When.
    pub at_boot_ns: u64,
    /// `s_dev`: major number above bit 20.
    pub device: u32,
    /// A `FILESYSTEM_` constant.
    pub filesystem: u32,
    /// Line of the source file.
    pub line: u32,
    /// 1 if it shut down.
    pub shutdown: u32,
    /// Function (ext4) or source file (xfs) that reports it, zero-padded.
    pub place: [u8; 48],
}

const _: () = assert!(size_of::<BlockError>() == 56 && size_of::<ScsiError>() == 40);
const _: () = assert!(size_of::<WritebackError>() == 32 && size_of::<FilesystemError>() == 80);
