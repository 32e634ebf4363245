//! What one run remembers for a later one of another hook.

use aya_ebpf::{btf_maps::LruHashMap, macros::btf_map};
use hostmedic_abi::COMM_LEN;

/// Processes by id, where `mark_victim` names only an id. The daemon sizes it to 1 elsewhere.
#[btf_map]
static RECENT: LruHashMap<u32, Recent, 8192> = LruHashMap::new();

/// Groups already reported as ended, where the tracepoint does not say which thread is the
/// last. The daemon sizes it to 1 elsewhere.
#[btf_map]
static ENDED: LruHashMap<[u64; 2], u8, 1024> = LruHashMap::new();

/// When the kernel itself last sent `SIGKILL` to a process, by its id.
#[btf_map]
static KILLED: LruHashMap<u32, u64, 256> = LruHashMap::new();

/// Whose memory ran out, by the thread that looks for a victim.
#[btf_map]
static SCOPES: LruHashMap<u64, Scope, 64> = LruHashMap::new();

/// `BPF_NOEXIST` of bpf(2): insert only what is new.
const NOEXIST: u64 = 1;

/// What exec knew about a process.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Recent {
    /// When it started.
    pub started_boot_ns: u64,
    /// Its cgroup then.
    pub cgroup_id: u64,
    /// Its name then.
    pub comm: [u8; COMM_LEN],
}

/// Whose memory ran out, and how many victims that has had.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Scope {
    /// When the search began.
    pub at_boot_ns: u64,
    /// The cgroup that hit its limit; 0 for the host.
    pub cgroup_id: u64,
    /// 1 if that is of the unified tree.
    pub is_unified: u64,
    /// Victims so far.
    pub victims: u64,
}

/// Remembers a process for a later kill that names only its id.
#[inline(always)]
pub fn remember(pid: u32, recent: Recent) {
    // An insertion that fails costs attribution of one kill, which then says so.
    let _ = RECENT.insert(pid, recent, 0);
}

/// What exec knew about `pid`.
#[inline(always)]
pub fn recall(pid: u32) -> Option<Recent> {
    // SAFETY: copied at once. Any bytes are a valid row; one that the kernel gives to another
    // process in that moment would be told as this one, in a hook reported as degraded anyway.
    unsafe { RECENT.get(pid) }.copied()
}

/// Whether this is the first report that the group ended.
#[inline(always)]
pub fn first_end(pid: u32, started_boot_ns: u64) -> bool {
    ENDED
        .insert([u64::from(pid), started_boot_ns], 1, NOEXIST)
        .is_ok()
}

/// Whether the group was reported as ended.
#[inline(always)]
pub fn has_ended(pid: u32, started_boot_ns: u64) -> bool {
    ENDED.get_ptr([u64::from(pid), started_boot_ns]).is_some()
}

/// Remembers that the kernel sent `SIGKILL` to a process.
#[inline(always)]
pub fn remember_kill(pid: u32, at_boot_ns: u64) {
    let _ = KILLED.insert(pid, at_boot_ns, 0);
}

/// When the kernel last sent `SIGKILL` to that process; 0 if never.
#[inline(always)]
pub fn kill_of(pid: u32) -> u64 {
    // SAFETY: copied at once; see `recall`.
    unsafe { KILLED.get(pid) }.copied().unwrap_or(0)
}

/// Remembers whose memory ran out for the running thread, which now chooses a victim.
#[inline(always)]
pub fn remember_scope(pid_tgid: u64, scope: Scope) {
    let _ = SCOPES.insert(pid_tgid, scope, 0);
}

/// Whose memory ran out for the running thread, counting one victim more.
#[inline(always)]
pub fn scope_of(pid_tgid: u64) -> Option<Scope> {
    let scope = SCOPES.get_ptr_mut(pid_tgid)?;
    // SAFETY: only this thread uses its entry; see `recall`.
    unsafe {
        let before = *scope;
        (*scope).victims += 1;
        Some(before)
    }
}
