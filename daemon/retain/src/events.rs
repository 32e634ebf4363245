//! The store of events: the newest signals, for `medic events`.
//!
//! It is a database of its own beside the ledger's. In the ledger's, every synced append would
//! write the events before it to the disk, too, a flood of events would move the ledger's tables,
//! and damage to evidence would be damage to the audit chain. Here nothing waits for the disk: a
//! power cut may take the newest events, and what is damaged is passed over and counted.
//!
//! Key: the event's number, big-endian. Value: its wall clock (Unix milliseconds, 8 bytes
//! big-endian), so that a span of time is found without reading what lies outside, then its JSON.

mod floor;
mod walk;
pub mod writer;

use std::{
    fs,
    ops::ControlFlow,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hostmedic_model::{
    signal::Signal,
    time::At,
    view::{EventQuery, EventRow},
};
use rocksdb::{DB, WriteBatch};

use crate::rocks::{self, Budget};
use floor::Floor;
use walk::Walk;

/// Events deleted at once when there are too many.
const STEP: u64 = 4096;

/// Events beyond the end of a span, in a row, after which a query looks no further. More than
/// one, because several rings are read side by side and the wall clock may have been set.
const BEYOND_IN_A_ROW: usize = 4096;

/// How long events are kept. The oldest go first.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// So many at most.
    pub events_max: u64,
    /// Not longer than this, by the wall clock.
    pub age_max: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            events_max: 200_000,
            age_max: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// Why the store of events could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} the store of events {dir}: {why}", dir = dir.display())]
pub struct EventsError {
    /// What failed: `open`, `write`, `read`.
    what: &'static str,
    /// Its directory.
    dir: PathBuf,
    /// What the system said.
    why: String,
}

/// The events that a query found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The events, oldest first.
    pub events: Vec<EventRow>,
    /// Number to ask for next, if the query began at a number and there are more.
    pub next_after: Option<u64>,
    /// Events in the way that could not be read; where a whole block is damaged, at most so many.
    pub unreadable: u64,
}

/// The store. Cheap to clone; it can be read while it is written.
#[derive(Clone)]
pub struct Events(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    keep: Keep,
    /// `None` only when it broke and could not be opened again yet.
    db: RwLock<Option<DB>>,
    place: Mutex<Place>,
    /// Lowest number that may still be there. Behind a lock of its own for readers.
    first: AtomicU64,
}

/// Where the next event goes; the writer's.
struct Place {
    next: u64,
    /// Events that are there. Numbers have holes, so they do not tell.
    count: u64,
    floor: Floor,
    /// A write failed: what RocksDB holds is unknown until it is opened again.
    broken: bool,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Events({})", self.0.dir.display())
    }
}

impl Events {
    /// Opens the store in `dir`, or makes one. One that cannot be repaired is moved aside to
    /// `db.damaged`, and numbers go on where they were.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn open(dir: &Path, keep: Keep) -> Result<Self, EventsError> {
        let failed = |why: String| EventsError {
            what: "open",
            dir: dir.to_owned(),
            why,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(dir)
            .map_err(|error| failed(error.to_string()))?;
        let db = open_or_begin(dir).map_err(failed)?;
        let floor = Floor::open(dir);
        let first = walk::lowest(&db);
        let (mut count, mut next) = (0, floor.reserved());
        if let Some(first) = first {
            Walk::new(&db, first, true, first, u64::MAX).each(|seq, _| {
                (count, next) = (count + 1, next.max(seq + 1));
                ControlFlow::Continue(())
            });
        }
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            keep,
            db: RwLock::new(Some(db)),
            first: AtomicU64::new(first.unwrap_or(next)),
            place: Mutex::new(Place {
                next,
                count,
                floor,
                broken: false,
            }),
        })))
    }

    /// Appends events in order and deletes what is too old or too much at `now_ms`, Unix
    /// milliseconds. Does not wait for the disk.
    ///
    /// # Errors
    /// None of them may be counted as stored then. The next append opens the database anew.
    pub fn append(&self, signals: &[Signal], now_ms: i64) -> Result<(), EventsError> {
        let failed = |why: String| self.failed("write", why);
        let mut place = self.0.place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.broken {
            self.reopen().map_err(failed)?;
            place.broken = false;
        }
        let from = place.next;
        let next = from + signals.len() as u64;
        let mut batch = WriteBatch::default();
        for (seq, signal) in (from..).zip(signals) {
            let mut value = signal.at.wall_ms.to_be_bytes().to_vec();
            serde_json::to_writer(&mut value, signal).map_err(|error| failed(error.to_string()))?;
            batch.put(seq.to_be_bytes(), value);
        }
        place.floor.reserve(next).map_err(failed)?;
        // Whatever becomes of the batch, its numbers are used.
        place.next = next;
        place.count += signals.len() as u64;
        let written = self
            .with("write", |db| {
                db.write(batch).map_err(rocksdb::Error::into_string)
            })
            .and_then(|()| self.trim(&mut place, now_ms));
        place.broken = written.is_err();
        written
    }

    /// Deletes what is too much or too old: at most a few steps at once, so that no append takes
    /// long.
    fn trim(&self, place: &mut Place, now_ms: i64) -> Result<(), EventsError> {
        let Keep {
            events_max,
            age_max,
        } = self.0.keep;
        let age_ms = i64::try_from(age_max.as_millis()).unwrap_or(i64::MAX);
        let oldest_ms = now_ms.saturating_sub(age_ms);
        // A step more than needed, so that it is not needed at each append.
        let surplus = match place.count.saturating_sub(events_max) {
            0 => 0,
            over => over + STEP.min(events_max / 2),
        };
        let first = self.0.first.load(Ordering::Relaxed);
        let (mut cut, mut gone) = (first, 0);
        self.with("write", |db| {
            let mut walk = Walk::new(db, first, true, first, place.next);
            walk.each(|seq, value| {
                let old = wall_ms(value).is_none_or(|at_ms| at_ms < oldest_ms);
                if gone < surplus || (old && gone < STEP) {
                    (cut, gone) = (seq + 1, gone + 1);
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            gone += walk.unreadable();
            if cut == first {
                return Ok(());
            }
            let (from, to) = (first.to_be_bytes(), cut.to_be_bytes());
            let mut batch = WriteBatch::default();
            batch.delete_range(from, to);
            db.write(batch).map_err(rocksdb::Error::into_string)?;
            // Whole tables of it go at once, the rest when tables are merged.
            db.delete_file_in_range(from, to)
                .map_err(rocksdb::Error::into_string)
        })?;
        if cut > first {
            place.count = place.count.saturating_sub(gone);
            self.0.first.store(cut, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The events that fit `query`. Reads no more of them into memory than it gives.
    ///
    /// # Errors
    /// When the database is closed after a failed write.
    pub fn query(&self, query: &EventQuery) -> Result<Found, EventsError> {
        let (first, next) = self.bounds();
        let limit = query.limit as usize;
        let forward = query.after.is_some();
        let from = match query.after {
            Some(after) => first.max(after.saturating_add(1)),
            None => next.saturating_sub(1),
        };
        let mut found = Found::default();
        let mut beyond = 0;
        self.with("read", |db| {
            let mut walk = Walk::new(db, from, forward, first, next);
            let mut undecodable = 0;
            walk.each(|seq, value| {
                let Some(at_ms) = wall_ms(value) else {
                    undecodable += 1;
                    return ControlFlow::Continue(());
                };
                let early = query.since_ms.is_some_and(|since_ms| at_ms < since_ms);
                let late = query.until_ms.is_some_and(|until_ms| at_ms >= until_ms);
                if early || late {
                    // Before the span there is nothing more on the way back, after it on the way
                    // forth.
                    beyond = if early != forward { beyond + 1 } else { 0 };
                    return if beyond < BEYOND_IN_A_ROW {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    };
                }
                beyond = 0;
                let Ok(signal) = serde_json::from_slice::<Signal>(&value[8..]) else {
                    undecodable += 1;
                    return ControlFlow::Continue(());
                };
                let wanted = query
                    .subject
                    .as_ref()
                    .is_none_or(|subject| *subject == signal.subject)
                    && (query.kinds.is_empty() || query.kinds.contains(&signal.fact.kind()));
                if !wanted {
                    return ControlFlow::Continue(());
                }
                if found.events.len() == limit {
                    if forward {
                        found.next_after = found.events.last().map(|last| last.seq);
                    }
                    return ControlFlow::Break(());
                }
                found.events.push(EventRow { seq, signal });
                ControlFlow::Continue(())
            });
            found.unreadable = undecodable + walk.unreadable();
            Ok(())
        })?;
        if !forward {
            found.events.reverse();
        }
        if found.unreadable > 0 {
            tracing::warn!(events = found.unreadable, store = %self.0.dir.display(), "Passed over events that cannot be read.");
        }
        Ok(found)
    }

    /// When the oldest event that is kept happened; `None` when there is none.
    ///
    /// # Errors
    /// As of [`Self::query`].
    pub fn kept_since(&self) -> Result<Option<At>, EventsError> {
        let (first, next) = self.bounds();
        let mut since = None;
        self.with("read", |db| {
            Walk::new(db, first, true, first, next).each(|_, value| {
                since = value
                    .get(8..)
                    .and_then(|json| serde_json::from_slice::<Signal>(json).ok())
                    .map(|signal| signal.at);
                match since {
                    Some(_) => ControlFlow::Break(()),
                    None => ControlFlow::Continue(()),
                }
            });
            Ok(())
        })?;
        Ok(since)
    }

    /// Lowest number that may be there, and the one after the newest.
    fn bounds(&self) -> (u64, u64) {
        let place = self.0.place.lock().unwrap_or_else(PoisonError::into_inner);
        (self.0.first.load(Ordering::Relaxed), place.next)
    }

    /// Closes the database and opens it again.
    fn reopen(&self) -> Result<(), String> {
        let mut slot = self.0.db.write().unwrap_or_else(PoisonError::into_inner);
        drop(slot.take());
        *slot = Some(open_or_begin(&self.0.dir)?);
        Ok(())
    }

    fn with<T>(
        &self,
        what: &'static str,
        work: impl FnOnce(&DB) -> Result<T, String>,
    ) -> Result<T, EventsError> {
        let db = self.0.db.read().unwrap_or_else(PoisonError::into_inner);
        let db = db
            .as_ref()
            .ok_or_else(|| self.failed(what, "it is closed after a failed write".to_owned()))?;
        work(db).map_err(|why| self.failed(what, why))
    }

    fn failed(&self, what: &'static str, why: String) -> EventsError {
        EventsError {
            what,
            dir: self.0.dir.clone(),
            why,
        }
    }
}

/// Opens the database below `dir`; if it is beyond repair, moves it aside and begins a new one.
fn open_or_begin(dir: &Path) -> Result<DB, String> {
    let (path, aside) = (dir.join("db"), dir.join("db.damaged"));
    let open = || rocks::open_lenient(&path, Budget::EVENTS).map_err(rocksdb::Error::into_string);
    let error = match open() {
        Ok(db) if walk::readable(&db) => return Ok(db),
        Ok(db) => {
            drop(db);
            rocks::repair(&path, Budget::EVENTS).map_err(rocksdb::Error::into_string)?;
            let db = open()?;
            if walk::readable(&db) {
                return Ok(db);
            }
            "nothing in it can be read".to_owned()
        }
        Err(error) => error,
    };
    // Somebody else has it open, or the disk is full: that is no damage.
    if error.starts_with("IO error") {
        return Err(error);
    }
    let moved = match fs::remove_dir_all(&aside) {
        Err(kept) if kept.kind() != std::io::ErrorKind::NotFound => Err(kept),
        _ => fs::rename(&path, &aside),
    };
    moved.map_err(|why| {
        format!(
            "{error}; and it cannot be moved to {}: {why}",
            aside.display()
        )
    })?;
    tracing::error!(%error, aside = %aside.display(), "The store of events is beyond repair; begins a new one.");
    open()
}

/// The wall clock of an event, without reading the rest.
fn wall_ms(value: &[u8]) -> Option<i64> {
    let bytes = value.get(..8)?.try_into().ok()?;
    Some(i64::from_be_bytes(bytes))
}
