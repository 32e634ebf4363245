//! A process the kernel has chosen to kill for lack of memory.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{COMM_LEN, Header, TaskId};

/// In [`OomVictim::known`]: process, start, cgroup and name are the victim's.
pub const KNOWN_IDENTITY: u32 = 1;
/// In [`OomVictim::known`]: `oom_score_adj` was read.
pub const KNOWN_SCORE: u32 = 2;
/// In [`OomVictim::known`]: `rss_pages` was read.
pub const KNOWN_RSS: u32 = 4;
/// In [`OomVictim::known`]: whether a signal was sent can be told, by `SENT_SIGKILL`.
pub const KNOWN_SIGKILL: u32 = 8;
/// In [`OomVictim::known`]: the kernel had just sent it `SIGKILL`.
pub const SENT_SIGKILL: u32 = 16;
/// In [`OomVictim::known`]: `scope_cgroup_id` and `member` were seen by `oom_scope`.
pub const KNOWN_SCOPE: u32 = 32;
/// In [`OomVictim::known`]: the scope's cgroup is of the unified tree.
pub const SCOPE_UNIFIED: u32 = 64;

/// Written by `probes/src/oom_victim.rs`, read by `observe/src/kernel/decode.rs`.
///
/// The kernel sometimes marks a victim that is already exiting and then sends no signal
/// (`task_will_free_mem` in `mm/oom_kill.c`), so this is a choice, not yet a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct OomVictim {
    /// [`crate::KIND_OOM_VICTIM`].
    pub header: Header,
    /// When it was chosen.
    pub at_boot_ns: u64,
    /// When the victim's process started.
    pub started_boot_ns: u64,
    /// cgroup v2 id of the victim; 0 when unknown.
    pub cgroup_id: u64,
    /// Process (thread group) id in the initial namespace; the thread's where only that is known.
    pub pid: u32,
    /// Thread the kernel named; it may be any thread of the process.
    pub tid: u32,
    /// `KNOWN_` and other bits above.
    pub known: u32,
    /// `oom_score_adj`, -1000 to 1000.
    pub oom_score_adj: i32,
    /// Name of the process, zero-padded.
    pub comm: [u8; COMM_LEN],
    /// Resident pages: file, anonymous and shared memory together.
    pub rss_pages: u64,
    /// The task that wanted memory.
    pub killer: TaskId,
    /// cgroup whose limit was hit, in the memory controller's tree; 0 for the host.
    pub scope_cgroup_id: u64,
    /// How many victims this one call had before: more than one when a group dies as a whole.
    pub member: u64,
}

const _: () = assert!(size_of::<OomVictim>() == 128);
