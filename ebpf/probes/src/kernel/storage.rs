//! Requests to disks, and the file systems above. Fields are named as in include/linux/blk-mq.h,
//! blk_types.h, blkdev.h, blk-cgroup.h, fs.h, and the SCSI and XFS headers.

use hostmedic_abi::{
    LATE_SCSI_DEVICE, LATE_SDEV_CHANNEL, LATE_SDEV_HOST, LATE_SDEV_ID, LATE_SDEV_LUN,
    LATE_SHOST_NO, LATE_XFS_SUPER,
};

use super::{Arguments, Cgroup, Object, cgroup, hop, late, load, peek};
use crate::frozen::frozen;

frozen! {
    OFF_RQ_QUEUE: u32;
    /// `rq_disk` of the request, before 5.17.
    OFF_RQ_DISK: u32;
    OFF_QUEUE_DISK: u32;
    OFF_RQ_SECTOR: u32;
    OFF_RQ_LEN: u32;
    OFF_RQ_CMD_FLAGS: u32;
    OFF_RQ_FLAGS: u32;
    OFF_RQ_BIO: u32;
    OFF_RQ_START: u32;
    OFF_DISK_MAJOR: u32;
    OFF_DISK_MINOR: u32;
    OFF_BIO_BLKG: u32;
    OFF_BLKG_BLKCG: u32;
    OFF_BLKCG_CSS: u32;
    OFF_MAPPING_HOST: u32;
    OFF_MAPPING_ERROR: u32;
    OFF_INODE_SB: u32;
    OFF_INODE_INO: u32;
    OFF_INODE_MODE: u32;
    OFF_INODE_RDEV: u32;
    OFF_SB_DEV: u32;
    /// The request knows its disk itself.
    HAS_RQ_DISK: bool;
    /// The request's issuer may be read.
    HAS_ISSUER: bool;
    /// An error arrives as a negative errno, not as `blk_status_t`.
    HAS_ERRNO: bool;
    /// There is only `block_rq_complete`, so what is no error must be told here.
    FROM_COMPLETE: bool;
}

/// `REQ_OP_MASK`, include/linux/blk_types.h.
const OPERATION_MASK: u32 = 0xff;
/// Operations from here on are commands of a driver (`blk_op_is_passthrough`).
const OPERATION_PASSTHROUGH: u32 = 32;
/// `RQF_QUIET` of the kernels that have no `block_rq_error` (include/linux/blkdev.h, 5.10).
const FLAG_QUIET: u32 = 1 << 11;

/// A `struct request`.
#[derive(Clone, Copy)]
pub struct Request(Object);

impl Request {
    /// The request that is argument 0.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments) -> Option<Self> {
        ctx.object(0).map(Self)
    }

    /// Major and minor number of its disk.
    #[inline(always)]
    pub fn device(self) -> Option<(u32, u32)> {
        let disk = if HAS_RQ_DISK.load() {
            hop(self.0, &OFF_RQ_DISK)?
        } else {
            hop(hop(self.0, &OFF_RQ_QUEUE)?, &OFF_QUEUE_DISK)?
        };
        Some((load(disk, &OFF_DISK_MAJOR), load(disk, &OFF_DISK_MINOR)))
    }

    /// First sector that is not done.
    #[inline(always)]
    pub fn sector(self) -> u64 {
        load(self.0, &OFF_RQ_SECTOR)
    }

    /// Bytes that are not done.
    #[inline(always)]
    pub fn bytes(self) -> u32 {
        load(self.0, &OFF_RQ_LEN)
    }

    /// `enum req_op`.
    #[inline(always)]
    pub fn operation(self) -> u32 {
        load::<u32, _>(self.0, &OFF_RQ_CMD_FLAGS) & OPERATION_MASK
    }

    /// When it was made, on the monotonic clock; 0 if nobody wanted to know.
    #[inline(always)]
    pub fn started_ns(self) -> u64 {
        load(self.0, &OFF_RQ_START)
    }

    /// cgroup v2 id of who issued it; 0 when unknown. With the io controller off for a unit, the
    /// block layer charges the nearest cgroup above that has it.
    #[inline(always)]
    pub fn issuer(self) -> u64 {
        if !HAS_ISSUER.load() {
            return 0;
        }
        let blkcg = hop(self.0, &OFF_RQ_BIO)
            .and_then(|bio| hop(bio, &OFF_BIO_BLKG))
            .and_then(|blkg| hop(blkg, &OFF_BLKG_BLKCG));
        match blkcg.and_then(|blkcg| cgroup::of_state(blkcg, OFF_BLKCG_CSS.load())) {
            Some(cgroup) if cgroup.is_unified() => Cgroup::id(cgroup),
            _ => 0,
        }
    }

    /// Whether `block_rq_error` would tell of it: the rule of `blk_update_request` in
    /// block/blk-mq.c.
    #[inline(always)]
    pub fn is_worth_telling(self) -> bool {
        !FROM_COMPLETE.load()
            || (self.operation() < OPERATION_PASSTHROUGH
                && load::<u32, _>(self.0, &OFF_RQ_FLAGS) & FLAG_QUIET == 0)
    }
}

/// `S_IFMT` and `S_IFBLK`, include/uapi/linux/stat.h.
const MODE_KIND_MASK: u16 = 0o170_000;
const MODE_BLOCK_DEVICE: u16 = 0o060_000;

/// The error that is argument 1, as this kernel passes it.
#[inline(always)]
pub fn block_status(ctx: &impl Arguments) -> i32 {
    if HAS_ERRNO.load() {
        ctx.number(1) as i32
    } else {
        (ctx.number(1) & 0xff) as i32
    }
}

/// A `struct address_space`: the pages of a file.
#[derive(Clone, Copy)]
pub struct Mapping(Object);

impl Mapping {
    /// The mapping that is argument 0.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments) -> Option<Self> {
        ctx.object(0).map(Self)
    }

    /// `wb_err`: the newest error that was set, as an `errseq_t`.
    #[inline(always)]
    pub fn error(self) -> u32 {
        load(self.0, &OFF_MAPPING_ERROR)
    }

    /// Device of its file system, and its inode number. Pages of a block device itself (metadata
    /// of a file system on it) are in no file: 0.
    #[inline(always)]
    pub fn file(self) -> Option<(u32, u64)> {
        let inode = hop(self.0, &OFF_MAPPING_HOST)?;
        // Its inode is in a file system of the kernel's own, whose device number says nothing.
        if load::<u16, _>(inode, &OFF_INODE_MODE) & MODE_KIND_MASK == MODE_BLOCK_DEVICE {
            return Some((load(inode, &OFF_INODE_RDEV), 0));
        }
        let block = hop(inode, &OFF_INODE_SB)?;
        Some((load(block, &OFF_SB_DEV), load(inode, &OFF_INODE_INO)))
    }
}

/// A `struct super_block` at an untyped address.
#[derive(Clone, Copy)]
pub struct SuperBlock(u64);

impl SuperBlock {
    /// The super block that is argument 0.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments) -> Self {
        Self(ctx.number(0))
    }

    /// `s_dev`.
    #[inline(always)]
    pub fn device(self) -> u32 {
        peek(self.0, u64::from(OFF_SB_DEV.load()))
    }
}

/// A `struct xfs_mount` at an untyped address.
#[derive(Clone, Copy)]
pub struct Xfs(u64);

impl Xfs {
    /// The mount that is argument 0.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments) -> Self {
        Self(ctx.number(0))
    }

    /// Its super block.
    #[inline(always)]
    pub fn super_block(self) -> SuperBlock {
        SuperBlock(peek(self.0, late(LATE_XFS_SUPER)))
    }
}

/// A `struct scsi_cmnd` at an untyped address.
#[derive(Clone, Copy)]
pub struct ScsiCommand(u64);

impl ScsiCommand {
    /// The command that is argument 0.
    #[inline(always)]
    pub fn argument(ctx: &impl Arguments) -> Self {
        Self(ctx.number(0))
    }

    /// Host, channel, target and logical unit of its device.
    #[inline(always)]
    pub fn address(self) -> (u32, u32, u32, u64) {
        let device: u64 = peek(self.0, late(LATE_SCSI_DEVICE));
        let host: u64 = peek(device, late(LATE_SDEV_HOST));
        (
            peek(host, late(LATE_SHOST_NO)),
            peek(device, late(LATE_SDEV_CHANNEL)),
            peek(device, late(LATE_SDEV_ID)),
            peek(device, late(LATE_SDEV_LUN)),
        )
    }
}
