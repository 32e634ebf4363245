//! From the bytes of a ring record to a decoded event. Pure; any bytes end in an answer.

mod process;
mod storage;
mod trouble;

use hostmedic_abi::{
    Header, KIND_BLOCK_ERROR, KIND_CGROUP_CHANGE, KIND_FILESYSTEM_ERROR, KIND_HARDWARE_ERROR,
    KIND_HUNG_TASK, KIND_OOM_VICTIM, KIND_PROCESS_EXEC, KIND_PROCESS_EXIT, KIND_RCU_STALL,
    KIND_SCSI_ERROR, KIND_SIGNAL_FATAL, KIND_TRANSMIT_TIMEOUT, KIND_WRITEBACK_ERROR, VERSION,
};
use thiserror::Error;
use zerocopy::FromBytes;

use super::event::KernelEvent;

/// A record that this version cannot read: it is counted and left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Undecodable {
    /// Fewer bytes than a header.
    #[error("record of {len} bytes has no room for a header")]
    Short {
        /// Its length.
        len: usize,
    },
    /// Written by a probe of another version.
    #[error("record has layout version {version}, this daemon reads {VERSION}")]
    Version {
        /// Its version.
        version: u16,
    },
    /// A kind that does not exist.
    #[error("record is of unknown kind {kind}")]
    Kind {
        /// Its kind.
        kind: u32,
    },
    /// Not as long as its kind.
    #[error("record of kind {kind} has {len} bytes, its header says {said}")]
    Size {
        /// Its kind.
        kind: u32,
        /// Bytes there are.
        len: usize,
        /// Bytes its header tells.
        said: u16,
    },
}

/// Decodes one record.
pub(crate) fn decode(bytes: &[u8]) -> Result<KernelEvent, Undecodable> {
    let len = bytes.len();
    let (header, _) = Header::read_from_prefix(bytes).map_err(|_| Undecodable::Short { len })?;
    let Header {
        kind,
        version,
        size: said,
    } = header;
    if version != VERSION {
        return Err(Undecodable::Version { version });
    }
    if usize::from(said) != len {
        return Err(Undecodable::Size { kind, len, said });
    }
    match kind {
        KIND_OOM_VICTIM => whole(bytes).map(process::oom_victim),
        KIND_SIGNAL_FATAL => whole(bytes).map(process::signal_fatal),
        KIND_PROCESS_EXEC => whole(bytes).map(process::exec),
        KIND_PROCESS_EXIT => whole(bytes).map(process::exit),
        KIND_CGROUP_CHANGE => whole(bytes).map(process::cgroup_change),
        KIND_HUNG_TASK => whole(bytes).map(trouble::hung_task),
        KIND_RCU_STALL => whole(bytes).map(trouble::rcu_stall),
        KIND_TRANSMIT_TIMEOUT => whole(bytes).map(trouble::transmit_timeout),
        KIND_HARDWARE_ERROR => whole(bytes).map(trouble::hardware_error),
        KIND_BLOCK_ERROR => whole(bytes).map(storage::block_error),
        KIND_SCSI_ERROR => whole(bytes).map(storage::scsi_error),
        KIND_WRITEBACK_ERROR => whole(bytes).map(storage::writeback_error),
        KIND_FILESYSTEM_ERROR => whole(bytes).map(storage::filesystem_error),
        _ => return Err(Undecodable::Kind { kind }),
    }
    .ok_or(Undecodable::Size { kind, len, said })
}

fn whole<T: FromBytes>(bytes: &[u8]) -> Option<T> {
    T::read_from_bytes(bytes).ok()
}

/// The text up to its zero. Any process may name itself as it likes, so what is not printable
/// text becomes `?` before it reaches a terminal or a log.
pub(super) fn text(bytes: &[u8]) -> String {
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let printable = |c: char| {
        if c.is_control() || c == '\u{fffd}' {
            '?'
        } else {
            c
        }
    };
    String::from_utf8_lossy(name)
        .chars()
        .map(printable)
        .collect()
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
