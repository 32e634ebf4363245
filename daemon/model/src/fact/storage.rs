//! Facts about disks and file systems.

use serde::{Deserialize, Serialize};

use crate::subject::Subject;

/// A block device.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Name in `/dev`, where sysfs knows it.
    pub name: Option<String>,
    /// Serial number of the disk, where sysfs or udev knows it.
    pub serial: Option<String>,
}

/// What a request was to do. Source: `enum req_op`, `include/linux/blk_types.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the kernel's names")]
pub enum BlockOperation {
    Read,
    Write,
    Flush,
    Discard,
    SecureErase,
    WriteZeroes,
    Zone,
    Other,
}

/// A request that a block device failed. Source: tracepoint `block:block_rq_error`, or
/// `block:block_rq_complete` with an error before 5.18.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockError {
    /// Which device.
    pub device: Device,
    /// First sector, of 512 bytes.
    #[serde(with = "crate::wide")]
    pub sector: u64,
    /// Bytes that failed.
    pub bytes: u32,
    /// What it was to do.
    pub operation: BlockOperation,
    /// Class of the error in errno(3)'s word, such as `EIO`, `ENOSPC`, `ETIMEDOUT`, `ENODATA`
    /// (medium error), `ENOLINK` (transport error).
    pub error: String,
    /// cgroup v2 id of who issued the request; 0 when unknown.
    #[serde(with = "crate::wide")]
    pub cgroup_id: u64,
    /// Who that is, where known.
    pub issuer: Option<Subject>,
}

/// A SCSI command that timed out, or that the host adapter did not take. Source: tracepoints
/// `scsi:scsi_dispatch_cmd_timeout` and `scsi:scsi_dispatch_cmd_error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScsiError {
    /// `host:channel:target:lun`, as lsscsi(8) writes it.
    pub address: String,
    /// Whether it timed out; otherwise it was refused.
    pub timed_out: bool,
}

/// Data was lost between the page cache and the disk. Source: tracepoint
/// `filemap:filemap_set_wb_err`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WritebackError {
    /// Device of the file system.
    pub device: Device,
    /// The file's inode number; 0 for data of the device itself, such as a file system's metadata.
    #[serde(with = "crate::wide")]
    pub inode: u64,
    /// errno(3)'s word.
    pub error: String,
}

/// A file system's own report. Source: tracepoints `ext4:ext4_error`, `xfs:xfs_force_shutdown`,
/// and fanotify's `FAN_FS_ERROR`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesystemError {
    /// Its type: `ext4`, `xfs`.
    pub filesystem: String,
    /// Its device.
    pub device: Device,
    /// Kernel function that found it; empty when unknown.
    pub function: String,
    /// Line in that function's file; 0 when unknown.
    pub line: u32,
    /// How bad it is.
    pub trouble: FilesystemTrouble,
}

/// What a file system reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilesystemTrouble {
    /// It found itself inconsistent.
    Error,
    /// It stopped working to save what is left.
    Shutdown,
}

/// A mount became read-only that was writable. Source: `/proc/self/mountinfo` (proc(5)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountReadOnly {
    /// Its device.
    pub device: Device,
    /// Its type.
    pub filesystem: String,
    /// Whether the file system itself is read-only, not only this mount of it.
    pub whole: bool,
}
