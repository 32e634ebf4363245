//! Why no probe could be loaded at all: what was tried, and what to do.

use std::io;

use hostmedic_model::loss::{Coverage, HookReport};
use thiserror::Error;

use super::hook::{ALL, Info};

/// Nothing can be captured from this kernel. [`ProbeError::reports`] says so for each hook.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The kernel does not describe its types.
    #[error(
        "cannot read /sys/kernel/btf/vmlinux: the kernel needs CONFIG_DEBUG_INFO_BTF, \
         and the service must see /sys/kernel/btf"
    )]
    NoBtf {
        /// Why not.
        source: io::Error,
    },
    /// The kernel's description is unreadable.
    #[error("cannot read the types in /sys/kernel/btf/vmlinux: {why}; please report this kernel")]
    BadBtf {
        /// Why not.
        why: String,
    },
    /// The kernel refused the probes' maps or the object itself is bad.
    #[error(
        "cannot create the probes' maps: {why}; it takes CAP_BPF and CAP_PERFMON, \
         a kernel from 5.10 on and, before 5.11, a raised memlock limit"
    )]
    Object {
        /// What aya said.
        why: String,
    },
    /// A map of the object is missing or of another shape.
    #[error("cannot open the probes' map {map}: {why}; build daemon and probes together")]
    Map {
        /// Its name.
        map: &'static str,
        /// What aya said.
        why: String,
    },
    /// A reader could not be started.
    #[error("cannot start the reader of the {lane} ring")]
    Reader {
        /// Which ring.
        lane: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// `start` was called before.
    #[error("the readers of the rings were started before; they can be started once")]
    Started,
    /// The kernel's own statistics cannot be read.
    #[error("cannot read {path}, where the kernel accounts for the probes")]
    Account {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

impl ProbeError {
    /// A report for each hook: absent, and this is why.
    pub fn reports(&self) -> Vec<HookReport> {
        let absent = |info: &Info| HookReport {
            hook: info.name.to_owned(),
            attach_point: info.attach_point(),
            coverage: Coverage::Absent,
            reason: self.to_string(),
        };
        ALL.iter().map(absent).collect()
    }
}
