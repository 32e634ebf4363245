//! A cgroup that came or went, or a process that moved.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, TaskId};

/// [`CgroupChange::change`]: it was made.
pub const CGROUP_MADE: u32 = 0;
/// [`CgroupChange::change`]: it was removed.
pub const CGROUP_REMOVED: u32 = 1;
/// [`CgroupChange::change`]: `task` was moved there.
pub const CGROUP_ATTACHED: u32 = 2;

/// Bytes of a path that are kept; a longer one is cut.
pub const PATH_LEN: usize = 200;

/// Written by `probes/src/{cgroup_made,cgroup_removed,cgroup_attached}.rs`, read by
/// `observe/src/kernel/decode.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct CgroupChange {
    /// [`crate::KIND_CGROUP_CHANGE`].
    pub header: Header,
    /// When.
    pub at_boot_ns: u64,
    /// cgroup v2 id.
    pub cgroup_id: u64,
    /// A `CGROUP_` constant.
    pub change: u32,
    /// Bytes of `path`, its final zero included, that the kernel copied.
    pub path_len: u32,
    /// Who moved, if somebody did.
    pub task: TaskId,
    /// Path below the root, ended by a zero.
    pub path: [u8; PATH_LEN],
}

const _: () = assert!(size_of::<CgroupChange>() == 272);
