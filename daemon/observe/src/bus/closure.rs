//! What else stops when a unit stops: followed through systemd's own dependencies.
//!
//! systemd takes dependents down with a unit and does not bring them back when the unit is
//! started again. Reverse dependencies exist only while the dependents are loaded, so this must
//! be read before acting.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use hostmedic_model::{subject::UnitName, unit::ActiveState};
use zbus::Connection;

use super::{BusError, UNIT, name::unit_path, props::Props};

/// Dependencies along which stopping spreads: `UNIT_ATOM_PROPAGATE_STOP` in systemd's
/// unit-dependency-atom.c. `WantedBy` is not among them.
const STOPS: [&str; 5] = [
    "RequiredBy",
    "RequisiteOf",
    "BoundBy",
    "ConsistsOf",
    "PropagatesStopTo",
];

/// Units looked at before we give up: nothing that reaches further is for a machine to stop.
const UNITS_MAX: usize = 256;

/// Active units that stopping `unit` would stop, sorted. `props` are its own.
///
/// Spreads through inactive units as systemd's transaction does.
pub(super) async fn stop_closure(
    conn: &Connection,
    unit: &UnitName,
    props: &Props,
) -> Result<Vec<UnitName>, BusError> {
    let mut seen = BTreeSet::from([unit.clone()]);
    let mut active = BTreeSet::new();
    let mut level = dependents(props)?;
    loop {
        level.retain(|dependent| seen.insert(dependent.clone()));
        if level.is_empty() {
            return Ok(active.into_iter().collect());
        }
        if seen.len() > UNITS_MAX {
            return Err(BusError::TooLarge {
                unit: unit.clone(),
                max: UNITS_MAX,
            });
        }
        let reads = level.iter().map(|dependent| async move {
            Props::read(conn, &unit_path(dependent), UNIT, dependent.as_str()).await
        });
        let mut below = Vec::new();
        for props in try_join_all(reads).await? {
            if is_up(ActiveState::parse(&props.text("ActiveState")?))
                && let Ok(dependent) = UnitName::new(props.text("Id")?)
                && dependent != *unit
            {
                active.insert(dependent);
            }
            below.extend(dependents(&props)?);
        }
        level = below;
    }
}

fn dependents(props: &Props) -> Result<Vec<UnitName>, BusError> {
    let mut units = Vec::new();
    // PropagatesStopTo is younger (systemd 249).
    for dependency in STOPS.iter().filter(|dependency| props.has(dependency)) {
        units.extend(props.units(dependency)?);
    }
    Ok(units)
}

fn is_up(state: ActiveState) -> bool {
    matches!(
        state,
        ActiveState::Active
            | ActiveState::Reloading
            | ActiveState::Refreshing
            | ActiveState::Activating
    )
}
