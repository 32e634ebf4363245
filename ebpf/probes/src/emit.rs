//! The way out: two rings, and a count for each run, so that nothing is lost silently.
//!
//! Rare events (a kill) have a small ring of their own: however many processes come and go,
//! they cannot push a kill out. Counters are per CPU because this target has no atomic add; a
//! hook's program never interrupts itself on its CPU (the kernel skips such a run and counts it
//! in `recursion_misses`), so plain additions are exact.

use aya_ebpf::{
    btf_maps::{Array, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use hostmedic_abi::{
    Attestation, COMM_LEN, COUNTERS, Counter, HOOKS, Hook, OomVictim, ProcessExec,
};

/// Events that must not be lost: 64 KiB, or about a thousand kills not yet read.
#[btf_map]
static RARE: RingBuf<OomVictim, 65_536> = RingBuf::new();

/// Events of everyday life: 1 MiB, or about 16,000 events not yet read.
#[btf_map]
static HOT: RingBuf<ProcessExec, 1_048_576> = RingBuf::new();

/// One row a hook.
#[btf_map]
static COUNTS: PerCpuArray<[u64; COUNTERS], HOOKS> = PerCpuArray::new();

/// What attestation read; one row.
#[btf_map]
static ATTESTED: Array<Attestation, 1> = Array::new();

/// Processes by id, where `mark_victim` names only an id. The daemon sizes it to 1 elsewhere.
#[btf_map]
static RECENT: LruHashMap<u32, Recent, 8192> = LruHashMap::new();

/// Groups already reported as ended, where the tracepoint does not say which thread is the
/// last. The daemon sizes it to 1 elsewhere.
#[btf_map]
static ENDED: LruHashMap<[u64; 2], u8, 1024> = LruHashMap::new();

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

/// One run of a hook, which ends as delivered, lost or filtered.
pub struct Run(*mut [u64; COUNTERS]);

impl Run {
    /// Counts this run as seen. `None` cannot happen, but the verifier wants it handled.
    #[inline(always)]
    pub fn seen(hook: Hook) -> Option<Self> {
        let run = Self(COUNTS.get_ptr_mut(hook as u32)?);
        run.add(Counter::Seen);
        Some(run)
    }

    /// There is nothing to tell.
    #[inline(always)]
    pub fn filter(self) {
        self.add(Counter::Filtered);
    }

    /// Sends `event` in the lane that must not lose any.
    #[inline(always)]
    pub fn deliver_rare(self, event: OomVictim) {
        match RARE.reserve(0) {
            Some(mut slot) => {
                slot.write(event);
                slot.submit(0);
                self.add(Counter::Delivered);
            }
            None => self.add(Counter::RingFull),
        }
    }

    /// Sends `event` in the everyday lane.
    #[inline(always)]
    pub fn deliver_hot<T: Copy + 'static>(self, event: T) {
        match HOT.reserve_untyped::<T>(0) {
            Some(mut slot) => {
                slot.write(event);
                slot.submit(0);
                self.add(Counter::Delivered);
            }
            None => self.add(Counter::RingFull),
        }
    }

    #[inline(always)]
    fn add(&self, counter: Counter) {
        // SAFETY: points into this CPU's row, which lives as long as the map, and no other
        // program writes it; the column is within the row by its type.
        unsafe { (*self.0)[counter as usize] += 1 }
    }
}

/// Changes the attestation record.
#[inline(always)]
pub fn attest(fill: impl FnOnce(&mut Attestation)) {
    if let Some(record) = ATTESTED.get_ptr_mut(0) {
        // SAFETY: the pointer is into the map's only row; the one thread that attests runs the
        // attesting programs one after the other, and the daemon reads copies.
        fill(unsafe { &mut *record });
    }
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
    ENDED.get_ptr(&[u64::from(pid), started_boot_ns]).is_some()
}
