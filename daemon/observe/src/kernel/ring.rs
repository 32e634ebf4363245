//! One thread a ring: waits, drains in bounded batches, decodes, hands on through a bounded queue.
//!
//! A thread of its own, because reading a ring is only memory: inside an async task a busy ring
//! would starve every other branch. The ring's descriptor is level-triggered under poll(2), so a
//! batch cut short or a pause before draining cannot lose a wake-up. Rare events wake their reader
//! at once. Everyday events do not, since a wake-up would cost the program that made the event more
//! than all the rest: their reader looks by itself, four times a second or, while nothing comes, less
//! often; new cgroups wake it, and a ring that fills.

use std::{
    io::{self, PipeReader, PipeWriter},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};
use hostmedic_abi::HOOKS;
use hostmedic_model::loss::QueueCounters;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tokio::sync::mpsc::{Sender, error::TrySendError};

use super::{
    decode::{Undecodable, decode},
    event::KernelEvent,
    spill::{Spill, Spilled},
};

/// Records read before it is asked again whether to stop.
const BATCH_MAX: usize = 512;
/// Batches of the last drain; no ring holds more records than that.
const LAST_BATCHES_MAX: usize = 1 << 16;
/// Longest wait when the time given does not fit poll(2).
const WAIT_MS_MAX: u16 = 1000;
/// How long a full queue is left alone before the next try.
const RETRY: Duration = Duration::from_millis(2);

/// What to do while the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// Wait: the ring is the buffer, and it counts what it cannot take.
    Wait,
    /// Drop the event and count it.
    Drop,
}

/// How one ring is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// Its name, in the thread's name and in errors.
    pub(crate) name: &'static str,
    /// What a full queue means.
    pub(crate) when_full: WhenFull,
    /// Longest wait for a wake-up after something came ...
    pub(crate) look_every: Duration,
    /// ... and at last, when nothing comes: it doubles each time.
    pub(crate) look_at_least: Duration,
}

/// Counts of what happened to records after the rings; shared by all readers.
#[derive(Debug, Default)]
pub(crate) struct QueueCounts {
    read: AtomicU64,
    undecodable: AtomicU64,
    queue_full: AtomicU64,
    recovered: [AtomicU64; HOOKS],
}

impl QueueCounts {
    /// Events of each hook that were read from the spill.
    pub(crate) fn recovered(&self) -> [u64; HOOKS] {
        self.recovered.each_ref().map(|count| count.load(Relaxed))
    }

    /// The numbers now.
    pub(crate) fn snapshot(&self) -> QueueCounters {
        QueueCounters {
            read: self.read.load(Relaxed),
            undecodable: self.undecodable.load(Relaxed),
            queue_full: self.queue_full.load(Relaxed),
            ..QueueCounters::default()
        }
    }
}

/// A running reader. Dropping it drains its ring a last time and waits for its end.
pub(crate) struct Reader {
    /// Closing it is the request to stop.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts reading `ring` into `queue`.
    pub(crate) fn start(
        lane: Lane,
        ring: RingBuf<MapData>,
        spill: Option<Spill>,
        queue: Sender<KernelEvent>,
        counts: Arc<QueueCounts>,
    ) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let mut work = Work {
            lane,
            ring,
            spill,
            queue,
            counts,
            stopped,
        };
        let thread = thread::Builder::new()
            .name(format!("ring-{}", lane.name))
            .spawn(move || work.run())?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("A reader of the probes' rings had panicked.");
        }
    }
}

/// Why a wait ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    Stop,
    Ring,
    Time,
}

struct Work {
    lane: Lane,
    ring: RingBuf<MapData>,
    spill: Option<Spill>,
    queue: Sender<KernelEvent>,
    counts: Arc<QueueCounts>,
    stopped: PipeReader,
}

impl Work {
    fn run(&mut self) {
        let mut look_in = self.lane.look_every;
        loop {
            let woken = self.wait(true, look_in);
            if woken == Woken::Stop {
                // The programs are detached by now, so this ends by itself.
                for _ in 0..LAST_BATCHES_MAX {
                    if self.batch(true) < BATCH_MAX {
                        break;
                    }
                }
                self.recover(true);
                return;
            }
            let mut read = self.batch(false);
            look_in = match read {
                0 => (look_in * 2).min(self.lane.look_at_least),
                _ => self.lane.look_every,
            };
            while read == BATCH_MAX {
                read = self.batch(false);
                if self.wait(false, Duration::ZERO) == Woken::Stop {
                    break;
                }
            }
            self.recover(false);
            if self.queue.is_closed() {
                return;
            }
        }
    }

    /// Reads what the ring had no room for.
    fn recover(&mut self, is_last: bool) {
        let news = match self.spill.as_mut().map(Spill::news) {
            Some(Ok(news)) => news,
            Some(Err(error)) => {
                tracing::warn!(%error, "Could not read the spill of rare events.");
                return;
            }
            None => return,
        };
        for Spilled { hook, bytes } in news {
            self.counts.recovered[hook].fetch_add(1, Relaxed);
            self.taken(decode(&bytes), is_last);
        }
    }

    /// Reads up to [`BATCH_MAX`] records; says how many.
    fn batch(&mut self, is_last: bool) -> usize {
        for read in 0..BATCH_MAX {
            let decoded = match self.ring.next() {
                Some(record) => decode(&record),
                None => return read,
            };
            self.taken(decoded, is_last);
        }
        BATCH_MAX
    }

    fn taken(&self, decoded: Result<KernelEvent, Undecodable>, is_last: bool) {
        self.counts.read.fetch_add(1, Relaxed);
        match decoded {
            Ok(event) => self.hand_on(event, is_last),
            Err(error) => {
                if self.counts.undecodable.fetch_add(1, Relaxed) == 0 {
                    tracing::error!(%error, lane = self.lane.name, "Could not read a record.");
                }
            }
        }
    }

    fn hand_on(&self, mut event: KernelEvent, is_last: bool) {
        loop {
            event = match self.queue.try_send(event) {
                Ok(()) => return,
                Err(TrySendError::Full(event)) => event,
                Err(TrySendError::Closed(_)) => break,
            };
            let waits = self.lane.when_full == WhenFull::Wait && !is_last;
            if !waits || self.wait(false, RETRY) == Woken::Stop {
                break;
            }
        }
        self.counts.queue_full.fetch_add(1, Relaxed);
    }

    /// Waits for the request to stop and, if `for_ring`, for records.
    fn wait(&self, for_ring: bool, limit: Duration) -> Woken {
        let mut fds = [
            PollFd::new(self.stopped.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.ring.as_fd(), PollFlags::POLLIN),
        ];
        let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::from(WAIT_MS_MAX));
        let watched = if for_ring {
            &mut fds[..]
        } else {
            &mut fds[..1]
        };
        match poll(watched, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, lane = self.lane.name, "Could not wait for a ring.");
                thread::sleep(limit);
            }
        }
        let [stopped, ring] = fds.map(|fd| fd.any().unwrap_or(false));
        match (stopped, for_ring && ring) {
            (true, _) => Woken::Stop,
            (false, true) => Woken::Ring,
            (false, false) => Woken::Time,
        }
    }
}
