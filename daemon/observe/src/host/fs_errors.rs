//! File systems that report themselves damaged, without a probe: fanotify's `FAN_FS_ERROR`.
//!
//! ext4 reports so since Linux 5.16 (and where it was ported back); a report is never lost, because
//! the kernel keeps the first of each file system and counts the rest until we read. It needs
//! `CAP_SYS_ADMIN`, one mark for each file system, and the group must ask for file ids. Source:
//! Documentation/admin-guide/filesystem-monitoring.rst, fanotify(7).
//!
//! The crate that wraps the calls knows neither file ids nor the records behind an event, so the
//! flag is given as a number and the bytes are read here.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
    time::Duration,
};

use hostmedic_model::{
    signal::{Device, Fact, FilesystemError, FilesystemTrouble, Signal},
    time::At,
};
use nix::{
    errno::Errno,
    fcntl::AT_FDCWD,
    sys::{
        fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags},
        stat::{major, minor, stat},
        statvfs::statvfs,
    },
    unistd::read,
};

use super::devices::subject_of;

/// File systems that report errors this way, or may come to.
const REPORTING: [&str; 2] = ["ext4", "xfs"];
/// `FAN_REPORT_FID` of `include/uapi/linux/fanotify.h`.
const REPORT_FID: u32 = 0x200;
/// Bytes of `struct fanotify_event_metadata`.
const METADATA_BYTES: usize = 24;
/// `FAN_EVENT_INFO_TYPE_FID`.
const INFO_FID: u8 = 1;
/// Bytes read at once; an event of ours has some 70.
const BUFFER_BYTES: usize = 16 << 10;
/// A file system that keeps finding errors is told of this often.
const QUIET: Duration = Duration::from_secs(10);

/// Watches every file system that was given to [`FsErrors::mark`].
#[derive(Debug)]
pub(super) struct FsErrors {
    group: Fanotify,
    /// By the file system's id, as in the events.
    marked: BTreeMap<u64, Marked>,
    /// Numbers of all that were tried, so that each is tried once.
    tried: BTreeSet<(u32, u32)>,
}

#[derive(Debug)]
struct Marked {
    device: Device,
    filesystem: String,
    told: Option<At>,
}

impl FsErrors {
    /// Makes a group without marks.
    ///
    /// # Errors
    /// Says why there is none, and what would help.
    pub(super) fn open() -> Result<Self, String> {
        let flags = InitFlags::FAN_CLOEXEC
            | InitFlags::FAN_NONBLOCK
            | InitFlags::FAN_CLASS_NOTIF
            | InitFlags::from_bits_retain(REPORT_FID);
        let group = Fanotify::init(flags, EventFFlags::O_RDONLY).map_err(refusal)?;
        Ok(Self {
            group,
            marked: BTreeMap::new(),
            tried: BTreeSet::new(),
        })
    }

    /// What is readable when an error was reported.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }

    /// Whether a file system should be marked: it may report, and was not tried.
    pub(super) fn wants(&self, filesystem: &str, number: (u32, u32)) -> bool {
        REPORTING.contains(&filesystem) && !self.tried.contains(&number)
    }

    /// Forgets file systems that are no longer mounted.
    pub(super) fn keep(&mut self, mounted: &BTreeSet<(u32, u32)>) {
        self.tried.retain(|number| mounted.contains(number));
        let is_mounted = |device: &Device| mounted.contains(&(device.major, device.minor));
        self.marked.retain(|_, marked| is_mounted(&marked.device));
    }

    /// Marks the file system of `device` that is mounted at `point`. One that is covered there by
    /// another mount cannot be marked through it, and is left to the next.
    ///
    /// # Errors
    /// Says why the kernel refused.
    pub(super) fn mark(
        &mut self,
        point: &Path,
        filesystem: &str,
        device: Device,
    ) -> Result<(), String> {
        let number = (device.major, device.minor);
        let here = stat(point).map_err(refusal)?.st_dev;
        let shown = (major(here), minor(here));
        if shown != (number.0.into(), number.1.into()) {
            return Ok(());
        }
        self.tried.insert(number);
        let flags = MarkFlags::FAN_MARK_ADD | MarkFlags::FAN_MARK_FILESYSTEM;
        self.group
            .mark(flags, MaskFlags::FAN_FS_ERROR, AT_FDCWD, Some(point))
            .map_err(refusal)?;
        let id = statvfs(point).map_err(refusal)?.filesystem_id();
        let marked = Marked {
            device,
            filesystem: filesystem.to_owned(),
            told: None,
        };
        self.marked.insert(id, marked);
        Ok(())
    }

    /// Takes all reports and gives those to tell.
    pub(super) fn read(&mut self, at: At) -> Vec<Signal> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut signals = Vec::new();
        while let Ok(length) = read(&self.group, &mut buffer) {
            let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            for id in file_systems(bytes) {
                let Some(marked) = self.marked.get_mut(&id) else {
                    continue;
                };
                if marked.told.is_some_and(|then| at.since(then) < QUIET) {
                    continue;
                }
                marked.told = Some(at);
                signals.push(Signal {
                    at,
                    subject: subject_of(&marked.device),
                    fact: Fact::FilesystemError(FilesystemError {
                        filesystem: marked.filesystem.clone(),
                        device: marked.device.clone(),
                        function: String::new(),
                        line: 0,
                        trouble: FilesystemTrouble::Error,
                    }),
                });
            }
        }
        signals
    }
}

/// Ids of the file systems that events in `bytes` are about.
fn file_systems(bytes: &[u8]) -> Vec<u64> {
    let mut ids = Vec::new();
    let mut rest = bytes;
    while let Some(head) = rest.first_chunk::<4>() {
        let length = usize::try_from(u32::from_ne_bytes(*head)).unwrap_or(usize::MAX);
        let Some(event) = rest
            .get(..length)
            .filter(|event| event.len() >= METADATA_BYTES)
        else {
            break;
        };
        ids.extend(file_system(event));
        rest = rest.get(length..).unwrap_or_default();
    }
    ids
}

/// The id in one event's `struct fanotify_event_info_fid`, if it reports an error.
fn file_system(event: &[u8]) -> Option<u64> {
    let metadata_length = u16::from_ne_bytes(*event.get(6..)?.first_chunk()?);
    let mask = u64::from_ne_bytes(*event.get(8..)?.first_chunk()?);
    if mask & MaskFlags::FAN_FS_ERROR.bits() == 0 {
        return None;
    }
    let mut records = event.get(usize::from(metadata_length)..)?;
    loop {
        let [kind, _, low, high] = *records.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let record = records.get(..length).filter(|record| record.len() >= 4)?;
        if kind == INFO_FID {
            // Two numbers of 32 bits; statvfs(3) has the first below and the second above.
            let low = u32::from_ne_bytes(*record.get(4..)?.first_chunk()?);
            let high = u32::from_ne_bytes(*record.get(8..)?.first_chunk()?);
            return Some(u64::from(high) << 32 | u64::from(low));
        }
        records = records.get(length..)?;
    }
}

fn refusal(error: Errno) -> String {
    match error {
        Errno::EPERM => "needs CAP_SYS_ADMIN".to_owned(),
        Errno::EINVAL | Errno::ENOSYS => {
            "this kernel has no FAN_FS_ERROR (Linux 5.16, CONFIG_FANOTIFY)".to_owned()
        }
        _ => error.desc().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + body.len()).unwrap_or(u16::MAX);
        [&[kind, 0], length.to_ne_bytes().as_slice(), body].concat()
    }

    fn event(mask: u64, records: &[Vec<u8>]) -> Vec<u8> {
        let records = records.concat();
        let length = u32::try_from(METADATA_BYTES + records.len()).unwrap_or(u32::MAX);
        let metadata: [&[u8]; 6] = [
            &length.to_ne_bytes(),
            &[3, 0],
            &24_u16.to_ne_bytes(),
            &mask.to_ne_bytes(),
            &(-1_i32).to_ne_bytes(),
            &0_i32.to_ne_bytes(),
        ];
        [metadata.concat(), records].concat()
    }

    #[test]
    fn the_id_is_found_behind_other_records() {
        let error = record(5, &[117, 0, 0, 0, 2, 0, 0, 0]);
        let id = [7_u32.to_ne_bytes(), 9_u32.to_ne_bytes(), [0; 4]].concat();
        let fid = record(INFO_FID, &id);
        let mask = MaskFlags::FAN_FS_ERROR.bits();
        let ours = event(mask, &[error, fid.clone()]);
        let others = event(MaskFlags::FAN_OPEN.bits(), &[fid]);
        let expected = 9 << 32 | 7;
        assert_eq!(
            file_systems(&[others, ours.clone(), ours].concat()),
            [expected, expected]
        );
        assert!(file_systems(&event(mask, &[])).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            file_systems(&bytes);
            let body = bytes.chunks(40).map(<[u8]>::to_vec).collect::<Vec<_>>();
            file_systems(&event(MaskFlags::FAN_FS_ERROR.bits(), &body));
        }
    }
}
