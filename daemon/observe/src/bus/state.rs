//! Reads the state of one unit, as cheaply for PID 1 as it can be had.

use hostmedic_model::{
    subject::UnitName,
    time::At,
    unit::{ActiveState, UnitState},
};
use zbus::{Connection, OwnedObjectPath};

use super::{
    BusError, SYSTEMD, UNIT, error_name, inspect::type_interface, manager, name::unit_path,
    props::hex,
};
use crate::host::clock;

/// Every loaded unit of the watched types, at most `units_max`: asked once for each connection
/// or reload, not polled.
pub(super) async fn loaded(conn: &Connection, units_max: usize) -> Result<Vec<UnitName>, BusError> {
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
    units.truncate(units_max);
    Ok(units)
}

/// A unit's state, when it changed, and where its processes live.
pub(super) struct Reading {
    pub(super) at: At,
    pub(super) state: UnitState,
    pub(super) control_group: String,
}

/// Reads what a state needs, property by property but all at once: `GetAll` of a service makes
/// PID 1 read a dozen cgroup files, on every change of every unit.
///
/// `None`: the unit is gone.
pub(super) async fn read_state(
    conn: &Connection,
    unit: &UnitName,
) -> Result<Option<Reading>, BusError> {
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
