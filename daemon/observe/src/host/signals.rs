//! All sources of facts that need no probe, as one: counters that are compared at intervals, and
//! a thread that waits for what the kernel reports by itself.

use std::io;

use hostmedic_model::{signal::Signal, time::At};
use tokio::sync::mpsc::Sender;

use super::{
    SourceProblem,
    links::LinkWatch,
    memory_events::MemoryWatch,
    net::NetWatch,
    watch::{Watch, WatchOptions},
    zombies::ZombieWatch,
};
use crate::subject::Subjects;

/// Facts of the host's own files.
#[derive(Debug)]
pub struct HostSignals {
    subjects: Subjects,
    memory: MemoryWatch,
    net: NetWatch,
    links: LinkWatch,
    zombies: ZombieWatch,
    watch: Option<Watch>,
}

impl HostSignals {
    /// Over this host, attributing through `subjects`.
    pub fn new(subjects: Subjects) -> Self {
        Self {
            memory: MemoryWatch::new(subjects.clone()),
            net: NetWatch::new(),
            links: LinkWatch::new(),
            zombies: ZombieWatch::new(subjects.clone()),
            subjects,
            watch: None,
        }
    }

    /// Everything that counters show to have happened since the last call, and every source that
    /// could not be read. The first call only sets the baseline.
    ///
    /// Reads some thousand small files on a large host, so call it where blocking is allowed.
    pub fn poll(&mut self, at: At) -> (Vec<Signal>, Vec<SourceProblem>) {
        let mut problems = self.watch.as_ref().map(Watch::problems).unwrap_or_default();
        let mut signals = self.memory.poll(at, &mut problems);
        signals.extend(self.net.poll(at, &mut problems));
        signals.extend(self.links.poll(at, &mut problems));
        signals.extend(self.zombies.poll(at, &mut problems));
        (signals, problems)
    }

    /// Starts to watch mounts and pressure, sending to `queue` without ever waiting for it. The
    /// watch ends when this is dropped or the queue's other end is.
    ///
    /// # Errors
    /// Fails if no thread or pipe can be made. What cannot be watched is no error:
    /// [`Self::poll`] names it.
    pub fn watch(&mut self, options: WatchOptions, queue: Sender<Signal>) -> io::Result<()> {
        self.watch = Some(Watch::start(options, self.subjects.clone(), queue)?);
        Ok(())
    }

    /// Signals of the watch that found the queue full for too long; it only rises.
    pub fn dropped(&self) -> u64 {
        self.watch.as_ref().map_or(0, Watch::dropped)
    }

    /// The memory controller's counters, to ask whose limit killed a victim.
    pub fn memory(&self) -> &MemoryWatch {
        &self.memory
    }
}
