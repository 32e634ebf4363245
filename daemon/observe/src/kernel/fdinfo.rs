//! What the kernel says about a map or program in /proc/self/fdinfo (`proc_pid_fdinfo(5)`).

use std::{
    fs,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use aya::Ebpf;

use super::error::ProbeError;

/// The text of one file: lines of `name:\tvalue`.
pub(crate) struct FdInfo(String);

impl FdInfo {
    /// About the open descriptor `fd`.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Result<Self, ProbeError> {
        let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self(text)),
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
    fn numbers_are_found_by_their_whole_name() {
        let info = FdInfo("memlock:\t4096\nrun_time_ns:\t17\nrun_cnt:\tx\n".to_owned());
        assert_eq!(info.number("memlock"), Some(4096));
        assert_eq!(info.number("run_time_ns"), Some(17));
        assert_eq!(info.number("run_time"), None);
        assert_eq!(info.number("run_cnt"), None);
    }
}
