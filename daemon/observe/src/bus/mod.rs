//! The system bus: what systemd and logind say about units, timers and inhibitors.
//!
//! Everything here only reads. Without it hostmedic would know that a process died, but not
//! what that means to its unit, nor what is supposed to be happening.

pub mod calendar;
mod closure;
pub mod inspect;
mod marks;
pub mod name;
mod props;
pub mod purpose;
mod state;
pub mod units;

use std::{future::Future, time::Duration};

use hostmedic_model::subject::UnitName;
use zbus::{Connection, DBusError as _, Proxy, connection::Builder, proxy::CacheProperties};

/// systemd's name on the bus.
pub const SYSTEMD: &str = "org.freedesktop.systemd1";
/// Path of its manager object.
pub const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
/// Interface of its manager object.
pub const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// Interface that every unit has.
pub const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// How long to wait for the bus to take us, and for one answer. PID 1 answers within
/// milliseconds; it is silent for seconds only while it reloads.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// Why the bus did not tell.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No connection.
    #[error("cannot connect to {address}: is dbus running, and may this user use it?")]
    Connect {
        /// What was tried.
        address: String,
        /// What it said.
        source: zbus::Error,
    },
    /// A call failed.
    #[error("cannot {what}: {source}")]
    Call {
        /// What was asked.
        what: String,
        /// What came back.
        source: zbus::Error,
    },
    /// No answer in time.
    #[error("cannot {what}: no answer within {waited:?}")]
    Silent {
        /// What was asked.
        what: String,
        /// How long we waited.
        waited: Duration,
    },
    /// An answer that this version cannot read.
    #[error("cannot read {property} of {of}: {found}; is this systemd newer than 262?")]
    Unexpected {
        /// The property.
        property: String,
        /// Of what.
        of: String,
        /// What was found instead.
        found: String,
    },
    /// More dependents than anyone would want to stop at once.
    #[error("stopping {unit} reaches more than {max} units; act by hand")]
    TooLarge {
        /// The unit.
        unit: UnitName,
        /// The bound.
        max: usize,
    },
}

impl BusError {
    /// The D-Bus error name, where the other side answered with one.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Call { source, .. } => error_name(source),
            _ => None,
        }
    }
}

/// The D-Bus error name, where the other side answered with one; `None` if we were cut off or
/// could not read the answer.
pub fn error_name(error: &zbus::Error) -> Option<String> {
    match error {
        zbus::Error::MethodError(name, ..) => Some(name.to_string()),
        zbus::Error::FDO(known) => match known.as_ref() {
            zbus::fdo::Error::ZBus(error) => error_name(error),
            known => Some(known.name().to_string()),
        },
        _ => None,
    }
}

/// Connects to the system bus, or to `address` such as `unix:path=/run/dbus/system_bus_socket`.
///
/// # Errors
/// Fails if there is no bus there, it refuses us, or it is silent for 5 s.
pub async fn connect(address: Option<&str>) -> Result<Connection, BusError> {
    let name = address.unwrap_or("the system bus").to_owned();
    let builder = address.map_or_else(Builder::system, Builder::address);
    let connecting = builder.method_timeout(ANSWER_WAIT_MAX).build();
    in_time(&format!("connect to {name}"), ANSWER_WAIT_MAX, async {
        connecting.await.map_err(|source| BusError::Connect {
            address: name.clone(),
            source,
        })
    })
    .await
}

/// systemd's manager, without a property cache: what we read must be fresh.
///
/// # Errors
/// Fails if the connection is gone.
pub async fn manager(conn: &Connection) -> zbus::Result<Proxy<'static>> {
    zbus::proxy::Builder::new(conn)
        .destination(SYSTEMD)
        .path(MANAGER_PATH)
        .interface(MANAGER)
        .cache_properties(CacheProperties::No)
        .build()
        .await
}

/// Unique bus name of the running PID 1. Signals are taken from it alone: the bus lets any
/// client send a signal that looks like systemd's.
///
/// # Errors
/// Fails if systemd is not on this bus.
pub async fn systemd_owner(conn: &Connection) -> Result<zbus::names::OwnedUniqueName, BusError> {
    let call = |source| BusError::Call {
        what: "find systemd on the bus".to_owned(),
        source,
    };
    let dbus = zbus::fdo::DBusProxy::new(conn).await.map_err(call)?;
    let name = zbus::names::BusName::try_from(SYSTEMD).map_err(call)?;
    dbus.get_name_owner(name)
        .await
        .map_err(|error| call(error.into()))
}

/// Runs `ask`, but not for longer than `wait_max`.
async fn in_time<T>(
    what: &str,
    wait_max: Duration,
    ask: impl Future<Output = Result<T, BusError>>,
) -> Result<T, BusError> {
    tokio::time::timeout(wait_max, ask)
        .await
        .unwrap_or_else(|_| {
            Err(BusError::Silent {
                what: what.to_owned(),
                waited: wait_max,
            })
        })
}
