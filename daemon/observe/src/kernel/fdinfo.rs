//! What the kernel says about a map or program in /proc/self/fdinfo (`proc_pid_fdinfo(5)`).

use std::{
    fs::File,
    io::Read as _,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use aya::Ebpf;

use super::error::ProbeError;

/// `BPF_MAP_TYPE_RINGBUF`, include/uapi/linux/bpf.h.
const TYPE_RINGBUF: u64 = 27;
/// Bytes of such a text as a rule, and at most.
const TEXT_BYTES: usize = 1024;
const TEXT_BYTES_MAX: u64 = 64 << 10;

/// The text of one file: lines of `name:\tvalue`.
pub(crate) struct FdInfo(String);

impl FdInfo {
    /// About the open descriptor `fd`.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Result<Self, ProbeError> {
        let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
        let mut text = String::with_capacity(TEXT_BYTES);
        // The standard library would ask for its size first and then read it in small pieces.
        let read =
            File::open(&path).and_then(|file| file.take(TEXT_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => Ok(Self(text)),
            Err(source) => Err(ProbeError::Account { path, source }),
        }
    }

    /// About the program `name`; `None` if it is not loaded.
    pub(crate) fn of_program(ebpf: &Ebpf, name: &str) -> Result<Option<Self>, ProbeError> {
        match ebpf.program(name).map(aya::programs::Program::fd) {
            Some(Ok(fd)) => Self::of(fd.as_fd()).map(Some),
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// Bytes that this map takes in the kernel, as it accounts for them (`memlock`, since 6.4 the
    /// true usage). From 5.11 to 6.3 a ring's data is left out there, so it counts by its size.
    pub(crate) fn map_bytes(&self) -> u64 {
        let bytes = self.number("memlock").unwrap_or(0);
        if self.number("map_type") == Some(TYPE_RINGBUF) {
            bytes.max(self.number("max_entries").unwrap_or(0))
        } else {
            bytes
        }
    }

    /// The number called `name`.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let value = |line: &str| {
            line.strip_prefix(name)?
                .strip_prefix(':')?
                .trim()
                .parse()
                .ok()
        };
        self.0.lines().find_map(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_counts_where_the_kernel_leaves_it_out() {
        let bytes = |text: &str| FdInfo(text.to_owned()).map_bytes();
        let hash = "map_type:\t1\nmax_entries:\t65536\nmemlock:\t4096\n";
        let before = "map_type:\t27\nmax_entries:\t65536\nmemlock:\t0\n";
        let since = "map_type:\t27\nmax_entries:\t65536\nmemlock:\t78152\n";
        assert_eq!([hash, before, since].map(bytes), [4096, 65536, 78152]);
    }

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let info = FdInfo("memlock:\t4096\nrun_time_ns:\t17\nrun_cnt:\tx\n".to_owned());
        assert_eq!(info.number("memlock"), Some(4096));
        assert_eq!(info.number("run_time_ns"), Some(17));
        assert_eq!(info.number("run_time"), None);
        assert_eq!(info.number("run_cnt"), None);
    }
}
