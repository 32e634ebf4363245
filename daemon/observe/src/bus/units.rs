//! Watches the state of systemd's units and tells every change once.
//!
//! Changes come as signals, never by polling a list: a host may have ten thousand units. A
//! change only marks its unit; the state is then read afresh, so a burst costs one reading and
//! the newest state wins. When the bus is lost, everything is read again after reconnecting,
//! because a state that changed meanwhile sends no signal a second time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt as _;
use hostmedic_model::{
    signal::{Fact, Signal},
    subject::{Subject, UnitName},
    time::At,
    unit::{ActiveState, UnitState},
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use zbus::Connection;

use super::{
    BusError, connect, manager,
    marks::{MARKS_MAX, Mark, Pending, changes, mark},
    state::{Reading, loaded, read_state},
};
use crate::{host::clock, subject::Subjects};

/// First pause before a new try to connect; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Units whose told state is remembered at most.
const UNITS_MAX: usize = 32_768;
/// Units read at once while everything is read.
const READ_AT_ONCE: usize = 16;

/// Whether unit states are being watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusStatus {
    /// Not yet.
    Connecting,
    /// Every loaded unit was read, and every change since was or will be told.
    Watching,
    /// Not now; states may be stale until [`BusStatus::Watching`] comes again.
    Lost {
        /// Why.
        reason: String,
    },
}

/// What watching cost and missed; all rise only.
#[derive(Debug, Default)]
pub struct WatchCounters {
    /// States told.
    pub told: AtomicU64,
    /// Times a state had to wait because the queue was full.
    pub queue_full: AtomicU64,
    /// Times the bus was lost.
    pub lost: AtomicU64,
}

/// Watches the units of the systemd behind one bus.
#[derive(Debug)]
pub struct UnitWatch {
    /// The bus; `None` is the system's own.
    pub address: Option<String>,
    /// Learns the cgroups of units that start, so that they can be named when they are gone.
    pub subjects: Subjects,
    /// Prefix of the cgroup paths that this systemd gives, as for [`Subjects::below`].
    pub cgroup_below: String,
    /// Where states go.
    pub signals: mpsc::Sender<Signal>,
    /// Where we tell whether we see anything.
    pub status: watch::Sender<BusStatus>,
    /// What it cost.
    pub counters: Arc<WatchCounters>,
}

impl UnitWatch {
    /// Watches until nobody receives any more. Never fails: a lost bus is told and tried again.
    pub async fn run(self) {
        let mut told = HashMap::new();
        let mut pause = RETRY_MIN;
        loop {
            let session = self.session(&mut told);
            let reason = tokio::select! {
                () = self.signals.closed() => return,
                end = session => end,
            };
            if self.status.send_replace(BusStatus::Lost {
                reason: reason.to_string(),
            }) == BusStatus::Watching
            {
                pause = RETRY_MIN;
            }
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = %reason, retry_in = ?pause, "Lost sight of unit states.");
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// One connection, from connecting to its loss.
    async fn session(&self, told: &mut HashMap<UnitName, UnitState>) -> BusError {
        match self.watch(told).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn watch(
        &self,
        told: &mut HashMap<UnitName, UnitState>,
    ) -> Result<std::convert::Infallible, BusError> {
        let call = |what: &str| {
            let what = what.to_owned();
            move |source| BusError::Call { what, source }
        };
        let conn = connect(self.address.as_deref()).await?;
        // Listen first, then read: a change in between is then read twice, not missed.
        let changes = changes(&conn).await?;
        let subscribing = "subscribe to systemd's signals";
        let manager = manager(&conn).await.map_err(call(subscribing))?;
        let () = manager
            .call("Subscribe", &())
            .await
            .map_err(call(subscribing))?;

        let (marks, marked) = mpsc::channel(MARKS_MAX);
        let marking = mark(changes, marks);
        let telling = async {
            self.tell_all(&conn, told).await?;
            self.status.send_replace(BusStatus::Watching);
            self.tell_marked(&conn, told, marked).await
        };
        // zbus stops reading the socket while a stream is full, answers included: so changes
        // are taken all the time, also while a unit is being read.
        tokio::select! {
            lost = marking => Err(lost),
            end = telling => end,
        }
    }

    /// Reads every loaded unit of the watched types, and tells what differs from what was told.
    async fn tell_all(
        &self,
        conn: &Connection,
        told: &mut HashMap<UnitName, UnitState>,
    ) -> Result<(), BusError> {
        let units = loaded(conn, UNITS_MAX).await?;
        let gone: Vec<_> = told
            .keys()
            .filter(|unit| !units.contains(unit))
            .cloned()
            .collect();
        for unit in gone {
            self.tell_removed(&unit, told).await;
        }
        let mut readings = futures_util::stream::iter(units)
            .map(|unit| async move { (read_state(conn, &unit).await, unit) })
            .buffer_unordered(READ_AT_ONCE);
        while let Some((reading, unit)) = readings.next().await {
            self.tell(&unit, reading?, told).await;
        }
        Ok(())
    }

    async fn tell_marked(
        &self,
        conn: &Connection,
        told: &mut HashMap<UnitName, UnitState>,
        mut marked: mpsc::Receiver<Mark>,
    ) -> Result<std::convert::Infallible, BusError> {
        let mut pending = Pending::default();
        loop {
            if pending.is_empty() {
                // The other side lives as long as this does.
                let Some(mark) = marked.recv().await else {
                    std::future::pending::<()>().await;
                    continue;
                };
                pending.add(mark);
            }
            while let Ok(mark) = marked.try_recv() {
                pending.add(mark);
            }
            match pending.take() {
                Some(Mark::Changed(unit)) => {
                    let reading = read_state(conn, &unit).await?;
                    self.tell(&unit, reading, told).await;
                }
                Some(Mark::Removed(unit)) => self.tell_removed(&unit, told).await,
                Some(Mark::Reloaded) => self.tell_all(conn, told).await?,
                None => {}
            }
        }
    }

    /// Tells a state if it is news.
    async fn tell(
        &self,
        unit: &UnitName,
        reading: Option<Reading>,
        told: &mut HashMap<UnitName, UnitState>,
    ) {
        let Some(reading) = reading else {
            // The mark that said so may have been replaced by a newer one.
            return self.tell_removed(unit, told).await;
        };
        if !reading.control_group.is_empty() {
            let path = format!("{}{}", self.cgroup_below, reading.control_group);
            self.subjects.note(&path, clock::now());
        }
        // A unit that never ran is no news: asking for it has just loaded it.
        let is_news = match told.get(unit) {
            Some(before) => *before != reading.state,
            None => {
                reading.state.invocation_id.is_some()
                    || reading.state.active != ActiveState::Inactive
            }
        };
        if is_news {
            let ended_by_watchdog = told
                .get(unit)
                .is_some_and(|before| has_missed_watchdog(before, &reading.state));
            if told.len() < UNITS_MAX || told.contains_key(unit) {
                told.insert(unit.clone(), reading.state.clone());
            }
            self.send(unit, reading.at, Fact::UnitState(reading.state))
                .await;
            if ended_by_watchdog {
                self.send(unit, reading.at, Fact::UnitWatchdog).await;
            }
        }
    }

    async fn tell_removed(&self, unit: &UnitName, told: &mut HashMap<UnitName, UnitState>) {
        if told.remove(unit).is_some() {
            self.send(unit, clock::now(), Fact::UnitRemoved).await;
        }
    }

    /// Waits while the queue is full: units that change meanwhile stay marked, so the newest
    /// state is late, not lost.
    async fn send(&self, unit: &UnitName, at: At, fact: Fact) {
        let signal = Signal {
            at,
            subject: Subject::Unit(unit.clone()),
            fact,
        };
        if let Err(mpsc::error::TrySendError::Full(signal)) = self.signals.try_send(signal) {
            self.counters.queue_full.fetch_add(1, Ordering::Relaxed);
            // An error means that nobody receives any more; then `run` ends.
            let _ = self.signals.send(signal).await;
        }
        self.counters.told.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether systemd has ended this run of the unit for want of its keep-alive since the state before.
fn has_missed_watchdog(before: &UnitState, now: &UnitState) -> bool {
    const RESULT: &str = "watchdog";
    now.result == RESULT && (before.result != RESULT || before.invocation_id != now.invocation_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_end_by_the_watchdog_is_told_once() {
        let state = |sub: &str, result: &str, run: &str| UnitState {
            active: ActiveState::Deactivating,
            sub: sub.to_owned(),
            result: result.to_owned(),
            invocation_id: Some(run.to_owned()),
            n_restarts: 0,
        };
        let told = [
            state("running", "success", "a"),
            state("stop-watchdog", "watchdog", "a"),
            state("failed", "watchdog", "a"),
            state("auto-restart", "watchdog", "a"),
            // The next run failed before anybody looked.
            state("stop-watchdog", "watchdog", "b"),
            state("running", "success", "c"),
            state("failed", "watchdog", "c"),
            state("failed", "exit-code", "d"),
        ];
        let ends: Vec<_> = told
            .windows(2)
            .map(|pair| has_missed_watchdog(&pair[0], &pair[1]))
            .collect();
        assert_eq!(ends, [true, false, false, true, false, true, false]);
    }
}
