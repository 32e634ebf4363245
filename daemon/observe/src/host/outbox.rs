//! Signals on their way into a queue that may be full: in order, bounded, and counted if lost.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hostmedic_model::signal::Signal;
use tokio::sync::mpsc::Sender;

/// Signals that wait for room in the queue.
const PENDING_MAX: usize = 256;

/// Sends without ever waiting.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Sender<Signal>,
    pending: VecDeque<Signal>,
    dropped: Arc<AtomicU64>,
}

impl Outbox {
    /// Sends to `queue` and counts in `dropped`.
    pub(super) const fn new(queue: Sender<Signal>, dropped: Arc<AtomicU64>) -> Self {
        Self {
            queue,
            pending: VecDeque::new(),
            dropped,
        }
    }

    /// Whether nobody reads the queue any more.
    pub(super) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Sends in order; what finds no room waits for [`Self::flush`], or is dropped and counted.
    pub(super) fn send(&mut self, signal: Signal) {
        self.flush();
        if self.pending.len() < PENDING_MAX {
            self.pending.push_back(signal);
            self.flush();
        } else {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        while !self.pending.is_empty() {
            let Ok(room) = self.queue.try_reserve() else {
                return;
            };
            if let Some(signal) = self.pending.pop_front() {
                room.send(signal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_model::{signal::Fact, subject::Subject, time::At};
    use tokio::sync::mpsc::channel;

    use super::*;

    fn signal(number: u64) -> Signal {
        Signal {
            at: At {
                boot_ns: number,
                wall_ms: 0,
            },
            subject: Subject::Host,
            fact: Fact::UnitRemoved,
        }
    }

    #[test]
    fn a_full_queue_keeps_the_order_and_counts_what_is_lost() {
        let (queue, mut read) = channel(2);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut outbox = Outbox::new(queue, Arc::clone(&dropped));
        let kept = u64::try_from(PENDING_MAX).unwrap_or(0) + 2;
        for number in 0..kept + 5 {
            outbox.send(signal(number));
        }
        assert_eq!(dropped.load(Relaxed), 5);
        let mut received = Vec::new();
        while let Ok(signal) = read.try_recv() {
            received.push(signal.at.boot_ns);
            outbox.flush();
        }
        assert_eq!(received, (0..kept).collect::<Vec<_>>());
    }

    #[test]
    fn a_queue_that_nobody_reads_holds_nothing_up() {
        let (queue, read) = channel(1);
        let mut outbox = Outbox::new(queue, Arc::default());
        drop(read);
        outbox.send(signal(1));
        assert!(outbox.is_closed());
    }
}
