//! Counting by key, and each cgroup's share of events.
//!
//! Forks, execs and exits come often and find caches cold, so that each map they touch costs as much
//! as all the rest. Theirs are counted in the hook's own row as long as they are of one cgroup, and
//! by key when another one comes.
//!
//! Three maps, so that a storm of one kind cannot fill the room of another: processes, network,
//! disks. The daemon sizes them so that all maps together stay within 8 MB at any number of CPUs,
//! and takes out keys that no longer change.

use aya_ebpf::{
    btf_maps::{Array, LruHashMap, PerCpuHashMap},
    macros::btf_map,
};
use hostmedic_abi::{Counter, DiskSeat, DiskSeats, DropSeat, DropSeats, FlowKey, Hook, Key, Tally};

use crate::{
    emit::{MMAPABLE, Run, cpu, is_zero},
    kernel::{Cgroup, Task, now_boot_ns},
};

/// Signals by cgroup; forks, execs and exits of the cgroups that have left their seats.
#[btf_map]
static PROCESSES: PerCpuHashMap<Key, Tally, 1024> = PerCpuHashMap::new();

/// Retransmits and resets, and drops that have left their seats.
#[btf_map]
static NETWORK: PerCpuHashMap<Key, Tally, 1024> = PerCpuHashMap::new();

/// Each CPU's drops that are not in `NETWORK` yet. The daemon sizes it; CPUs beyond have no seats.
#[btf_map]
static DROP_SEATS: Array<DropSeats, 1, MMAPABLE> = Array::new();

/// Latencies by device, of those that have left their seats; the daemon sizes it to 1 unless they are
/// wanted.
#[btf_map]
static DISKS: PerCpuHashMap<Key, Tally, 256> = PerCpuHashMap::new();

/// Each CPU's latencies that are not in `DISKS` yet. The daemon sizes it; CPUs beyond have no seats.
#[btf_map]
static DISK_SEATS: Array<DiskSeats, 1, MMAPABLE> = Array::new();

/// Connections.
#[btf_map]
static FLOWS: PerCpuHashMap<FlowKey, Tally, 512> = PerCpuHashMap::new();

/// When the next event of a cgroup and hook is within its share, on the boot clock.
#[btf_map]
static SHARES: LruHashMap<[u64; 2], u64, 1024> = LruHashMap::new();

/// `BPF_NOEXIST` of bpf(2): insert only what is new.
const NOEXIST: u64 = 1;

/// Events a second that one cgroup (or device) may send through one hook, in the long run ...
const SHARE_INTERVAL_NS: u64 = 100_000_000;
/// ... and at once.
const SHARE_BURST_NS: u64 = 128 * SHARE_INTERVAL_NS;
/// Bits of the interval.
const SHARE_INTERVAL_BITS: u32 = SHARE_INTERVAL_NS.ilog2() + 1;

/// Counts a deadly signal under `key`; `false` if there is no room for it.
#[inline(always)]
pub fn count_signal(key: Key) -> bool {
    add(&PROCESSES, key, 1, 0)
}

/// Who did something. Read before a run begins: that lies where caches are cold, and the processor waits
/// for it while it fetches the rest of the program.
#[derive(Clone, Copy)]
pub struct Doer {
    /// The running task.
    task: Task,
    /// Of its cgroup; as in [`hostmedic_abi::Seat::inverted_serial`].
    inverted_serial: u64,
}

impl Doer {
    /// The running task, with its cgroup of now.
    #[inline(always)]
    pub fn of(task: Task) -> Self {
        Self {
            task,
            inverted_serial: inverted_serial_of(task.cgroup()),
        }
    }

    /// The running task.
    #[inline(always)]
    pub fn task(self) -> Task {
        self.task
    }
}

/// A cgroup's serial number, inverted; zero where the walk broke off.
#[inline(always)]
fn inverted_serial_of(cgroup: Option<Cgroup>) -> u64 {
    cgroup.map_or(0, |cgroup| !cgroup.serial())
}

/// Counts what somebody did, and all of its run, if the run is like most: the hook does all, the cgroup
/// is the one whose seat it is, and `unusual` is zero. If not, nothing is counted, and the answer is
/// `false`.
///
/// All is asked at once, and the rest is a function of its own, because these hooks run where caches are
/// cold: instructions that a run only jumps over are fetched as well, and jumps foreseen badly.
#[inline(always)]
pub fn count_usual(mut run: Run, doer: Doer, unusual: u64) -> bool {
    let seat = run.seat();
    let is_other = seat.inverted_serial ^ doer.inverted_serial;
    if run.is_unusual() | is_other | unusual != 0 {
        return false;
    }
    run.seat().count += 1;
    run.end_usual(Counter::Aggregated);
    true
}

/// Counts what somebody did in the seat of the run's hook; the id of its cgroup, 0 when unknown.
#[inline(always)]
pub fn count_deed(run: &mut Run, doer: Doer) -> u64 {
    if run.seat().inverted_serial != doer.inverted_serial {
        give_seat(run, doer.task);
    }
    run.seat().count += 1;
    run.seat().cgroup_id
}

/// Gives the seat of the run's hook to a task's cgroup, which is read once more: number and id must be
/// of one cgroup.
#[inline(always)]
fn give_seat(run: &mut Run, task: Task) {
    let left = *run.seat();
    let cgroup = task.cgroup();
    let cgroup_id = cgroup.map_or(0, Cgroup::id);
    let seat = run.seat();
    sit(&mut seat.count, &mut seat.cgroup_id, cgroup_id);
    seat.inverted_serial = inverted_serial_of(cgroup);
    (seat.told, seat.refused_until_charged_ns) = (0, 0);
    let key = Key::of(run.hook(), left.cgroup_id);
    if left.count > 0 && !add(&PROCESSES, key, left.count, 0) {
        run.found_no_room(left.count - left.told);
    }
}

/// Counts a dropped packet of so many bytes; the outcome of the run.
#[inline(always)]
pub fn count_drop(run: &Run, key: Key, bytes: u64) -> Counter {
    let Some(seats) = DROP_SEATS.get_ptr_mut(cpu()) else {
        return match add(&NETWORK, key, 1, bytes) {
            true => Counter::Aggregated,
            false => Counter::MapFull,
        };
    };
    let words = key.words();
    // SAFETY: this CPU's own seats, which live as long as the map, and no other program uses them.
    let seat = unsafe { &mut (*seats)[DropSeat::place_of(words)] };
    if !seat.is_of(words) {
        let left = *seat;
        // SAFETY: references; volatile keeps their order, by which readers know a change.
        unsafe {
            (&raw mut seat.begun).write_volatile(left.begun + 1);
            (&raw mut seat.count).write_volatile(0);
            (&raw mut seat.amount).write_volatile(0);
            (&raw mut seat.key).write_volatile(words);
            (&raw mut seat.ended).write_volatile(left.begun + 1);
        }
        let had = Key::of_words(left.key);
        if left.count > 0 && !add(&NETWORK, had, left.count, left.amount) {
            run.found_no_room(left.count);
        }
    }
    seat.count += 1;
    seat.amount += bytes;
    Counter::Aggregated
}

/// Counts a disk request of `kind` that took so long; the outcome of the run.
#[inline(always)]
pub fn count_disk(run: &Run, kind: u64, took_ns: u64) -> Counter {
    let Some(seats) = DISK_SEATS.get_ptr_mut(cpu()) else {
        return match add(&DISKS, DiskSeat::key_of(kind), 1, took_ns) {
            true => Counter::Aggregated,
            false => Counter::MapFull,
        };
    };
    // SAFETY: this CPU's own seats, which live as long as the map, and no other program uses them.
    let seat = unsafe { &mut (*seats)[DiskSeat::place_of(kind)] };
    if seat.kind != kind {
        let left = *seat;
        sit(&mut seat.count, &mut seat.kind, kind);
        seat.amount = 0;
        let key = DiskSeat::key_of(left.kind);
        if left.count > 0 && !add(&DISKS, key, left.count, left.amount) {
            run.found_no_room(left.count);
        }
    }
    seat.count += 1;
    seat.amount += took_ns;
    Counter::Aggregated
}

/// Gives a seat to another one. Its count goes first, so that who reads meanwhile finds too little
/// under a name, never what is another one's.
#[inline(always)]
fn sit(count: &mut u64, name: &mut u64, newcomer: u64) {
    // SAFETY: references; volatile keeps their order.
    unsafe {
        (&raw mut *count).write_volatile(0);
        (&raw mut *name).write_volatile(newcomer);
    }
}

/// Zero if the seat remembers that its cgroup's share is used up; also when it is another cgroup's. A
/// number, as [`Run::is_unusual`].
///
/// It remembers until about the moment at which the next token is due, on the clock that the scheduler
/// charges tasks by: to read another would cost as much as all the rest.
#[inline(always)]
pub fn may_ask(run: &mut Run, doer: Doer) -> u64 {
    let refused_ns = run.seat().refused_until_charged_ns;
    let refused_ns = refused_ns.wrapping_sub(doer.task.charged_ns());
    // No refusal lasts longer than a token takes: where one seems to, that clock was set back.
    is_zero(refused_ns) | refused_ns >> SHARE_INTERVAL_BITS
}

/// Whether what was counted may be told as well, as [`is_within_share`] says.
#[inline(always)]
pub fn may_tell(run: &mut Run, doer: Doer) -> bool {
    may_ask(run, doer) != 0 && ask_share(run, doer)
}

/// Asks the share of the seat's cgroup.
#[inline(always)]
fn ask_share(run: &mut Run, doer: Doer) -> bool {
    let hook = run.hook();
    let seat = run.seat();
    let now = now_boot_ns();
    let token = take_token(hook, seat.cgroup_id, now);
    // The charge is behind, so who comes when this is over may be early, and is refused by the clock.
    let wait_ns = token.next_boot_ns.saturating_sub(now);
    seat.refused_until_charged_ns = doer.task.charged_ns() + wait_ns;
    token.is_taken
}

/// Tells what was counted by `event`. If that finds no room, it stays only counted.
#[inline(always)]
pub fn tell_deed<T: Copy + 'static>(mut run: Run, event: T) {
    run.seat().told += 1;
    if let Some(mut unsent) = run.deliver_hot(event) {
        unsent.seat().told -= 1;
        unsent.end(Counter::Aggregated);
    }
}

/// Counts one connection; `false` if there is no room for the key.
#[inline(always)]
pub fn count_flow(key: FlowKey) -> bool {
    add(&FLOWS, key, 1, 0)
}

/// Counts one for TCP; the outcome of the run.
#[inline(always)]
pub fn count_tcp(hook: Hook, cgroup_id: u64, port: u16) -> Counter {
    let key = Key {
        c: port,
        ..Key::of(hook, cgroup_id)
    };
    match add(&NETWORK, key, 1, 0) {
        true => Counter::Aggregated,
        false => Counter::MapFull,
    }
}

#[inline(always)]
fn add<K: Copy, const ENTRIES: usize>(
    map: &PerCpuHashMap<K, Tally, ENTRIES>,
    key: K,
    count: u64,
    amount: u64,
) -> bool {
    if let Some(tally) = map.get_ptr_mut(key) {
        bump(tally, count, amount);
        return true;
    }
    if map.insert(key, Tally { count, amount }, NOEXIST).is_ok() {
        return true;
    }
    // Another CPU may have been quicker.
    match map.get_ptr_mut(key) {
        Some(tally) => {
            bump(tally, count, amount);
            true
        }
        None => false,
    }
}

#[inline(always)]
fn bump(tally: *mut Tally, count: u64, amount: u64) {
    // SAFETY: this CPU's own value; the key names the hook, whose program does not interrupt
    // itself. The kernel keeps the memory of a removed element until the program has ended.
    unsafe {
        (*tally).count += count;
        (*tally).amount += amount;
    }
}

/// Whether another event of `owner` through `hook` is within the owner's share: a bucket of 128
/// tokens that gets 10 a second. Two CPUs that ask at the same moment may both get the last one.
///
/// The bucket is kept as one moment, the time at which it would be full: the generic cell rate
/// algorithm (ITU-T I.371, virtual scheduling).
#[inline(always)]
pub fn is_within_share(hook: Hook, owner: u64) -> bool {
    take_token(hook, owner, now_boot_ns()).is_taken
}

struct Token {
    is_taken: bool,
    /// When the next one is due.
    next_boot_ns: u64,
}

/// Takes one of the owner's tokens, if there is one.
#[inline(always)]
fn take_token(hook: Hook, owner: u64, now: u64) -> Token {
    let earliest = now.saturating_sub(SHARE_BURST_NS);
    let key = [owner, hook as u64];
    let Some(due) = SHARES.get_ptr_mut(key) else {
        let next = earliest + SHARE_INTERVAL_NS;
        // Without room for it the owner is new at every event, and each is sent.
        let _ = SHARES.insert(key, next, 0);
        return Token {
            is_taken: true,
            next_boot_ns: next + SHARE_INTERVAL_NS,
        };
    };
    // SAFETY: a value of one word; the entry's memory stays until the program has ended.
    // A store into an entry that was given to another key shifts that key's share once.
    unsafe {
        let from = if *due > earliest { *due } else { earliest };
        let next = from + SHARE_INTERVAL_NS;
        if next > now {
            return Token {
                is_taken: false,
                next_boot_ns: next,
            };
        }
        *due = next;
        Token {
            is_taken: true,
            next_boot_ns: next + SHARE_INTERVAL_NS,
        }
    }
}
