//! From systemd's signals to units that have to be looked at.
//!
//! zbus stops reading the socket while a stream is full, answers to our questions included. So
//! signals are turned into marks as fast as they come, and read whenever there is time.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
};

use futures_util::StreamExt as _;
use hostmedic_model::subject::UnitName;
use tokio::sync::mpsc;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath};

use super::{
    BusError, MANAGER, MANAGER_PATH, inspect::type_interface, name::unit_in_path, systemd_owner,
};

/// Units marked at most.
pub(super) const MARKS_MAX: usize = 32_768;
/// Signals that zbus may hold for us between two of our turns.
const STREAM_MAX: usize = 1024;

/// What has to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
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
pub(super) struct Pending {
    order: VecDeque<Option<UnitName>>,
    newest: HashMap<Option<UnitName>, Mark>,
}

impl Pending {
    pub(super) fn add(&mut self, mark: Mark) {
        let unit = match &mark {
            Mark::Changed(unit) | Mark::Removed(unit) => Some(unit.clone()),
            Mark::Reloaded => None,
        };
        if self.newest.insert(unit.clone(), mark).is_none() {
            self.order.push_back(unit);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn take(&mut self) -> Option<Mark> {
        self.newest.remove(&self.order.pop_front()?)
    }
}

/// The streams of everything that can change a unit's state.
pub(super) struct Changes {
    properties: MessageStream,
    units: MessageStream,
}

pub(super) async fn changes(conn: &Connection) -> Result<Changes, BusError> {
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
    let max = NonZeroUsize::new(STREAM_MAX);
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
pub(super) async fn mark(changes: Changes, marks: mpsc::Sender<Mark>) -> BusError {
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
            let stalled = format!("more than {MARKS_MAX} changes wait to be read");
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
