//! Watches the state of systemd's units and tells every change once.
//!
//! Changes come as signals, never by polling a list: a host may have ten thousand units. A
//! change only marks its unit; the state is then read afresh, so a burst costs one reading and
//! the newest state wins. When the bus is lost, everything is read again after reconnecting,
//! because a state that changed meanwhile sends no signal a second time.

use std::{
    collections::{HashMap, VecDeque},
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
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath};

use super::{
    BusError, MANAGER, MANAGER_PATH, SYSTEMD, UNIT, connect, error_name,
    inspect::type_interface,
    manager,
    name::{unit_in_path, unit_path},
    props::hex,
    systemd_owner,
};
use crate::{host::clock, subject::Subjects};

/// First pause before a new try to connect; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Units remembered and marked at most; a host with more than this many is read in parts.
const UNITS_MAX: usize = 32_768;
/// Changes that zbus may hold for us between two of our turns.
const STREAM_MAX: usize = 1024;
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

        let (marks, marked) = mpsc::channel(UNITS_MAX);
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
        let units = loaded(conn).await?;
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
            if pending.order.is_empty() {
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
            if told.len() < UNITS_MAX || told.contains_key(unit) {
                told.insert(unit.clone(), reading.state.clone());
            }
            self.send(unit, reading.at, Fact::UnitState(reading.state))
                .await;
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

/// What has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mark {
    /// A unit's state may have changed.
    Changed(UnitName),
    /// A unit was unloaded.
    Removed(UnitName),
    /// systemd has read all unit files again, and made every unit anew.
    Reloaded,
}

/// Marked units in the order they were first marked. The newest mark of a unit wins, so one
/// that changed several times is read once. `None` stands for all of them.
#[derive(Debug, Default)]
struct Pending {
    order: VecDeque<Option<UnitName>>,
    newest: HashMap<Option<UnitName>, Mark>,
}

impl Pending {
    fn add(&mut self, mark: Mark) {
        let unit = match &mark {
            Mark::Changed(unit) | Mark::Removed(unit) => Some(unit.clone()),
            Mark::Reloaded => None,
        };
        if self.newest.insert(unit.clone(), mark).is_none() {
            self.order.push_back(unit);
        }
    }

    fn take(&mut self) -> Option<Mark> {
        self.newest.remove(&self.order.pop_front()?)
    }
}

/// The streams of everything that can change a unit's state.
struct Changes {
    properties: MessageStream,
    units: MessageStream,
}

async fn changes(conn: &Connection) -> Result<Changes, BusError> {
    let call = |source| BusError::Call {
        what: "listen to systemd's signals".to_owned(),
        source,
    };
    let owner = systemd_owner(conn).await?;
    let properties = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender(owner.clone())
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .path_namespace("/org/freedesktop/systemd1/unit")
        .build()
        .map_err(call)?;
    let units = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender(owner)
        .interface(MANAGER)
        .path(MANAGER_PATH)
        .build()
        .map_err(call)?;
    let max = std::num::NonZeroUsize::new(STREAM_MAX);
    Ok(Changes {
        properties: MessageStream::for_match_rule(properties, conn, max)
            .await
            .map_err(call)?,
        units: MessageStream::for_match_rule(units, conn, max)
            .await
            .map_err(call)?,
    })
}

/// Turns signals into marks until the bus is lost.
async fn mark(changes: Changes, marks: mpsc::Sender<Mark>) -> BusError {
    let Changes {
        mut properties,
        mut units,
    } = changes;
    let lost = |source| BusError::Call {
        what: "listen to systemd's signals".to_owned(),
        source,
    };
    let closed = || {
        lost(zbus::Error::Failure(
            "the bus closed the connection".to_owned(),
        ))
    };
    let mut reloading = false;
    loop {
        let (message, is_change) = tokio::select! {
            message = properties.next() => (message, true),
            message = units.next() => (message, false),
        };
        let mark = match message {
            None => return closed(),
            Some(Err(error)) => return lost(error),
            Some(Ok(message)) if is_change => changed(&message),
            Some(Ok(message)) => appeared(&message, &mut reloading),
        };
        // Full means that reading has stalled: better to begin again than to miss a change.
        if let Some(mark) = mark
            && marks.try_send(mark).is_err()
        {
            let stalled = format!("more than {UNITS_MAX} changes wait to be read");
            return lost(zbus::Error::Failure(stalled));
        }
    }
}

fn changed(message: &Message) -> Option<Mark> {
    let unit = unit_in_path(message.header().path()?.as_str())?;
    is_watched(&unit).then_some(Mark::Changed(unit))
}

/// `UnitNew`, `UnitRemoved` and `Reloading`. A new unit's first state comes with no other
/// signal. While systemd reloads, every unit is removed and made anew: that is no news, so what
/// really changed is looked for once, at its end.
fn appeared(message: &Message, reloading: &mut bool) -> Option<Mark> {
    let header = message.header();
    let body = message.body();
    match header.member()?.as_str() {
        "Reloading" => {
            *reloading = body.deserialize().ok()?;
            (!*reloading).then_some(Mark::Reloaded)
        }
        word @ ("UnitNew" | "UnitRemoved") if !*reloading => {
            let (name, _): (String, OwnedObjectPath) = body.deserialize().ok()?;
            let unit = UnitName::new(name).ok().filter(is_watched)?;
            Some(if word == "UnitNew" {
                Mark::Changed(unit)
            } else {
                Mark::Removed(unit)
            })
        }
        _ => None,
    }
}

/// Types that have a `Result`; the states of others say nothing that these do not.
fn is_watched(unit: &UnitName) -> bool {
    type_interface(unit).is_some()
}

/// Every loaded unit of the watched types: asked once per connection, not polled.
async fn loaded(conn: &Connection) -> Result<Vec<UnitName>, BusError> {
    type Row = (
        String,
        String,
        String,
        String,
        String,
        String,
        OwnedObjectPath,
        u32,
        String,
        OwnedObjectPath,
    );
    let call = |source| BusError::Call {
        what: "list the loaded units".to_owned(),
        source,
    };
    let none: &[&str] = &[];
    let patterns = ["*.service", "*.socket", "*.mount", "*.swap"];
    let manager = manager(conn).await.map_err(call)?;
    let rows: Vec<Row> = manager
        .call("ListUnitsByPatterns", &(none, &patterns[..]))
        .await
        .map_err(call)?;
    let mut units: Vec<_> = rows
        .into_iter()
        .filter_map(|row| UnitName::new(row.0).ok())
        .collect();
    units.sort_unstable();
    units.truncate(UNITS_MAX);
    Ok(units)
}

/// A unit's state, when it changed, and where its processes live.
struct Reading {
    at: At,
    state: UnitState,
    control_group: String,
}

/// Reads what a state needs, property by property but all at once: `GetAll` of a service makes
/// PID 1 read a dozen cgroup files, on every change of every unit.
///
/// `None`: the unit is gone.
async fn read_state(conn: &Connection, unit: &UnitName) -> Result<Option<Reading>, BusError> {
    let call = |source| BusError::Call {
        what: format!("read {unit} from systemd"),
        source,
    };
    // Asking a unit's path loads it, and that is told like any new unit: without this we would
    // load a unit, be told of it, load it again, and so on.
    let manager = manager(conn).await.map_err(call)?;
    match manager
        .call::<_, _, OwnedObjectPath>("GetUnit", &(unit.as_str(),))
        .await
    {
        Ok(_) => {}
        Err(error) if error_name(&error).as_deref().is_some_and(is_gone) => return Ok(None),
        Err(error) => return Err(call(error)),
    }
    let path = unit_path(unit);
    let own = type_interface(unit).unwrap_or(UNIT);
    let reads = tokio::try_join!(
        property(conn, &path, UNIT, "ActiveState"),
        property(conn, &path, UNIT, "SubState"),
        property(conn, &path, UNIT, "InvocationID"),
        property(conn, &path, UNIT, "StateChangeTimestampMonotonic"),
        property(conn, &path, own, "Result"),
        property(conn, &path, own, "ControlGroup"),
        async {
            match own {
                "org.freedesktop.systemd1.Service" => property(conn, &path, own, "NRestarts").await,
                _ => Ok(zbus::OwnedVariant::from(0_u32)),
            }
        },
    );
    let call = |source| BusError::Call {
        what: format!("read {unit} from systemd"),
        source,
    };
    let (active, sub, invocation, changed, result, control_group, restarts) = match reads {
        Ok(reads) => reads,
        Err(error) if error_name(&error).as_deref().is_some_and(is_gone) => return Ok(None),
        Err(error) => return Err(call(error)),
    };
    let text = |value: zbus::OwnedVariant| String::try_from(value).map_err(call);
    let changed = u64::try_from(changed).map_err(call)?;
    Ok(Some(Reading {
        // A unit that never changed has no such moment.
        at: if changed == 0 {
            clock::now()
        } else {
            clock::at_monotonic(changed)
        },
        state: UnitState {
            active: ActiveState::parse(&text(active)?),
            sub: text(sub)?,
            result: text(result)?,
            invocation_id: hex(&Vec::<u8>::try_from(invocation).map_err(call)?),
            n_restarts: u32::try_from(restarts).map_err(call)?,
        },
        control_group: text(control_group)?,
    }))
}

async fn property(
    conn: &Connection,
    path: &str,
    interface: &str,
    name: &str,
) -> zbus::Result<zbus::OwnedVariant> {
    const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
    let reply = conn
        .call_method(
            Some(SYSTEMD),
            path,
            Some(PROPERTIES),
            "Get",
            &(interface, name),
        )
        .await?;
    reply.body().deserialize()
}

/// Whether an answer says that the unit's object is gone.
fn is_gone(name: &str) -> bool {
    matches!(
        name,
        "org.freedesktop.DBus.Error.UnknownObject"
            | "org.freedesktop.systemd1.NoSuchUnit"
            | "org.freedesktop.systemd1.LoadFailed"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn newest_mark_wins_and_order_is_kept() {
        let unit = |name: &str| UnitName::new(name).unwrap();
        let mut pending = Pending::default();
        pending.add(Mark::Changed(unit("a.service")));
        pending.add(Mark::Changed(unit("b.service")));
        pending.add(Mark::Removed(unit("a.service")));
        pending.add(Mark::Changed(unit("a.service")));
        pending.add(Mark::Removed(unit("b.service")));
        pending.add(Mark::Reloaded);
        pending.add(Mark::Reloaded);
        assert_eq!(pending.take(), Some(Mark::Changed(unit("a.service"))));
        assert_eq!(pending.take(), Some(Mark::Removed(unit("b.service"))));
        assert_eq!(pending.take(), Some(Mark::Reloaded));
        assert_eq!(pending.take(), None);
    }

    #[test]
    fn slices_and_scopes_are_not_watched() {
        assert!(is_watched(&UnitName::new("a.service").unwrap()));
        assert!(is_watched(&UnitName::new("srv.mount").unwrap()));
        assert!(!is_watched(&UnitName::new("system.slice").unwrap()));
        assert!(!is_watched(&UnitName::new("session-1.scope").unwrap()));
    }
}
