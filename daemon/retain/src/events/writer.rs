//! Writes events beside the loop: a bounded queue and a thread that gathers batches. Whoever
//! offers an event never waits, and what becomes of each is counted.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use hostmedic_model::{loss::QueueCounters, signal::Signal};

use super::{Events, EventsError};

/// Where batches go: [`Events`], or a test's.
pub trait Sink: Send + 'static {
    /// Writes a batch, all or nothing.
    ///
    /// # Errors
    /// Nothing of it is counted as stored then.
    fn append(&mut self, signals: &[Signal]) -> Result<(), EventsError>;
}

impl Sink for Events {
    fn append(&mut self, signals: &[Signal]) -> Result<(), EventsError> {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let now_ms = i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX);
        Self::append(self, signals, now_ms)
    }
}

/// How events are gathered.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Events that may wait; more are counted as not stored.
    pub waiting_max: usize,
    /// Events of one batch at most.
    pub batch_max: usize,
    /// Longest time that an event waits for others.
    pub batch_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            waiting_max: 4096,
            batch_max: 512,
            batch_wait: Duration::from_millis(250),
        }
    }
}

/// The writer's side that the loop has.
#[derive(Debug)]
pub struct EventWriter {
    queue: SyncSender<Signal>,
    tally: Arc<Tally>,
    thread: JoinHandle<()>,
}

/// What became of events; all rise only. At rest `taken = stored + not_stored`.
#[derive(Debug, Default)]
struct Tally {
    taken: AtomicU64,
    stored: AtomicU64,
    not_stored: AtomicU64,
}

impl EventWriter {
    /// Starts the thread that writes to `sink`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(sink: impl Sink, pace: Pace) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(pace.waiting_max);
        let tally = Arc::new(Tally::default());
        let counted = Arc::clone(&tally);
        let thread = thread::Builder::new()
            .name("events".to_owned())
            .spawn(move || write(&waiting, sink, &counted, pace))?;
        Ok(Self {
            queue,
            tally,
            thread,
        })
    }

    /// Takes an event without waiting.
    pub fn offer(&self, signal: Signal) {
        self.tally.taken.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(signal).is_err() {
            self.tally.not_stored.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Fills in what became of the events that were offered.
    pub fn count(&self, counters: &mut QueueCounters) {
        self.tally.fill(counters);
    }

    /// Waits until everything that was offered is written or refused, and gives the last account.
    pub fn stop(self, counters: &mut QueueCounters) {
        drop(self.queue);
        if self.thread.join().is_err() {
            tracing::error!(
                "The writer of events ended in a panic; what waited for it is not stored."
            );
        }
        self.tally.fill(counters);
    }
}

impl Tally {
    fn fill(&self, counters: &mut QueueCounters) {
        // In this order no reading ever shows more ends than beginnings.
        counters.stored = self.stored.load(Ordering::Acquire);
        counters.not_stored = self.not_stored.load(Ordering::Acquire);
        counters.taken = self.taken.load(Ordering::Acquire);
    }
}

/// The thread: gathers and writes until every sender is gone.
fn write(waiting: &Receiver<Signal>, mut sink: impl Sink, tally: &Tally, pace: Pace) {
    let mut failing = false;
    let mut batch = Vec::with_capacity(pace.batch_max);
    while let Ok(first) = waiting.recv() {
        batch.push(first);
        let until = Instant::now() + pace.batch_wait;
        while batch.len() < pace.batch_max {
            match waiting.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(signal) => batch.push(signal),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let count = batch.len() as u64;
        match sink.append(&batch) {
            Ok(()) => {
                tally.stored.fetch_add(count, Ordering::Release);
                if std::mem::take(&mut failing) {
                    tracing::info!("The store of events writes again.");
                }
            }
            Err(error) => {
                tally.not_stored.fetch_add(count, Ordering::Release);
                // Once, not once a batch: the disk that is full may hold the journal, too.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "Events are not stored.");
                }
            }
        }
        batch.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use std::{path::PathBuf, sync::Mutex};

    use hostmedic_model::{signal::Fact, subject::Subject, time::At};
    use proptest::prelude::*;

    use super::*;

    /// A disk that takes some batches and refuses others.
    struct Disk {
        refuses: Vec<bool>,
        appends: usize,
        holds: Arc<Mutex<Vec<u64>>>,
        slow: Duration,
    }

    impl Sink for Disk {
        fn append(&mut self, signals: &[Signal]) -> Result<(), EventsError> {
            thread::sleep(self.slow);
            self.appends += 1;
            if self.refuses[self.appends % self.refuses.len()] {
                return Err(EventsError {
                    what: "write",
                    dir: PathBuf::new(),
                    why: "No space left on device".to_owned(),
                });
            }
            let numbers = signals.iter().map(|signal| signal.at.boot_ns);
            self.holds.lock().unwrap().extend(numbers);
            Ok(())
        }
    }

    fn signal(n: u64) -> Signal {
        Signal {
            at: At {
                boot_ns: n,
                wall_ms: 0,
            },
            subject: Subject::Host,
            fact: Fact::UnitRemoved,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the disk does, every event has one end, and what is said to be stored is what
        /// the disk holds, in order.
        #[test]
        fn every_event_is_stored_or_not(
            refuses in prop::collection::vec(any::<bool>(), 1..8),
            offers in 0..600_u64,
            waiting_max in 1..64_usize,
            batch_max in 1..32_usize,
            slow_us in 0..200_u64,
        ) {
            let holds = Arc::new(Mutex::new(Vec::new()));
            let disk = Disk {
                refuses,
                appends: 0,
                holds: Arc::clone(&holds),
                slow: Duration::from_micros(slow_us),
            };
            let pace = Pace { waiting_max, batch_max, batch_wait: Duration::from_millis(1) };
            let writer = EventWriter::start(disk, pace).unwrap();
            let mut counters = QueueCounters::default();
            for n in 0..offers {
                writer.offer(signal(n));
                writer.count(&mut counters);
                prop_assert!(counters.stored + counters.not_stored <= counters.taken);
            }
            writer.stop(&mut counters);
            prop_assert_eq!(counters.taken, offers);
            prop_assert_eq!(counters.taken, counters.stored + counters.not_stored);
            let holds = holds.lock().unwrap();
            prop_assert_eq!(counters.stored, holds.len() as u64);
            prop_assert!(holds.is_sorted());
        }
    }
}
