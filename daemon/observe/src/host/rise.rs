//! By how much counters rose between two readings. Pure.
//!
//! A counter may wrap, be reset or go away with what it counts; each of these looks like a fall,
//! and a fall is no rise. A key that was not there before only sets its baseline. So a wrap of a
//! 32-bit counter costs one interval, and nothing is ever told that did not happen.

use std::collections::BTreeMap;

/// The last readings.
#[derive(Debug)]
pub(super) struct Rises<K>(Option<BTreeMap<K, u64>>);

impl<K: Ord + Clone> Rises<K> {
    /// Nothing read yet.
    pub(super) const fn new() -> Self {
        Self(None)
    }

    /// Takes all readings of one round and gives those that rose since the round before, in the
    /// order of their keys. A source that could not be read has no round.
    pub(super) fn round(&mut self, readings: BTreeMap<K, u64>) -> Vec<(K, u64)> {
        let before = self.0.take().unwrap_or_default();
        let rose = readings.iter().filter_map(|(key, now)| {
            let rise = now.saturating_sub(*before.get(key)?);
            (rise > 0).then(|| (key.clone(), rise))
        });
        let rose = rose.collect();
        self.0 = Some(readings);
        rose
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_rise_of_what_was_there_before_counts() {
        let mut rises = Rises::new();
        assert_eq!(
            rises.round(BTreeMap::from([("a", 5), ("b", 9), ("c", 1)])),
            []
        );
        let second = BTreeMap::from([("a", 7), ("b", 2), ("d", 4)]);
        assert_eq!(rises.round(second), [("a", 2)]);
        let third = BTreeMap::from([("a", 7), ("b", 3), ("c", 8), ("d", 5)]);
        assert_eq!(rises.round(third), [("b", 1), ("d", 1)]);
    }

    proptest! {
        /// However counters jump, no round tells of more than the counter shows.
        #[test]
        fn a_rise_is_never_more_than_the_reading(
            rounds in proptest::collection::vec(
                proptest::collection::btree_map(0_u8..4, any::<u64>(), 0..4), 0..6),
        ) {
            let mut rises = Rises::new();
            let mut before = BTreeMap::new();
            for readings in rounds {
                for (key, rise) in rises.round(readings.clone()) {
                    prop_assert_eq!(before[&key] + rise, readings[&key]);
                }
                before = readings;
            }
        }
    }
}
