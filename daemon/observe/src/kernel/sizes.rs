//! How large the maps are. All together take at most 8 MB of kernel memory, on up to 1024 possible
//! CPUs: what is counted by key exists once for each of them, so the more CPUs, the fewer keys, and
//! then the less is remembered. Beyond, the counters alone take more. No RSS shows this memory, so it is bounded here and reported beside the RSS.

/// Most kernel memory of all maps, in bytes.
pub const MAP_BYTES_MAX: u64 = 8 << 20;

/// Kept free of the limit, for what the kernel adds and this file does not know.
const RESERVE: u64 = MAP_BYTES_MAX / 10;
/// Bytes of one element beside its per-CPU values: `struct htab_elem` with key and pointer, its
/// bucket, and the allocator's rounding (kernel/bpf/hashtab.c).
const KEY_BYTES: u64 = 128;
/// Bytes of one per-CPU value.
const TALLY_BYTES: u64 = size_of::<hostmedic_abi::Tally>() as u64;
/// Bytes of an element of the shared maps.
const SHARED_BYTES: u64 = 112;
/// Keys of one map, at least and at most.
const KEYS_MIN: u32 = 32;
const KEYS_MAX: u32 = 4096;
/// CPUs that count drops and latencies in seats before they go to their keys; others are a bit slower.
const SEATS_MAX: u32 = 256;
/// Cgroups whose share of events is kept, at least.
const SHARES_MIN: u32 = 128;
/// Entries of the small shared maps `KILLED` and `SCOPES`.
const SMALL_SHARED: u64 = 256 + 64;

/// Sizes of the maps whose size is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Numbers of CPUs.
    pub(crate) cpus: u32,
    /// Bytes of the ring of rare events.
    pub(crate) rare_bytes: u32,
    /// Bytes of the ring of everyday events.
    pub(crate) hot_bytes: u32,
    /// Processes remembered from exec.
    pub(crate) recent: u32,
    /// Process ends remembered.
    pub(crate) ended: u32,
    /// Cgroups whose share of events is kept.
    pub(crate) shares: u32,
    /// CPUs that count drops beside the keys.
    pub(crate) drop_seats: u32,
    /// CPUs that count latencies beside the keys.
    pub(crate) disk_seats: u32,
    /// What is counted by key.
    pub(crate) keys: Keys,
}

/// Keys of the four maps that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) processes: u32,
    pub(crate) network: u32,
    pub(crate) disks: u32,
    pub(crate) flows: u32,
}

/// What the sizes depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Numbers of CPUs.
    pub(crate) cpus: u32,
    /// Whether exec has to remember processes.
    pub(crate) recent: bool,
    /// Whether ends have to be remembered.
    pub(crate) ended: bool,
    /// Whether latencies are counted.
    pub(crate) latency: bool,
}

impl Sizes {
    /// As small as can be.
    pub(crate) const SMALLEST: Self = Self {
        cpus: 1,
        rare_bytes: 4096,
        hot_bytes: 4096,
        recent: 1,
        ended: 1,
        shares: 1,
        drop_seats: 1,
        disk_seats: 1,
        keys: Keys {
            processes: 1,
            network: 1,
            disks: 1,
            flows: 1,
        },
    };

    /// What fits.
    pub(crate) fn fit(rare_bytes: u32, hot_bytes: u32, needs: Needs) -> Self {
        let mut sizes = Self {
            cpus: needs.cpus,
            rare_bytes,
            hot_bytes,
            recent: if needs.recent { 8192 } else { 1 },
            ended: if needs.ended { 1024 } else { 1 },
            shares: 2048,
            drop_seats: needs.cpus.min(SEATS_MAX),
            disk_seats: if needs.latency {
                needs.cpus.min(SEATS_MAX)
            } else {
                1
            },
            ..Self::SMALLEST
        };
        let room_of = |sizes: &Self| {
            MAP_BYTES_MAX
                .saturating_sub(RESERVE)
                .saturating_sub(sizes.bytes())
        };
        // Counting comes before remembering.
        while room_of(&sizes) < 4 * u64::from(KEYS_MIN) * key_bytes(needs.cpus)
            && sizes.shares > SHARES_MIN
        {
            for size in [&mut sizes.recent, &mut sizes.ended, &mut sizes.shares] {
                *size = (*size / 2).max(1);
            }
        }
        let room = room_of(&sizes);
        let share = |percent: u64| {
            let keys = room * percent / 100 / key_bytes(needs.cpus);
            u32::try_from(keys)
                .unwrap_or(KEYS_MAX)
                .clamp(KEYS_MIN, KEYS_MAX)
        };
        sizes.keys = Keys {
            processes: share(35),
            network: share(35),
            disks: if needs.latency { share(10) } else { 1 },
            flows: share(20),
        };
        sizes
    }

    /// Kernel memory of all maps, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        use hostmedic_abi::{
            DISK_SEATS_WORDS, DROP_SEATS_WORDS, ROWS_WORDS, SPILL_SLOTS, SpillSlot,
        };
        let words = |count: usize| u64::try_from(count).unwrap_or(u64::MAX) * 8;
        let of_each_cpu =
            words(ROWS_WORDS) + u64::from(SPILL_SLOTS) * words(size_of::<SpillSlot>() / 8) + 8;
        let shared = u64::from(self.recent) + u64::from(self.ended) + u64::from(self.shares);
        // A ring adds three pages for its positions.
        let rings = u64::from(self.rare_bytes) + u64::from(self.hot_bytes) + 6 * 4096;
        let Keys {
            processes,
            network,
            disks,
            flows,
        } = self.keys;
        let keys: u64 = [processes, network, disks, flows]
            .map(u64::from)
            .iter()
            .sum();
        rings
            + words(DROP_SEATS_WORDS) * u64::from(self.drop_seats)
            + words(DISK_SEATS_WORDS) * u64::from(self.disk_seats)
            + of_each_cpu * u64::from(self.cpus)
            + (shared + SMALL_SHARED) * SHARED_BYTES
            + keys * key_bytes(self.cpus)
    }
}

fn key_bytes(cpus: u32) -> u64 {
    KEY_BYTES + TALLY_BYTES * u64::from(cpus)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_machine_of_128_cpus_stays_below_the_limit_and_counts_hundreds_of_units() {
        for latency in [false, true] {
            let needs = Needs {
                cpus: 128,
                recent: true,
                ended: true,
                latency,
            };
            let sizes = Sizes::fit(64 << 10, 512 << 10, needs);
            assert!(sizes.bytes() <= MAP_BYTES_MAX, "{}", sizes.bytes());
            assert!(sizes.keys.processes >= 512, "{sizes:?}");
        }
    }

    #[test]
    fn the_largest_machine_counts_too_and_remembers_less() {
        let largest = Needs {
            cpus: 1024,
            recent: true,
            ended: true,
            latency: true,
        };
        let sizes = Sizes::fit(64 << 10, 512 << 10, largest);
        assert!(sizes.bytes() <= MAP_BYTES_MAX, "{}", sizes.bytes());
        assert!(sizes.keys.disks >= KEYS_MIN && sizes.shares >= SHARES_MIN);
        let needs = Needs {
            cpus: 512,
            ..largest
        };
        assert_eq!(Sizes::fit(64 << 10, 512 << 10, needs).recent, 8192);
    }

    proptest! {
        #[test]
        fn any_machine_stays_below_the_limit(
            cpus in 1_u32..=1024,
            recent: bool,
            ended: bool,
            latency: bool,
        ) {
            let needs = Needs { cpus, recent, ended, latency };
            let sizes = Sizes::fit(64 << 10, 512 << 10, needs);
            prop_assert!(sizes.bytes() <= MAP_BYTES_MAX);
        }
    }
}
