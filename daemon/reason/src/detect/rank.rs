//! How unusual a magnitude is against its own history: a histogram over logarithmic buckets.
//!
//! A bucket is the exponent and the first three mantissa bits of the `f32`, so bucketing costs a
//! shift, and the error is at most one part in eight at every scale. Ranks need no assumption about
//! the distribution; on labelled series they beat fitted tails.

use serde::{Deserialize, Serialize};

/// 32 octaves of 8 buckets each.
const BUCKETS: usize = 256;
/// Buckets that share one entry of `blocks`.
const BLOCK: usize = 16;
/// Numbers that the smallest vector unit adds at once.
const LANES: usize = 8;
/// For each place, all bits at the places above it.
const ABOVE: [[u16; BLOCK]; BLOCK] = {
    let mut masks = [[0; BLOCK]; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        let mut above = at + 1;
        while above < BLOCK {
            masks[at][above] = u16::MAX;
            above += 1;
        }
        at += 1;
    }
    masks
};
/// Mantissa bits below a bucket.
const FRACTION_BITS: u32 = 20;
/// Bucket number of 2^-16 before the offset is taken away: (127 - 16) * 8.
const LOWEST: u32 = 888;
/// Samples after which all counts are halved, so that old history fades and `u16` suffices.
const SAMPLES_MAX: u32 = 10_000;

/// History of one dimensionless magnitude, for example a deviation in spreads.
///
/// Resolves 2^-16 to 2^16; what is smaller or larger shares the outermost bucket. 548 bytes.
/// Serialises to its counts; a copy read back goes on bit for bit as the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u16>", into = "Vec<u16>")]
pub struct Rank {
    counts: [u16; BUCKETS],
    /// Sums of `BLOCK` counts each, so that a tail adds 32 numbers at most.
    blocks: [u16; BUCKETS / BLOCK],
    total: u16,
}

impl Default for Rank {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            blocks: [0; BUCKETS / BLOCK],
            total: 0,
        }
    }
}

impl Rank {
    /// Probability that a magnitude out of this history is `value` or more; in 0..=1, never 0.
    ///
    /// Laplace's rule with half a sample: beyond everything seen it is 0.5 / (n + 1), with no
    /// history 0.5. Within the bucket of `value`, samples count as spread evenly. Negative and NaN
    /// count as 0.
    #[must_use]
    pub fn tail(&self, value: f32) -> f32 {
        self.tail_at(Place::of(value))
    }

    /// [`Self::tail`] of a magnitude whose place is known.
    pub(super) fn tail_at(&self, Place { bucket, below }: Place) -> f32 {
        let (block, inner) = (bucket / BLOCK, bucket % BLOCK);
        // Over whole blocks and with masks instead of branches: loops of unforeseeable length, and
        // those that are not written eight by eight, take several times as long.
        let counts = &self.counts.as_chunks::<BLOCK>().0[block];
        let (within_block, blocks) = (&ABOVE[inner], &ABOVE[block]);
        let mut lanes = [0_u16; LANES];
        let masked = [(counts, within_block), (&self.blocks, blocks)];
        for (numbers, masks) in masked {
            let numbers = numbers.as_chunks::<LANES>().0;
            for (numbers, masks) in numbers.iter().zip(masks.as_chunks::<LANES>().0) {
                for ((lane, number), mask) in lanes.iter_mut().zip(numbers).zip(masks) {
                    *lane = lane.wrapping_add(number & mask);
                }
            }
        }
        let above = lanes
            .iter()
            .fold(0, |sum: u16, lane| sum.wrapping_add(*lane));
        let within = f32::from(self.counts[bucket]) * (1.0 - below);
        (f32::from(above) + within + 0.5) / (f32::from(self.total) + 1.0)
    }

    /// Adds `value` to the history. Negative and NaN count as 0.
    pub fn learn(&mut self, value: f32) {
        self.learn_at(Place::of(value));
    }

    /// [`Self::learn`] of a magnitude whose place is known.
    pub(super) fn learn_at(&mut self, place: Place) {
        if self.add(place) {
            self.halve();
        }
    }

    /// As [`Self::learn`], but halves downwards: what was seen once is forgotten after about
    /// `SAMPLES_MAX` samples. For magnitudes of which many are judged together, where old anomalies
    /// must not make the next one look usual.
    pub fn learn_fading(&mut self, value: f32) {
        if self.add(Place::of(value)) {
            for count in &mut self.counts {
                *count /= 2;
            }
            self.sum();
        }
    }

    /// Counts a magnitude; whether the counts are to be halved now.
    fn add(&mut self, Place { bucket, .. }: Place) -> bool {
        self.counts[bucket] += 1;
        self.blocks[bucket / BLOCK] += 1;
        self.total += 1;
        u32::from(self.total) >= SAMPLES_MAX
    }

    /// Samples in the history, halved ones as what is left of them.
    #[must_use]
    pub fn samples(&self) -> u16 {
        self.total
    }

    /// Halves all counts, upwards: what was seen once is never forgotten, only outnumbered.
    fn halve(&mut self) {
        for count in &mut self.counts {
            *count = count.div_ceil(2);
        }
        self.sum();
    }

    fn sum(&mut self) {
        for (block, counts) in self.blocks.iter_mut().zip(self.counts.chunks_exact(BLOCK)) {
            *block = counts.iter().sum();
        }
        self.total = self.blocks.iter().sum();
    }
}

/// Where a magnitude lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    bucket: usize,
    /// Which share of the bucket lies below it.
    below: f32,
}

impl Place {
    /// Negative and NaN are at 0.
    pub(super) fn of(value: f32) -> Self {
        // `max` takes the other operand for NaN.
        let bits = value.max(0.0).to_bits();
        let at = |bucket, below| Self { bucket, below };
        match (bits >> FRACTION_BITS).checked_sub(LOWEST) {
            None => at(0, 0.0),
            Some(bucket) if bucket >= 255 => at(BUCKETS - 1, 0.0),
            Some(bucket) => {
                let below = to_f32(bits & ((1 << FRACTION_BITS) - 1)) / to_f32(1 << FRACTION_BITS);
                at(bucket as usize, below)
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^24, so exact")]
fn to_f32(number: u32) -> f32 {
    number as f32
}

impl From<Rank> for Vec<u16> {
    fn from(rank: Rank) -> Self {
        rank.counts.to_vec()
    }
}

impl TryFrom<Vec<u16>> for Rank {
    type Error = String;

    fn try_from(counts: Vec<u16>) -> Result<Self, String> {
        let total: u32 = counts.iter().copied().map(u32::from).sum();
        if total >= SAMPLES_MAX {
            return Err(format!(
                "a rank holds {total} samples, below {SAMPLES_MAX} expected: the state is damaged"
            ));
        }
        let counts = counts.try_into().map_err(|counts: Vec<u16>| {
            format!(
                "a rank has {} buckets, {BUCKETS} expected: the state is damaged",
                counts.len()
            )
        })?;
        let mut rank = Self {
            counts,
            ..Self::default()
        };
        rank.sum();
        Ok(rank)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_history_says_nothing() {
        assert!((Rank::default().tail(3.0) - 0.5).abs() < f32::EPSILON);
    }

    #[test]
    fn the_tail_is_the_share_of_samples_above() {
        let mut rank = Rank::default();
        for number in 1..=1000_u16 {
            rank.learn(f32::from(number));
        }
        for (value, share) in [(1.0, 1.0), (250.0, 0.75), (900.0, 0.1), (2000.0, 0.0)] {
            assert!(
                (rank.tail(value) - share).abs() < 0.01,
                "{value} {}",
                rank.tail(value)
            );
        }
    }

    #[test]
    fn halving_keeps_what_was_seen_once() {
        let mut rank = Rank::default();
        rank.learn(1000.0);
        for _ in 0..100_000 {
            rank.learn(1.0);
        }
        assert!(rank.tail(900.0) > rank.tail(1100.0) + 0.00005);
        assert!(u32::from(rank.samples()) < SAMPLES_MAX);
    }

    #[test]
    fn damaged_state_is_refused() {
        assert!(Rank::try_from(vec![0; 255]).is_err());
        assert!(Rank::try_from(vec![u16::MAX; 256]).is_err());
    }

    proptest! {
        /// Any bit pattern is a value; tails fall as values grow; a copy read back is the same.
        #[test]
        fn bounded_ordered_and_kept(bits in prop::collection::vec(any::<u32>(), 1..300)) {
            let mut rank = Rank::default();
            for &bits in &bits {
                let value = f32::from_bits(bits);
                let tail = rank.tail(value);
                prop_assert!(tail > 0.0 && tail <= 1.0);
                prop_assert!(rank.tail(value * 1.5) <= tail || value < 0.0 || value.is_nan());
                rank.learn(value);
            }
            let text = serde_json::to_string(&rank).unwrap();
            prop_assert_eq!(serde_json::from_str::<Rank>(&text).unwrap(), rank);
        }
    }
}
