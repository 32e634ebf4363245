//! What hooks have counted and not yet brought to their keys (`hostmedic_abi::Seat`, `DiskSeat`).

use std::collections::HashMap;

use aya::Ebpf;
use hostmedic_abi::{DISK_SEATS_WORDS, DiskSeat, DiskSeats, Hook, Key, ROWS_WORDS, Rows, Seat};
use zerocopy::transmute;

use super::{cpus, error::ProbeError};

const HOOKS: [Hook; 3] = [Hook::ProcessExec, Hook::ProcessExit, Hook::ProcessFork];

/// Counts and amounts by the bytes of their [`Key`], of all CPUs together.
pub(super) type Seated = HashMap<[u8; 24], [u64; 2]>;

/// What the hooks of processes have counted.
pub(super) fn processes(ebpf: &Ebpf) -> Result<Seated, ProbeError> {
    let mut seated = Seated::new();
    for words in cpus::read::<ROWS_WORDS>(ebpf, "COUNTS")? {
        let rows: Rows = transmute!(words);
        for hook in HOOKS {
            let seat = &rows[hook as usize].seat;
            add(&mut seated, Key::of(hook, seat.cgroup_id), seat.count, 0);
        }
    }
    Ok(seated)
}

/// What `block_latency` has counted.
pub(super) fn disks(ebpf: &Ebpf) -> Result<Seated, ProbeError> {
    let mut seated = Seated::new();
    for words in cpus::read::<DISK_SEATS_WORDS>(ebpf, "DISK_SEATS")? {
        let seats: DiskSeats = transmute!(words);
        for seat in seats {
            let key = DiskSeat::key_of(seat.kind);
            add(&mut seated, key, seat.count, seat.amount);
        }
    }
    Ok(seated)
}

fn add(seated: &mut Seated, key: Key, count: u64, amount: u64) {
    if count > 0 {
        let [counts, amounts] = seated.entry(transmute!(key)).or_default();
        *counts += count;
        *amounts += amount;
    }
}

/// Clears what a daemon before this one left in pinned rows. No program may be attached yet.
pub(super) fn clear(ebpf: &mut Ebpf) -> Result<(), ProbeError> {
    cpus::change::<ROWS_WORDS>(ebpf, "COUNTS", |words| {
        let mut rows: Rows = transmute!(words);
        for hook in HOOKS {
            rows[hook as usize].seat = Seat::default();
        }
        transmute!(rows)
    })
}

#[cfg(test)]
mod tests {
    use hostmedic_abi::DISK_SEATS;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_kind_of_requests_keeps_all_that_its_key_says(
            major in 0_u32..1 << 12,
            minor in 0_u32..1 << 20,
            bits in 0_u16..=32,
            operation: u8,
        ) {
            let kind = DiskSeat::kind_of(major, minor, bits, operation);
            prop_assert!(DiskSeat::place_of(kind) < DISK_SEATS);
            let key = Key {
                a: major,
                b: minor,
                c: bits,
                d: u16::from(operation),
                ..Key::of(Hook::BlockLatency, 0)
            };
            prop_assert_eq!(DiskSeat::key_of(kind), key);
        }
    }
}
