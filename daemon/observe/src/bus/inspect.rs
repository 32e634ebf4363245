//! A fresh look at one unit: everything a decision about it needs.
//!
//! Read just before deciding and again after acting. Two answers of systemd, asked for at once,
//! and one more for each level of dependents: no list of all units, no cache.

use std::{collections::BTreeMap, time::Duration};

use hostmedic_model::{
    property::{Property, Setting},
    subject::UnitName,
    time::Span,
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals, Watchdog},
};
use zbus::Connection;

use super::{
    ANSWER_WAIT_MAX, BusError, SYSTEMD, UNIT, closure, error_name, in_time, name::unit_path,
    props::Props,
};
use crate::host::clock;

/// Reads `unit`. A unit that is not loaded is loaded by being asked; one that does not exist
/// has `load_state` `not-found`.
///
/// # Errors
/// Says what could not be read. Never gives a snapshot with a guess in it.
pub async fn inspect(conn: &Connection, unit: &UnitName) -> Result<UnitSnapshot, BusError> {
    in_time(
        &format!("read {unit} from systemd"),
        ANSWER_WAIT_MAX,
        read(conn, unit),
    )
    .await
}

/// Which of `units` are down now.
///
/// # Errors
/// Says which unit could not be read.
pub async fn down(conn: &Connection, units: &[UnitName]) -> Result<Vec<UnitName>, BusError> {
    let read = units.iter().map(|unit| async move {
        let props = Props::read(conn, &unit_path(unit), UNIT, unit.as_str()).await?;
        let down = ActiveState::parse(&props.text("ActiveState")?).is_down();
        Ok(down.then(|| unit.clone()))
    });
    let all = in_time(
        "read the units that were active before",
        ANSWER_WAIT_MAX,
        async { futures_util::future::try_join_all(read).await },
    );
    Ok(all.await?.into_iter().flatten().collect())
}

async fn read(conn: &Connection, asked: &UnitName) -> Result<UnitSnapshot, BusError> {
    let path = unit_path(asked);
    let (common, own) = tokio::try_join!(
        Props::read(conn, &path, UNIT, asked.as_str()),
        own_interface(conn, &path, asked),
    )?;
    let id = common.text("Id")?;
    let unit = UnitName::new(id.as_str()).map_err(|bad| BusError::Unexpected {
        property: "Id".to_owned(),
        of: asked.to_string(),
        found: bad.to_string(),
    })?;
    let pending_job = match common.job()? {
        Some(job) => Some(job_type(conn, &job).await?),
        None => None,
    };
    let stop_closure = closure::stop_closure(conn, &unit, &common).await?;
    let own = own.as_ref();
    let has = |property: &str| own.filter(|own| own.has(property));
    let text = |property: &str| has(property).map_or(Ok(String::new()), |own| own.text(property));
    let u32 = |property: &str| has(property).map_or(Ok(0), |own| own.u32(property));
    let i32 = |property: &str| has(property).map_or(Ok(0), |own| own.i32(property));
    Ok(UnitSnapshot {
        at: clock::now(),
        load_state: common.text("LoadState")?,
        state: UnitState {
            active: ActiveState::parse(&common.text("ActiveState")?),
            sub: common.text("SubState")?,
            result: text("Result")?,
            invocation_id: common.invocation_id()?,
            n_restarts: u32("NRestarts")?,
        },
        slice: UnitName::new(text("Slice")?).ok(),
        restart_policy: text("Restart")?,
        start_limit_burst: common.u32("StartLimitBurst")?,
        start_limit_interval: Span(Duration::from_micros(common.u64("StartLimitIntervalUSec")?)),
        pending_job,
        refuse_manual_start: common.flag("RefuseManualStart")?,
        refuse_manual_stop: common.flag("RefuseManualStop")?,
        stop_closure,
        control_group: text("ControlGroup")?,
        memory_current_bytes: own.map_or(Ok(None), |own| accounted(own, "MemoryCurrent"))?,
        main_pid: u32("MainPID")?,
        exec_main_code: i32("ExecMainCode")?,
        exec_main_status: i32("ExecMainStatus")?,
        resources: match own {
            Some(own) => resources(own)?,
            None => Resources::default(),
        },
        vitals: vitals(&common, own)?,
        unit,
    })
}

/// What the unit may use and does use.
fn resources(own: &Props) -> Result<Resources, BusError> {
    let mut set = BTreeMap::new();
    for property in Property::ALL {
        if own.has(property.word()) {
            set.insert(property, Setting(own.u64(property.word())?));
        }
    }
    Ok(Resources {
        set,
        tasks_current: accounted(own, "TasksCurrent")?,
        swap_current_bytes: accounted(own, "MemorySwapCurrent")?,
    })
}

/// Whether the unit's processes run and report.
fn vitals(common: &Props, own: Option<&Props>) -> Result<Vitals, BusError> {
    const FREEZER: &str = "FreezerState";
    const TIMEOUT: &str = "WatchdogUSec";
    let freezer = match common.has(FREEZER) {
        true => common.text(FREEZER)?,
        false => String::new(),
    };
    let number = |property: &str| match own.filter(|own| own.has(property)) {
        // Zero stands for none, all ones for a time that never comes.
        Some(own) => Ok(accounted(own, property)?.filter(|number| *number > 0)),
        None => Ok(None),
    };
    let (timeout_us, reported_us) = (number(TIMEOUT)?, number("WatchdogTimestampMonotonic")?);
    let watchdog = timeout_us.zip(reported_us).map(|(timeout, at)| Watchdog {
        timeout: Span(Duration::from_micros(timeout)),
        reported: clock::at_monotonic(at),
    });
    Ok(Vitals { freezer, watchdog })
}

/// A number that this systemd may not know or not account; then it writes all ones.
fn accounted(own: &Props, property: &str) -> Result<Option<u64>, BusError> {
    if !own.has(property) {
        return Ok(None);
    }
    Ok(Some(own.u64(property)?).filter(|number| *number != u64::MAX))
}

/// The interface of the unit's type; `None` for types that have none of what we read.
async fn own_interface(
    conn: &Connection,
    path: &str,
    unit: &UnitName,
) -> Result<Option<Props>, BusError> {
    match type_interface(unit) {
        Some(interface) => Props::read(conn, path, interface, unit.as_str())
            .await
            .map(Some),
        None => Ok(None),
    }
}

/// Interface of the unit types that run processes and have a `Result`.
pub(super) fn type_interface(unit: &UnitName) -> Option<&'static str> {
    match unit.as_str().rsplit('.').next()? {
        "service" => Some("org.freedesktop.systemd1.Service"),
        "socket" => Some("org.freedesktop.systemd1.Socket"),
        "mount" => Some("org.freedesktop.systemd1.Mount"),
        "swap" => Some("org.freedesktop.systemd1.Swap"),
        _ => None,
    }
}

/// Type of the job at `path`, such as `start`. A job that ended meanwhile is `ended`: what was
/// read before it ended is stale, so it is a reason to hold like any other job.
async fn job_type(conn: &Connection, path: &str) -> Result<String, BusError> {
    const JOB: &str = "org.freedesktop.systemd1.Job";
    let reply = conn
        .call_method(
            Some(SYSTEMD),
            path,
            Some("org.freedesktop.DBus.Properties"),
            "Get",
            &(JOB, "JobType"),
        )
        .await;
    let call = |source| BusError::Call {
        what: format!("read the pending job {path}"),
        source,
    };
    match reply {
        Ok(reply) => {
            let body = reply.body();
            let value: zbus::Variant<'_> = body.deserialize().map_err(call)?;
            String::try_from(value).map_err(call)
        }
        Err(error)
            if error_name(&error).as_deref()
                == Some("org.freedesktop.DBus.Error.UnknownObject") =>
        {
            Ok("ended".to_owned())
        }
        Err(source) => Err(call(source)),
    }
}
