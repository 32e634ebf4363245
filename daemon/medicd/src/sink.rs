//! Where every event goes beside the loop: into the store of events and the live picture.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hostmedic_model::{loss::QueueCounters, signal::Signal};
use hostmedic_retain::events::{
    Events, Keep,
    writer::{EventWriter, Pace},
};

use crate::activity::Activity;

/// Takes events without ever waiting.
pub(crate) struct EventSink {
    writer: Mutex<Option<EventWriter>>,
    store: Option<Events>,
    /// Events that came from elsewhere than the rings.
    other: AtomicU64,
    /// What became of events, when the writer has ended.
    last: Mutex<QueueCounters>,
    pub(crate) activity: Activity,
}

impl EventSink {
    /// Over the store at `dir`. Without it the daemon goes on: events are evidence, not audit.
    pub(crate) fn open(dir: &Path) -> Self {
        let opened = Events::open(dir, Keep::default()).map_err(anyhow::Error::from);
        let opened = opened.and_then(|store| {
            let writer = EventWriter::start(store.clone(), Pace::default())?;
            Ok((store, writer))
        });
        let (store, writer) = match opened {
            Ok((store, writer)) => (Some(store), Some(writer)),
            Err(error) => {
                tracing::error!(%error, "Cannot keep events; `medic events` will show none.");
                (None, None)
            }
        };
        Self {
            writer: Mutex::new(writer),
            store,
            other: AtomicU64::new(0),
            last: Mutex::new(QueueCounters::default()),
            activity: Activity::default(),
        }
    }

    /// Keeps nothing.
    #[cfg(test)]
    pub(crate) fn without_store() -> Self {
        Self {
            writer: Mutex::new(None),
            store: None,
            other: AtomicU64::new(0),
            last: Mutex::new(QueueCounters::default()),
            activity: Activity::default(),
        }
    }

    /// The store, for questions.
    pub(crate) fn store(&self) -> Option<Events> {
        self.store.clone()
    }

    /// Keeps an event of a ring.
    pub(crate) fn keep(&self, signal: &Signal) {
        self.activity.note(signal);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match writer.as_ref() {
            Some(writer) => writer.offer(signal.clone()),
            None => {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                last.taken += 1;
                last.not_stored += 1;
            }
        }
    }

    /// Keeps an event that came by no ring.
    pub(crate) fn keep_other(&self, signal: &Signal) {
        self.other.fetch_add(1, Relaxed);
        self.keep(signal);
    }

    /// Fills in what became of events.
    pub(crate) fn count(&self, counters: &mut QueueCounters) {
        counters.other = self.other.load(Relaxed);
        match &*self.writer.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(writer) => writer.count(counters),
            None => {
                let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                counters.taken = last.taken;
                counters.stored = last.stored;
                counters.not_stored = last.not_stored;
            }
        }
    }

    /// Writes what waits, and ends. Blocks for the disk.
    pub(crate) fn stop(&self) {
        let writer = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            writer.stop(&mut last);
        }
    }
}
