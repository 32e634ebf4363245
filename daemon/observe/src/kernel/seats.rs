//! What hooks have counted and not yet brought to their keys (`hostmedic_abi::Seat`, `DropSeat`,
//! `DiskSeat`).

use std::collections::HashMap;

use aya::Ebpf;
use hostmedic_abi::{
    DISK_SEATS_WORDS, DROP_SEATS_WORDS, DiskSeat, DiskSeats, DropSeats, Hook, Key, ROWS_WORDS,
    Seat, bytes_before_rows, rows_in, rows_in_mut,
};
use zerocopy::transmute;

use super::{btf::Btf, cpus, error::ProbeError};

const HOOKS: [Hook; 3] = [Hook::ProcessExec, Hook::ProcessExit, Hook::ProcessFork];

/// Counts and amounts by the bytes of their [`Key`], of all CPUs together.
pub(super) type Seated = HashMap<[u8; 24], [u64; 2]>;

/// What the hooks of processes have counted.
pub(super) fn processes(ebpf: &Ebpf) -> Result<Seated, ProbeError> {
    let mut seated = Seated::new();
    let elements = cpus::read::<ROWS_WORDS>(ebpf, "COUNTS")?;
    for rows in elements.iter().filter_map(rows_in) {
        for hook in HOOKS {
            let seat = &rows[hook as usize].seat;
            add(&mut seated, Key::of(hook, seat.cgroup_id), seat.count, 0);
        }
    }
    Ok(seated)
}

/// What `packet_drop` has counted.
pub(super) fn drops(ebpf: &Ebpf) -> Result<Seated, ProbeError> {
    let mut seated = Seated::new();
    for words in cpus::read::<DROP_SEATS_WORDS>(ebpf, "DROP_SEATS")? {
        let seats: DropSeats = transmute!(words);
        // What changed hands meanwhile is on its way to the map.
        for seat in seats.iter().filter(|seat| seat.begun == seat.ended) {
            let key = Key::of_words(seat.key);
            add(&mut seated, key, seat.count, seat.amount);
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

/// Bytes before the rows in an element of `COUNTS`, so that they begin with a cache line.
pub(super) fn before_rows(btf: &Btf) -> u64 {
    // Arrays begin with a line (`bpf_map_area_alloc` of kernel/bpf/syscall.c), their elements after the
    // header. Where its length cannot be told, a row takes a line more; nothing else.
    let header = btf.member_offset("bpf_array", "value").unwrap_or(0);
    let before = bytes_before_rows(usize::try_from(header).unwrap_or(0));
    u64::try_from(before).unwrap_or(0)
}

/// Says in each CPU's element how many bytes come before its rows, and clears the seats that a daemon
/// before this one left in pinned ones. No program may be attached yet.
pub(super) fn prepare(ebpf: &mut Ebpf, before_rows: u64) -> Result<(), ProbeError> {
    cpus::change::<ROWS_WORDS>(ebpf, "COUNTS", |mut element| {
        element[0] = before_rows;
        if let Some(rows) = rows_in_mut(&mut element) {
            for hook in HOOKS {
                rows[hook as usize].seat = Seat::default();
            }
        }
        element
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::collections::HashSet;

    use hostmedic_abi::{DISK_SEATS, DROP_SEATS, DropSeat};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_are_found_where_the_element_says() {
        let mut element = [0; ROWS_WORDS];
        assert!(rows_in(&element).is_none(), "nobody has prepared it");
        for header in (0..=512).step_by(8) {
            let before = bytes_before_rows(header);
            // Whole words, at most a line, and what follows begins with one.
            assert!(
                before.is_multiple_of(8) && (8..=64).contains(&before),
                "{header}"
            );
            assert_eq!((header + before) % 64, 0);
            element = [0; ROWS_WORDS];
            element[0] = before as u64;
            rows_in_mut(&mut element).unwrap()[0].mode = 7;
            assert_eq!(element[before / 8], 7);
            assert_eq!(rows_in(&element).unwrap()[0].mode, 7);
        }
        for wrong in [72, u64::MAX] {
            element[0] = wrong;
            assert!(rows_in(&element).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_drops_of_one_burst_sit_apart() {
        // Reasons of one host come with few interfaces, ports and units.
        let keys = (0..4_u32).map(|n| Key {
            a: 2 + n,
            b: 3,
            c: 80,
            d: 0x0800,
            ..Key::of(Hook::PacketDrop, 4711)
        });
        let places: HashSet<_> = keys.map(|key| DropSeat::place_of(key.words())).collect();
        assert_eq!(places.len(), 4, "{places:?}");
    }

    proptest! {
        #[test]
        fn a_key_of_drops_has_a_place_and_survives_as_words(cgroup_id: u64, details: [u32; 3]) {
            let [a, b, c] = details;
            let key = Key {
                a,
                b,
                c: c as u16,
                d: (c >> 16) as u16,
                ..Key::of(Hook::PacketDrop, cgroup_id)
            };
            prop_assert!(DropSeat::place_of(key.words()) < DROP_SEATS);
            prop_assert_eq!(Key::of_words(key.words()), key);
        }

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
