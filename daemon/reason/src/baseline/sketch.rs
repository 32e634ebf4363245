//! Percentiles without keeping samples: a histogram over logarithmic buckets that coarsens itself.
//!
//! A bucket is the exponent and the first bits of the mantissa of an `f32`, so bucketing costs a
//! shift. It begins with 64 buckets to the octave; when values span more than fit, two neighbours
//! become one (as in `UDDSketch`, Epicoco et al. 2020), down to 8 to the octave. So a percentile is
//! off by less than a bucket: 1/64 at best and 1/8 at worst, relative; below 1/50 of the largest value, all share the
//! lowest bucket. Sketches of the same series merge exactly.

use serde::{Deserialize, Serialize};

use super::words;

const BUCKETS: usize = 48;
/// Mantissa bits of the finest and of the coarsest buckets.
const FINEST: u32 = 6;
const COARSEST: u32 = 3;
const MANTISSA_BITS: u32 = 23;
/// Samples after which all counts are halved: seven days at 30 s.
const SAMPLES_MAX: u32 = 20_160;
/// Values at or below this are zero.
const LEAST: f32 = 1e-6;

/// Counts of one series' values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sketch {
    #[serde(with = "words")]
    counts: [u16; BUCKETS],
    /// Values that are zero or less.
    zeros: u16,
    /// Number of the first bucket.
    first: u16,
    /// Times that neighbours were joined.
    joined: u8,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            zeros: 0,
            first: 0,
            joined: 0,
        }
    }
}

impl Sketch {
    pub(super) fn learn(&mut self, value: f32) {
        if value > LEAST {
            let place = self.make_room(value.to_bits() >> (MANTISSA_BITS - FINEST));
            self.counts[place] += 1;
        } else {
            self.zeros += 1;
        }
        if self.samples() >= SAMPLES_MAX {
            for count in self.counts.iter_mut().chain([&mut self.zeros]) {
                *count /= 2;
            }
        }
    }

    /// The value that `share` of all samples do not exceed; `None` while there is none.
    pub(super) fn percentile(&self, share: f64) -> Option<f64> {
        let samples = self.samples();
        let rank = (share * f64::from(samples)).ceil().max(1.0);
        let mut below = f64::from(self.zeros);
        if samples == 0 || rank <= below {
            return (samples > 0).then_some(0.0);
        }
        for (place, count) in (0_u32..).zip(&self.counts) {
            let count = f64::from(*count);
            if rank <= below + count {
                let bucket = u32::from(self.first) + place;
                let (low, high) = (self.edge(bucket), self.edge(bucket + 1));
                return Some(low + (high - low) * (rank - below - 0.5) / count);
            }
            below += count;
        }
        None
    }

    /// Adds the counts of `other`. Beyond a week of samples both are halved.
    pub(super) fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        while other.joined < self.joined {
            other.join();
        }
        while self.joined < other.joined {
            self.join();
        }
        let halve = u32::from(self.samples() + other.samples() >= SAMPLES_MAX);
        for sketch in [&mut *self, &mut other] {
            for count in sketch.counts.iter_mut().chain([&mut sketch.zeros]) {
                *count >>= halve;
            }
        }
        self.zeros += other.zeros;
        for place in 0..BUCKETS {
            let count = other.counts[place];
            if count > 0 {
                let joined = u32::from(other.joined);
                let bucket = (u32::from(other.first) + place as u32) << joined;
                let own = self.make_room(bucket);
                self.counts[own] += count;
            }
        }
    }

    /// Whether counting on stays in bounds.
    pub(super) fn is_sound(&self) -> bool {
        let finest = u32::from(u16::MAX >> 1) >> self.joined.min(8);
        self.samples() < SAMPLES_MAX
            && u32::from(self.joined) <= FINEST - COARSEST
            && u32::from(self.first) + BUCKETS as u32 <= finest + BUCKETS as u32
    }

    fn samples(&self) -> u32 {
        let counts = self.counts.iter().chain([&self.zeros]);
        counts.copied().map(u32::from).sum()
    }

    /// Lower edge of a bucket.
    fn edge(&self, bucket: u32) -> f64 {
        let bits = bucket << (MANTISSA_BITS - FINEST + u32::from(self.joined));
        f64::from(f32::from_bits(bits))
    }

    /// The place for the bucket of number `finest` among the finest; joins and moves as needed.
    fn make_room(&mut self, finest: u32) -> usize {
        if self.counts.iter().all(|count| *count == 0) {
            self.first = u16::try_from(finest >> self.joined).unwrap_or(u16::MAX);
        }
        loop {
            let bucket = finest >> self.joined;
            let first = u32::from(self.first);
            let lowest = self.counts.iter().position(|count| *count > 0);
            let highest = self.counts.iter().rposition(|count| *count > 0);
            let low = lowest.map_or(bucket, |place| bucket.min(first + place as u32));
            let high = highest.map_or(bucket, |place| bucket.max(first + place as u32));
            if high - low < BUCKETS as u32 {
                self.shift(low.min(first).max(high.saturating_sub(BUCKETS as u32 - 1)));
                return (bucket - u32::from(self.first)) as usize;
            }
            if u32::from(self.joined) < FINEST - COARSEST {
                self.join();
                continue;
            }
            // As coarse as it may be: the lowest share one bucket.
            self.shift(high - (BUCKETS as u32 - 1));
            return bucket.saturating_sub(u32::from(self.first)) as usize;
        }
    }

    /// Makes `first` the first bucket; what lies below joins it.
    fn shift(&mut self, first: u32) {
        let old = std::mem::replace(&mut self.counts, [0; BUCKETS]);
        for (place, count) in (u32::from(self.first)..).zip(old) {
            if count > 0 {
                self.counts[place.saturating_sub(first) as usize] += count;
            }
        }
        self.first = u16::try_from(first).unwrap_or(u16::MAX);
    }

    /// Makes one bucket of each two.
    fn join(&mut self) {
        let old = std::mem::replace(&mut self.counts, [0; BUCKETS]);
        let first = self.first / 2;
        for (bucket, count) in (self.first..).zip(old) {
            self.counts[usize::from(bucket / 2 - first)] += count;
        }
        self.first = first;
        self.joined += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[f32]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.learn(*value));
        sketch
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Sketch::default().percentile(0.5), None);
        assert_eq!(sketch(&[0.0, -3.0]).percentile(0.99), Some(0.0));
    }

    #[test]
    fn a_narrow_series_is_told_finely() {
        let values: Vec<f32> = (0..1000).map(|row| 0.4 + row as f32 * 1e-4).collect();
        let p95 = sketch(&values).percentile(0.95).unwrap();
        assert!((p95 - 0.495).abs() < 0.004, "{p95}");
    }

    #[test]
    fn what_is_new_outweighs_what_is_old() {
        let mut sketch = sketch(&[0.1; 20_000]);
        (0..60_000).for_each(|_| sketch.learn(0.9));
        assert!(sketch.percentile(0.5).unwrap() > 0.8);
        assert!(sketch.samples() < SAMPLES_MAX);
    }

    proptest! {
        /// Within the stated error of the exact percentile, whatever the spread of values.
        #[test]
        fn near_the_exact_percentile(
            mut values in prop::collection::vec(0.02..1.0_f32, 1..500),
            share in 0.01..1.0_f64,
        ) {
            let found = sketch(&values).percentile(share).unwrap();
            values.sort_by(f32::total_cmp);
            let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = f64::from(values[rank - 1]);
            prop_assert!((found - exact).abs() <= exact / 8.0, "{found} {exact}");
        }

        /// Sketches of parts make the sketch of the whole, in any order; any bits are a value.
        #[test]
        fn merging_is_folding(
            one in prop::collection::vec(0.05..1.0_f32, 0..300),
            two in prop::collection::vec(0.05..1.0_f32, 0..300),
            odd in prop::collection::vec(any::<u32>(), 0..50),
        ) {
            let whole: Vec<f32> = one.iter().chain(&two).copied().collect();
            let mut merged = sketch(&one);
            merged.merge(&sketch(&two));
            let mut turned = sketch(&two);
            turned.merge(&sketch(&one));
            for share in [0.01, 0.5, 0.95, 0.99] {
                prop_assert_eq!(merged.percentile(share), sketch(&whole).percentile(share));
                prop_assert_eq!(merged.percentile(share), turned.percentile(share));
            }
            for bits in odd {
                merged.learn(f32::from_bits(bits));
            }
            prop_assert!(merged.percentile(0.5).is_none_or(f64::is_finite));
        }
    }
}
