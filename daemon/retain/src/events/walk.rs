//! A walk over events by their numbers that does not end at damage.

use std::ops::ControlFlow;

use rocksdb::DB;

/// A walk from one number on, forth or back, within bounds.
pub(super) struct Walk<'a> {
    db: &'a DB,
    from: u64,
    forward: bool,
    /// Lowest number, and the one after the highest.
    bounds: (u64, u64),
    unreadable: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(db: &'a DB, from: u64, forward: bool, first: u64, next: u64) -> Self {
        Self {
            db,
            from,
            forward,
            bounds: (first, next),
            unreadable: 0,
        }
    }

    /// Numbers that were passed over because they lie in a damaged block.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Shows each event's number and value until told to stop. Where RocksDB cannot read on, it
    /// steps over the damage: further each time, because it is not known how far it reaches.
    pub(super) fn each(&mut self, mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>) {
        let mut step = 1;
        while (self.bounds.0..self.bounds.1).contains(&self.from) {
            let mut rows = self.db.raw_iterator();
            if self.forward {
                rows.seek(self.from.to_be_bytes());
            } else {
                rows.seek_for_prev(self.from.to_be_bytes());
            }
            while let Some((key, value)) = rows.item() {
                // A key of another length was not written by us.
                if let Ok(seq) = key.try_into().map(u64::from_be_bytes) {
                    if !(self.bounds.0..self.bounds.1).contains(&seq) {
                        return;
                    }
                    step = 1;
                    self.move_on(seq, 1);
                    if visit(seq, value).is_break() {
                        return;
                    }
                }
                if self.forward {
                    rows.next();
                } else {
                    rows.prev();
                }
            }
            if rows.status().is_ok() {
                return;
            }
            let before = self.from;
            self.move_on(before, step);
            self.unreadable += before.abs_diff(self.from);
            step *= 2;
        }
    }

    /// Goes on `step` numbers from `seq`; off the bounds at their end.
    fn move_on(&mut self, seq: u64, step: u64) {
        self.from = if self.forward {
            seq.saturating_add(step).min(self.bounds.1)
        } else {
            match seq.checked_sub(step) {
                Some(before) if before >= self.bounds.0 => before,
                // One below the lowest; where that is no number, beyond the highest will do.
                _ => self.bounds.0.checked_sub(1).unwrap_or(u64::MAX),
            }
        };
    }
}

/// The lowest number in the database: `None` when it is empty; 1 when the lowest cannot be read,
/// so that a walk from there steps over the damage.
pub(super) fn lowest(db: &DB) -> Option<u64> {
    let mut rows = db.raw_iterator();
    rows.seek_to_first();
    match rows.key() {
        Some(key) => Some(key.try_into().map_or(1, u64::from_be_bytes)),
        None if rows.status().is_ok() => None,
        None => Some(1),
    }
}

/// Whether anything can be read: a table that is gone, or whose index is damaged, can keep
/// RocksDB from reading all the others.
pub(super) fn readable(db: &DB) -> bool {
    let mut rows = db.raw_iterator();
    rows.seek_to_first();
    if rows.status().is_ok() {
        return true;
    }
    let mut rows = db.raw_iterator();
    rows.seek_to_last();
    rows.status().is_ok()
}
