//! A map that stays within its room: what was not heard of for longest goes first, and is counted.
//!
//! Without it a host that invents names (cgroups, interfaces, units) could fill the memory.

use std::collections::BTreeMap;

/// Rows by key, each with the second at which it was last touched.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    rows: BTreeMap<K, (u64, V)>,
    room: usize,
    forgotten: u64,
}

impl<K: Ord + Clone, V> Table<K, V> {
    pub(crate) fn new(room: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            room: room.max(1),
            forgotten: 0,
        }
    }

    /// The row of `key`, made if there is none.
    pub(crate) fn touch(&mut self, key: &K, now_s: u64, make: impl FnOnce() -> V) -> &mut V {
        if self.rows.len() >= self.room && !self.rows.contains_key(key) {
            self.make_room();
        }
        let (touched, value) = self
            .rows
            .entry(key.clone())
            .or_insert_with(|| (now_s, make()));
        *touched = now_s;
        value
    }

    /// Forgets an eighth at once, so that a flood of new keys costs little for each.
    fn make_room(&mut self) {
        let mut ages: Vec<(u64, K)> = self
            .rows
            .iter()
            .map(|(key, (touched, _))| (*touched, key.clone()))
            .collect();
        ages.sort();
        for (_, key) in ages.iter().take(self.room / 8 + 1) {
            self.rows.remove(key);
            self.forgotten += 1;
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.rows.get_mut(key).map(|(_, value)| value)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.rows.iter_mut().map(|(key, (_, value))| (key, value))
    }

    /// Rows, and the second at which each was last touched.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&K, u64, &V)> {
        self.rows
            .iter()
            .map(|(key, (touched, value))| (key, *touched, value))
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.rows.remove(key);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Rows that were forgotten for want of room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_keys_stay_within_the_room_and_none_vanishes_uncounted(
            keys in prop::collection::vec(0_u16..200, 1..500),
            room in 1_usize..40,
        ) {
            let mut table = Table::new(room);
            let mut made = 0;
            for (now, key) in keys.iter().enumerate() {
                table.touch(key, now as u64, || { made += 1; });
                prop_assert!(table.len() <= room);
                prop_assert!(table.get(key).is_some());
            }
            prop_assert_eq!(made, table.len() as u64 + table.forgotten());
        }
    }

    #[test]
    fn the_oldest_goes() {
        let mut table = Table::new(2);
        table.touch(&"a", 1, || 0);
        table.touch(&"b", 2, || 0);
        table.touch(&"a", 3, || 0);
        table.touch(&"c", 4, || 0);
        assert!(table.get(&"b").is_none() && table.get(&"a").is_some());
    }
}
