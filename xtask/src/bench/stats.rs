//! Medians and how sure they are. Pure: the same numbers always give the same answer.
//!
//! Times on a shared machine have long tails, so nothing here takes a mean or assumes a normal
//! distribution.

use serde::{Deserialize, Serialize};

/// How often the bootstrap draws.
const DRAWS: usize = 4000;
/// Share of draws outside of the interval, on both sides together.
const OUTSIDE: f64 = 0.05;

/// A median, its spread and how far it might be off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// How many values.
    pub(super) count: usize,
    /// Half of the values are below.
    pub(super) median: f64,
    /// A quarter of the values are below.
    pub(super) lower_quartile: f64,
    /// A quarter of the values are above.
    pub(super) upper_quartile: f64,
    /// The median's 95 % confidence interval, by bootstrap: its lower end.
    pub(super) low: f64,
    /// Its upper end.
    pub(super) high: f64,
}

impl Summary {
    /// Of `values`, of which there is at least one; those that are not numbers do not count.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        if sorted.is_empty() {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let (low, high) = interval(&sorted);
        Some(Self {
            count: sorted.len(),
            median: quantile(&sorted, 0.5),
            lower_quartile: quantile(&sorted, 0.25),
            upper_quartile: quantile(&sorted, 0.75),
            low,
            high,
        })
    }

    /// Whether the interval tells the median from `value`.
    pub(super) fn differs_from(&self, value: f64) -> bool {
        value < self.low || self.high < value
    }
}

/// The value below which `share` of `sorted` are, between two neighbours by a straight line.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (place.floor(), place.ceil());
    let at = |place: f64| sorted[place as usize];
    at(below) + (at(above) - at(below)) * (place - below)
}

/// Percentile bootstrap of the median (Efron 1979): medians of as many values drawn with
/// repetition, and the range that holds most of them.
fn interval(sorted: &[f64]) -> (f64, f64) {
    let mut random = SplitMix(0x9e37_79b9_7f4a_7c15);
    let mut drawn = vec![0.0; sorted.len()];
    let mut medians: Vec<f64> = (0..DRAWS)
        .map(|_| {
            for slot in &mut drawn {
                *slot = sorted[random.below(sorted.len())];
            }
            drawn.sort_by(f64::total_cmp);
            quantile(&drawn, 0.5)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    (
        quantile(&medians, OUTSIDE / 2.0),
        quantile(&medians, 1.0 - OUTSIDE / 2.0),
    )
}

/// Steele, Lea, Flood 2014: small, and good enough to draw with.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let product = u128::from(z ^ (z >> 31)) * limit as u128;
        (product >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_neighbours() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(summary.median, 2.5);
        assert_eq!(
            (summary.lower_quartile, summary.upper_quartile),
            (1.75, 3.25)
        );
        assert_eq!(summary.count, 4);
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[f64::NAN]), None);
    }

    #[test]
    fn one_value_is_sure_of_itself_only() {
        let summary = Summary::of(&[7.0]).unwrap();
        assert_eq!((summary.low, summary.median, summary.high), (7.0, 7.0, 7.0));
    }

    #[test]
    fn one_wild_value_moves_little() {
        let mut values = vec![1.0; 20];
        values.push(1e9);
        let summary = Summary::of(&values).unwrap();
        assert_eq!((summary.median, summary.high), (1.0, 1.0));
    }

    #[test]
    fn the_interval_holds_the_median_and_narrows_with_more_values() {
        let wave = |count: usize| -> Vec<f64> {
            (0..count)
                .map(|at| (at * 7919 % 101) as f64 / 101.0)
                .collect()
        };
        let few = Summary::of(&wave(12)).unwrap();
        let many = Summary::of(&wave(400)).unwrap();
        for summary in [few, many] {
            assert!(summary.low <= summary.median && summary.median <= summary.high);
        }
        assert!(many.high - many.low < few.high - few.low);
        assert!(many.differs_from(0.9) && !many.differs_from(many.median));
    }
}
