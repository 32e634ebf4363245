//! Counting by key, and each cgroup's share of events.
//!
//! Three maps, so that a storm of one kind cannot fill the room of another: processes, network,
//! disks. The daemon sizes them so that all maps together stay within 8 MB at any number of CPUs,
//! and takes out keys that no longer change.

use aya_ebpf::{
    btf_maps::{LruHashMap, PerCpuHashMap},
    macros::btf_map,
};
use hostmedic_abi::{Counter, FlowKey, Hook, Key, Tally};

use crate::kernel::now_boot_ns;

/// Forks, execs, exits and signals by cgroup.
#[btf_map]
static PROCESSES: PerCpuHashMap<Key, Tally, 1024> = PerCpuHashMap::new();

/// Drops, retransmits and resets.
#[btf_map]
static NETWORK: PerCpuHashMap<Key, Tally, 1024> = PerCpuHashMap::new();

/// Latencies by device; the daemon sizes it to 1 unless they are wanted.
#[btf_map]
static DISKS: PerCpuHashMap<Key, Tally, 256> = PerCpuHashMap::new();

/// Connections.
#[btf_map]
static FLOWS: PerCpuHashMap<FlowKey, Tally, 512> = PerCpuHashMap::new();

/// When the next event of a cgroup and hook is within its share, on the boot clock.
#[btf_map]
static SHARES: LruHashMap<[u64; 2], u64, 1024> = LruHashMap::new();

/// `BPF_NOEXIST` of bpf(2): insert only what is new.
const NOEXIST: u64 = 1;

/// Events a second that one cgroup (or device) may send through one hook, in the long run ...
const SHARE_INTERVAL_NS: u64 = 20_000_000;
/// ... and at once.
const SHARE_BURST_NS: u64 = 128 * SHARE_INTERVAL_NS;

/// Which map counts.
#[derive(Clone, Copy)]
pub enum Book {
    Processes,
    Network,
    Disks,
}

/// Counts one under `key`; `false` if there is no room for the key.
#[inline(always)]
pub fn count(book: Book, key: Key, amount: u64) -> bool {
    match book {
        Book::Processes => add(&PROCESSES, key, amount),
        Book::Network => add(&NETWORK, key, amount),
        Book::Disks => add(&DISKS, key, amount),
    }
}

/// Counts one connection; `false` if there is no room for the key.
#[inline(always)]
pub fn count_flow(key: FlowKey) -> bool {
    add(&FLOWS, key, 0)
}

/// Counts one for TCP; the outcome of the run.
#[inline(always)]
pub fn count_tcp(hook: Hook, cgroup_id: u64, port: u16) -> Counter {
    let key = Key {
        c: port,
        ..Key::of(hook, cgroup_id)
    };
    match count(Book::Network, key, 0) {
        true => Counter::Aggregated,
        false => Counter::MapFull,
    }
}

#[inline(always)]
fn add<K: Copy, const ENTRIES: usize>(
    map: &PerCpuHashMap<K, Tally, ENTRIES>,
    key: K,
    amount: u64,
) -> bool {
    if let Some(tally) = map.get_ptr_mut(key) {
        bump(tally, amount);
        return true;
    }
    if map.insert(key, Tally { count: 1, amount }, NOEXIST).is_ok() {
        return true;
    }
    // Another CPU may have been quicker.
    match map.get_ptr_mut(key) {
        Some(tally) => {
            bump(tally, amount);
            true
        }
        None => false,
    }
}

#[inline(always)]
fn bump(tally: *mut Tally, amount: u64) {
    // SAFETY: this CPU's own value; the key names the hook, whose program does not interrupt
    // itself. The kernel keeps the memory of a removed element until the program has ended.
    unsafe {
        (*tally).count += 1;
        (*tally).amount += amount;
    }
}

/// Whether another event of `owner` through `hook` is within the owner's share: a bucket of 128
/// tokens that gets 50 a second. Two CPUs that ask at the same moment may both get the last one.
///
/// The bucket is kept as one moment, the time at which it would be full: the generic cell rate
/// algorithm (ITU-T I.371, virtual scheduling).
#[inline(always)]
pub fn is_within_share(hook: Hook, owner: u64) -> bool {
    let now = now_boot_ns();
    let key = [owner, hook as u64];
    match SHARES.get_ptr_mut(key) {
        Some(due) => {
            // SAFETY: a value of one word; the entry's memory stays until the program has ended.
            // A store into an entry that was given to another key shifts that key's share once.
            unsafe {
                let earliest = now.saturating_sub(SHARE_BURST_NS);
                let from = if *due > earliest { *due } else { earliest };
                if from + SHARE_INTERVAL_NS > now {
                    return false;
                }
                *due = from + SHARE_INTERVAL_NS;
            }
            true
        }
        None => {
            let due = now.saturating_sub(SHARE_BURST_NS) + SHARE_INTERVAL_NS;
            // Without room for it the owner is new at every event, and each is sent.
            let _ = SHARES.insert(key, due, 0);
            true
        }
    }
}
