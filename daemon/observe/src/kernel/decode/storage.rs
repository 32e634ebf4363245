//! Events about disks and file systems.

use hostmedic_abi as abi;
use hostmedic_model::signal::{
    BlockError, BlockOperation, Device, Fact, FilesystemError, FilesystemTrouble, ScsiError,
    WritebackError,
};
use nix::errno::Errno;

use super::text;
use crate::kernel::event::{About, KernelEvent};

/// `MINORBITS`: the kernel's own device numbers (`include/linux/kdev_t.h`), which are not those of
/// stat(2).
const MINOR_BITS: u32 = 20;

fn device(major: u32, minor: u32) -> Device {
    Device {
        major,
        minor,
        ..Device::default()
    }
}

fn split(number: u32) -> (u32, u32) {
    (number >> MINOR_BITS, number & ((1 << MINOR_BITS) - 1))
}

pub(super) fn block_error(event: abi::BlockError) -> KernelEvent {
    let abi::BlockError { major, minor, .. } = event;
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Device { major, minor },
        fact: Fact::BlockError(BlockError {
            device: device(major, minor),
            sector: event.sector,
            bytes: event.bytes,
            operation: operation(event.operation),
            error: status_word(event.status),
            cgroup_id: event.cgroup_id,
            issuer: None,
        }),
    }
}

/// `enum req_op`, `include/linux/blk_types.h`; the same numbers since 4.10.
fn operation(number: u32) -> BlockOperation {
    match number {
        0 => BlockOperation::Read,
        1 => BlockOperation::Write,
        2 => BlockOperation::Flush,
        3 => BlockOperation::Discard,
        5 => BlockOperation::SecureErase,
        7 | 10..=13 | 15 | 17 => BlockOperation::Zone,
        9 => BlockOperation::WriteZeroes,
        _ => BlockOperation::Other,
    }
}

/// errno's word for a `blk_status_t` (`blk_errors` in block/blk-core.c) or a negative errno.
fn status_word(status: i32) -> String {
    let errno = match status {
        ..=0 => return errno_word(status.unsigned_abs()),
        1 => Errno::EOPNOTSUPP,
        2 => Errno::ETIMEDOUT,
        3 => Errno::ENOSPC,
        4 => Errno::ENOLINK,
        5 => Errno::EREMOTEIO,
        6 => Errno::EBADE,
        7 => Errno::ENODATA,
        8 => Errno::EILSEQ,
        9 => Errno::ENOMEM,
        10 => Errno::EIO,
        other => return format!("blk_status_t {other}"),
    };
    format!("{errno:?}")
}

fn errno_word(number: u32) -> String {
    match i32::try_from(number).map(Errno::from_raw) {
        Ok(errno) if errno != Errno::UnknownErrno => format!("{errno:?}"),
        _ => format!("errno {number}"),
    }
}

pub(super) fn scsi_error(event: abi::ScsiError) -> KernelEvent {
    let abi::ScsiError {
        host,
        channel,
        target,
        lun,
        ..
    } = event;
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Host,
        fact: Fact::ScsiError(ScsiError {
            address: format!("{host}:{channel}:{target}:{lun}"),
            timed_out: event.timed_out != 0,
        }),
    }
}

pub(super) fn writeback_error(event: abi::WritebackError) -> KernelEvent {
    let (major, minor) = split(event.device);
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Device { major, minor },
        fact: Fact::WritebackError(WritebackError {
            device: device(major, minor),
            inode: event.inode,
            error: errno_word(event.errno),
        }),
    }
}

pub(super) fn filesystem_error(event: abi::FilesystemError) -> KernelEvent {
    let (major, minor) = split(event.device);
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Device { major, minor },
        fact: Fact::FilesystemError(FilesystemError {
            filesystem: match event.filesystem {
                abi::FILESYSTEM_EXT4 => "ext4",
                _ => "xfs",
            }
            .to_owned(),
            device: device(major, minor),
            function: text(&event.place),
            line: event.line,
            trouble: match event.shutdown {
                0 => FilesystemTrouble::Error,
                _ => FilesystemTrouble::Shutdown,
            },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_kernels_words() {
        for (status, word) in [
            (7, "ENODATA"),
            (10, "EIO"),
            (3, "ENOSPC"),
            (-5, "EIO"),
            (-28, "ENOSPC"),
            (200, "blk_status_t 200"),
            (-4000, "errno 4000"),
        ] {
            assert_eq!(status_word(status), word);
        }
    }

    #[test]
    fn device_numbers_are_split_as_the_kernel_does() {
        assert_eq!(split(7 << 20 | 3), (7, 3));
        assert_eq!(split(259 << 20 | 0xfffff), (259, 0xfffff));
    }
}
