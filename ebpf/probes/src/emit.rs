//! The way out: two rings, a spill, and an outcome counted for each run, so that nothing is lost
//! silently.
//!
//! Rare events (a kill, a disk error) have a small ring of their own: however many processes come
//! and go, they cannot push one out; and what finds that ring full is kept in the spill, so that
//! the last events of a burst survive as well as the first. Counters are per CPU because this
//! target has no atomic add; a hook's program never interrupts itself on its CPU (the kernel skips
//! such a run and counts it in `recursion_misses`), so plain additions are exact.

use core::{arch::asm, mem::MaybeUninit};

use aya_ebpf::{
    btf_maps::{Array, PerCpuArray, RingBuf},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ringbuf_query},
    macros::btf_map,
};
use hostmedic_abi::{
    Attestation, Counter, HOOKS, Hook, MODE_COUNT, MODE_READ_EVERY, MODE_STREAM, OomVictim,
    ProcessExec, Row, Rows, RowsElement, SAMPLE_ONE_OF, SPILL_LEN, SPILL_SLOTS, Seat, SpillSlot,
};

use crate::frozen::frozen;

/// Events that must not be lost: 64 KiB, or some five hundred not yet read.
#[btf_map]
static RARE: RingBuf<OomVictim, 65_536> = RingBuf::new();

/// Events of everyday life: 512 KiB, or some eight thousand not yet read.
#[btf_map]
static HOT: RingBuf<ProcessExec, 524_288> = RingBuf::new();

/// Each CPU's rows, one a hook; the daemon sizes it by the CPUs. An array of its own and not one of the
/// kernel's per-CPU ones: a row is found without a look into the map, and a small array lies where the
/// kernel maps its memory in large pages, so that no table of pages has to be walked for it.
#[btf_map]
static COUNTS: Array<RowsElement, 1> = Array::new();

/// A `MODE_` constant a hook; the daemon sets them.
#[btf_map]
static MODES: Array<u32, HOOKS> = Array::new();

/// Newest rare events that found their ring full.
#[btf_map]
static SPILL: PerCpuArray<SpillSlot, { SPILL_SLOTS as usize }> = PerCpuArray::new();

/// How many events each CPU has spilled; one row.
#[btf_map]
static SPILLED: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Runs that the kernel skipped and events recovered from the spill, a pair for each hook, as of
/// programs that are gone. Only the daemon writes it; it stands here to be pinned with `COUNTS`.
#[btf_map]
static KEPT: Array<[u64; 2], HOOKS> = Array::new();

/// Up to which number the daemon has read each CPU's spill; one row, which only the daemon writes.
#[btf_map]
static SPILL_READ: PerCpuArray<u64, 1> = PerCpuArray::new();

/// What attestation read; one row.
#[btf_map]
static ATTESTED: Array<Attestation, 1> = Array::new();

/// `BPF_F_MMAPABLE` of bpf(2).
pub const MMAPABLE: usize = 1 << 10;

frozen! {
    /// Bytes in the everyday ring from which on its reader is woken.
    HOT_WAKE_BYTES: u32;
    /// Bytes before the rows in an element of `COUNTS`.
    ROWS_AT: u32;
}

/// `BPF_RB_NO_WAKEUP` of bpf(2): the reader of everyday events looks by itself. Waking it for each
/// would cost more than all the rest of the hook.
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`: the reader is woken also if it has not read what came before.
const FORCE_WAKEUP: u64 = 2;
/// `BPF_RB_AVAIL_DATA`: bytes that have not been read.
const AVAIL_DATA: u64 = 0;

/// One run of a hook, which ends in exactly one outcome.
pub struct Run {
    row: *mut Row,
    hook: Hook,
}

impl Run {
    /// Counts this run as seen. `None` if the hook is to do less and leaves this run out, which is
    /// counted, too.
    #[inline(always)]
    pub fn begin(hook: Hook) -> Option<Self> {
        let run = Self::of(hook)?;
        let is_unusual = run.is_unusual() != 0;
        run.add(Counter::Seen);
        (!is_unusual || goes_on(run.row, hook)).then_some(run)
    }

    /// A run of which nothing is counted yet.
    #[inline(always)]
    pub fn of(hook: Hook) -> Option<Self> {
        let rows = COUNTS.get_ptr_mut(cpu())?;
        // SAFETY: this CPU's element, in which the rows are; the hook names one of them. The pointer
        // lives as long as the map. The sum is made out of the compiler's sight: it would reach each of
        // the row's words from the first row on, and distances of 128 bytes and more make instructions
        // longer.
        let row = unsafe {
            let rows = rows.cast::<Rows>();
            let mut row = &raw mut (*rows)[hook as usize];
            asm!(
                "{row} += {before}",
                row = inout(reg) row,
                before = in(reg) ROWS_AT.word(),
                options(pure, nomem, nostack, preserves_flags),
            );
            row
        };
        Some(Self { row, hook })
    }

    /// Zero if the hook does all and this is none of the runs that look whether that still holds. The
    /// daemon changes the mode seldom, and its map lies far from the row; but a hook that does less must
    /// hear at once that it may do all again, however seldom it runs, also from a row that an earlier
    /// daemon left.
    ///
    /// A number, to be joined with others before it decides anything: what decides is one jump then, and
    /// the processor foresees jumps badly where it comes seldom.
    #[inline(always)]
    pub fn is_unusual(&self) -> u64 {
        const { assert!(MODE_STREAM == 0 && MODE_READ_EVERY.is_power_of_two()) };
        // SAFETY: as in `add`.
        let (mode, seen) = unsafe {
            (
                (*self.row).mode,
                (*self.row).outcomes[Counter::Seen as usize],
            )
        };
        mode | is_zero(seen & u64::from(MODE_READ_EVERY - 1))
    }

    /// Counts a run that is usual, and leaves no event.
    #[inline(always)]
    pub fn end_usual(self, outcome: Counter) {
        self.add(Counter::Seen);
        self.add(outcome);
    }

    /// Counts a run of `hook` that saw no event. Not inline, as `goes_on`.
    #[inline(never)]
    pub fn pass(hook: Hook) {
        if let Some(run) = Self::begin(hook) {
            run.end(Counter::Filtered);
        }
    }

    /// Ends it with an outcome that leaves no event.
    #[inline(always)]
    pub fn end(self, outcome: Counter) {
        self.add(outcome);
    }

    /// Sends `event` in the lane that must not lose any.
    #[inline(always)]
    pub fn deliver_rare<T: Copy + 'static>(self, event: T) {
        match RARE.reserve_untyped::<T>(0) {
            Some(mut slot) => {
                slot.write(event);
                slot.submit(0);
                self.add(Counter::Delivered);
            }
            None => {
                spill(self.hook, event);
                self.add(Counter::RingFull);
            }
        }
    }

    /// Sends `event` in the everyday lane. If it finds no room, the run goes on.
    #[inline(always)]
    pub fn deliver_hot<T: Copy + 'static>(self, event: T) -> Option<Self> {
        match HOT.reserve_untyped::<T>(0) {
            Some(mut slot) => {
                slot.write(event);
                slot.submit(wake_up());
                self.add(Counter::Delivered);
                None
            }
            None => Some(self),
        }
    }

    /// Sends an event in the everyday lane that is too large for the stack: `fill` writes all of
    /// it. Its reader is woken for it if it is `urgent`.
    #[inline(always)]
    pub fn deliver_large<T: 'static>(self, urgent: bool, fill: impl FnOnce(&mut MaybeUninit<T>)) {
        match HOT.reserve_untyped::<T>(0) {
            Some(mut slot) => {
                fill(&mut slot);
                slot.submit(if urgent { FORCE_WAKEUP } else { wake_up() });
                self.add(Counter::Delivered);
            }
            None => {
                self.add(Counter::RingFull);
            }
        }
    }

    /// The hook's seat on this CPU.
    #[inline(always)]
    pub fn seat(&mut self) -> &mut Seat {
        // SAFETY: in this CPU's row, which lives as long as the map. Only this hook's programs
        // come here, and the run is borrowed.
        unsafe { &mut (*self.row).seat }
    }

    /// Which hook it is.
    #[inline(always)]
    pub fn hook(&self) -> Hook {
        self.hook
    }

    /// So many runs that were [`Counter::Aggregated`] found no room after all.
    #[inline(always)]
    pub fn found_no_room(&self, runs: u64) {
        // SAFETY: as in `add`.
        unsafe {
            let outcomes = &mut (*self.row).outcomes;
            outcomes[Counter::Aggregated as usize] -= runs;
            outcomes[Counter::MapFull as usize] += runs;
        }
    }

    /// Adds one.
    #[inline(always)]
    fn add(&self, counter: Counter) {
        // SAFETY: points into this CPU's row, which lives as long as the map, and no other
        // program writes it; the column is within the row by its type.
        unsafe {
            (*self.row).outcomes[counter as usize] += 1;
        }
    }
}

/// Brings the mode in a hook's row up to date; whether a run goes on by it. If not, that is counted. A
/// function of its own, as all that most runs do not need: instructions that a run only jumps over are
/// fetched as well.
#[inline(never)]
fn goes_on(row: *mut Row, hook: Hook) -> bool {
    // SAFETY: as in `Run::add`.
    let row = unsafe { &mut *row };
    if let Some(mode) = MODES.get(hook as u32) {
        row.mode = u64::from(*mode);
    }
    let mode = row.mode as u32;
    let is_in_sample = row.outcomes[Counter::Seen as usize] & u64::from(SAMPLE_ONE_OF - 1) == 0;
    let goes_on = mode == MODE_STREAM || (mode != MODE_COUNT && is_in_sample);
    if !goes_on {
        row.outcomes[Counter::SampledOut as usize] += 1;
    }
    goes_on
}

/// 1 for zero, 0 for a number below half of all: without a jump.
#[inline(always)]
pub fn is_zero(number: u64) -> u64 {
    number.wrapping_sub(1) >> 63
}

/// Whether the reader of everyday events is woken: before the ring is full, and not before it is worth
/// it.
#[inline(always)]
fn wake_up() -> u64 {
    let map = (&raw const HOT).cast_mut().cast();
    // SAFETY: a helper that takes the map by its address, as those of its methods do, and only reads.
    let waiting = unsafe { bpf_ringbuf_query(map, AVAIL_DATA) };
    if waiting >= u64::from(HOT_WAKE_BYTES.load()) {
        FORCE_WAKEUP
    } else {
        NO_WAKEUP
    }
}

/// The CPU that this program runs on, and stays on until its end.
#[inline(always)]
pub fn cpu() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_smp_processor_id() }
}

/// Keeps `event` as one of this CPU's newest.
#[inline(always)]
fn spill<T: Copy + 'static>(hook: Hook, event: T) {
    const { assert!(size_of::<T>() <= SPILL_LEN && align_of::<T>() <= 8) };
    let Some(spilled) = SPILLED.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: this CPU's own row.
    let number = unsafe {
        *spilled += 1;
        *spilled
    };
    let Some(slot) = SPILL.get_ptr_mut((number % u64::from(SPILL_SLOTS)) as u32) else {
        return;
    };
    // SAFETY: this CPU's own row; the event fits by the assertion above, and its place in the slot
    // is aligned for words. Another hook that interrupts here takes the next slot.
    unsafe {
        (&raw mut (*slot).begun).write_volatile(number);
        (&raw mut (*slot).hook).write_volatile(hook as u64);
        (&raw mut (*slot).event).cast::<T>().write_volatile(event);
        (&raw mut (*slot).ended).write_volatile(number);
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
