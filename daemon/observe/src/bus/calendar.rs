//! What is supposed to be happening: timers, backups, package transactions, inhibitors.
//!
//! A restart in the middle of the nightly backup is worse than the fault it heals. Every
//! source must answer within the deadline; otherwise the reading is unreadable and that holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::try_join_all;
use hostmedic_model::{
    calendar::{Activity, Calendar, CalendarReading, Due, Inhibitor, Purpose},
    subject::UnitName,
    time::At,
};
use serde::Deserialize;
use zbus::{Connection, OwnedObjectPath, proxy::MethodFlags};

use super::{
    BusError, UNIT, error_name, in_time, manager,
    name::unit_path,
    props::Props,
    purpose::{BACKUP_PATTERNS, PACKAGE_PATTERNS, purpose_of},
};
use crate::host::{
    clock,
    programs::{self, BACKUP_PROGRAMS, PACKAGE_PROGRAMS, Watched},
};

/// How long all sources together may take.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How far ahead a timer is worth telling.
const DUE_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// Dependencies that relate two units, in both directions.
const RELATES: [&str; 12] = [
    "Requires",
    "RequiredBy",
    "Requisite",
    "RequisiteOf",
    "Wants",
    "WantedBy",
    "BindsTo",
    "BoundBy",
    "PartOf",
    "ConsistsOf",
    "After",
    "Before",
];

/// How scheduled work is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalendarConfig {
    /// Words that mark a unit as a backup; see [`BACKUP_PATTERNS`].
    pub backup_patterns: Vec<String>,
    /// Words that mark a unit as a package transaction; see [`PACKAGE_PATTERNS`].
    pub package_patterns: Vec<String>,
    /// Units that a unit works on, where its dependencies do not say so.
    pub protects: BTreeMap<UnitName, Vec<UnitName>>,
    /// Programs that copy data away; see [`BACKUP_PROGRAMS`].
    pub backup_programs: Vec<String>,
    /// Programs that install or remove packages; see [`PACKAGE_PROGRAMS`].
    pub package_programs: Vec<String>,
}

impl Default for CalendarConfig {
    fn default() -> Self {
        Self {
            backup_patterns: BACKUP_PATTERNS.map(String::from).to_vec(),
            package_patterns: PACKAGE_PATTERNS.map(String::from).to_vec(),
            protects: BTreeMap::new(),
            backup_programs: BACKUP_PROGRAMS.map(String::from).to_vec(),
            package_programs: PACKAGE_PROGRAMS.map(String::from).to_vec(),
        }
    }
}

impl CalendarConfig {
    fn purpose(&self, unit: &UnitName, description: &str) -> Purpose {
        purpose_of(
            unit,
            description,
            &self.backup_patterns,
            &self.package_patterns,
        )
    }
}

/// Reads every source, at once, within 2 s.
pub async fn read(conn: &Connection, config: &CalendarConfig) -> CalendarReading {
    let (backup, package) = (
        config.backup_programs.clone(),
        config.package_programs.clone(),
    );
    let programs = tokio::task::spawn_blocking(move || {
        programs::running(Watched {
            backup: &backup,
            package: &package,
        })
    });
    let all = in_time("read timers and inhibitors", WAIT_MAX, async {
        tokio::try_join!(scheduled(conn, config), inhibitors(conn))
    });
    let (bus, programs) = tokio::join!(all, tokio::time::timeout(WAIT_MAX, programs));
    let unreadable = |reason: String| CalendarReading::Unreadable {
        at: clock::now(),
        reason,
    };
    let ((mut running, due), inhibitors) = match bus {
        Ok(found) => found,
        Err(error) => return unreadable(error.to_string()),
    };
    match programs {
        Ok(Ok(Ok(found))) => running.extend(found),
        Ok(Ok(Err(error))) => {
            return unreadable(format!("cannot list processes in /proc: {error}"));
        }
        Ok(Err(error)) => return unreadable(format!("cannot list processes: {error}")),
        Err(_) => return unreadable(format!("cannot list processes: not done in {WAIT_MAX:?}")),
    }
    CalendarReading::Readable(Calendar {
        at: clock::now(),
        running,
        due,
        inhibitors,
    })
}

/// One row of `ListUnitsByPatterns`.
#[derive(Debug, Deserialize, zbus::Type)]
struct Listed {
    name: String,
    description: String,
    _load: String,
    active: String,
    sub: String,
    _following: String,
    _path: OwnedObjectPath,
    _job: u32,
    _job_type: String,
    _job_path: OwnedObjectPath,
}

impl Listed {
    /// Whether its processes may be running. A oneshot is `activating` while it runs; what is
    /// `exited` has only left its state behind.
    fn may_run(&self) -> bool {
        matches!(
            self.active.as_str(),
            "active" | "activating" | "reloading" | "deactivating" | "refreshing"
        ) && self.sub != "exited"
    }
}

/// Timer properties, as far as they matter.
struct Timer {
    name: UnitName,
    unit: UnitName,
    /// Unix microseconds; zero if never.
    next_real_usec: u64,
    /// `CLOCK_MONOTONIC` microseconds; zero if never.
    next_mono_usec: u64,
    last_mono_usec: u64,
}

/// What runs, and which timers will fire.
async fn scheduled(
    conn: &Connection,
    config: &CalendarConfig,
) -> Result<(Vec<Activity>, Vec<Due>), BusError> {
    let call = |source| BusError::Call {
        what: "list timers and services".to_owned(),
        source,
    };
    let none: &[&str] = &[];
    let manager = manager(conn).await.map_err(call)?;
    let listed: Vec<Listed> = manager
        .call(
            "ListUnitsByPatterns",
            &(none, &["*.service", "*.timer"][..]),
        )
        .await
        .map_err(call)?;
    let (timers, services): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .partition(|listed| listed.name.ends_with(".timer"));
    let timers = timers.into_iter().filter(|timer| timer.active == "active");
    let timers = try_join_all(
        timers
            .filter_map(|timer| UnitName::new(timer.name).ok())
            .map(|name| async move { read_timer(conn, name).await }),
    )
    .await?;
    let timers: Vec<_> = timers.into_iter().flatten().collect();
    let services: BTreeMap<UnitName, Listed> = services
        .into_iter()
        .filter_map(|listed| Some((UnitName::new(listed.name.as_str()).ok()?, listed)))
        .collect();
    tokio::try_join!(
        running(conn, config, &timers, &services),
        due(conn, config, &timers, &services)
    )
}

async fn read_timer(conn: &Connection, name: UnitName) -> Result<Option<Timer>, BusError> {
    const TIMER: &str = "org.freedesktop.systemd1.Timer";
    let props = match Props::read(conn, &unit_path(&name), TIMER, name.as_str()).await {
        // It went between the listing and here.
        Err(error)
            if error.name().as_deref() == Some("org.freedesktop.DBus.Error.UnknownObject") =>
        {
            return Ok(None);
        }
        read => read?,
    };
    let Ok(unit) = UnitName::new(props.text("Unit")?) else {
        return Ok(None);
    };
    let never = |usec: u64| if usec == u64::MAX { 0 } else { usec };
    Ok(Some(Timer {
        name,
        unit,
        next_real_usec: never(props.u64("NextElapseUSecRealtime")?),
        next_mono_usec: never(props.u64("NextElapseUSecMonotonic")?),
        last_mono_usec: never(props.u64("LastTriggerUSecMonotonic")?),
    }))
}

/// Services that run now because of a timer, and backups that run for any reason.
async fn running(
    conn: &Connection,
    config: &CalendarConfig,
    timers: &[Timer],
    services: &BTreeMap<UnitName, Listed>,
) -> Result<Vec<Activity>, BusError> {
    let reads = services
        .iter()
        .filter(|(_, listed)| listed.may_run())
        .filter_map(|(unit, listed)| {
            let purpose = config.purpose(unit, &listed.description);
            let timers: Vec<_> = timers.iter().filter(|timer| timer.unit == *unit).collect();
            let wanted = !timers.is_empty() || purpose == Purpose::Backup;
            wanted.then_some(async move {
                let path = unit_path(unit);
                let (common, service) = tokio::try_join!(
                    Props::read(conn, &path, UNIT, unit.as_str()),
                    Props::read(
                        conn,
                        &path,
                        "org.freedesktop.systemd1.Service",
                        unit.as_str()
                    ),
                )?;
                let began_by = began_by(&common, &service, &timers, purpose)?;
                let activity = |began_by: String, related| Activity {
                    name: unit.to_string(),
                    began_by,
                    purpose,
                    pid: None,
                    related,
                };
                let related = related(unit, &common, config)?;
                Ok::<_, BusError>(began_by.map(|began_by| activity(began_by, related)))
            })
        });
    Ok(try_join_all(reads).await?.into_iter().flatten().collect())
}

/// What began a service that may run, or `None` if it is no scheduled work: it does not run
/// any more, or it is a daemon that was up before its timer last fired.
fn began_by(
    common: &Props,
    service: &Props,
    timers: &[&Timer],
    purpose: Purpose,
) -> Result<Option<String>, BusError> {
    let state = common.text("ActiveState")?;
    let stays = service.flag("RemainAfterExit")?;
    let in_transit = state == "activating" || state == "deactivating" || state == "reloading";
    let is_oneshot = service.text("Type")? == "oneshot";
    let runs =
        in_transit || (state == "active" && !is_oneshot && common.text("SubState")? != "exited");
    if !runs {
        return Ok(None);
    }
    let began = common.u64("InactiveExitTimestampMonotonic")?;
    let timer = timers
        .iter()
        .filter(|timer| timer.last_mono_usec > 0 && began >= timer.last_mono_usec)
        .max_by_key(|timer| timer.last_mono_usec);
    Ok(match timer {
        Some(timer) => Some(timer.name.to_string()),
        // Its timer has a run on the way though it never fired: an operator began it.
        None if is_oneshot || (purpose == Purpose::Backup && !stays) => Some("unit".to_owned()),
        None => None,
    })
}

/// Timers that will fire within a day.
async fn due(
    conn: &Connection,
    config: &CalendarConfig,
    timers: &[Timer],
    services: &BTreeMap<UnitName, Listed>,
) -> Result<Vec<Due>, BusError> {
    let now = clock::now();
    let reads = timers.iter().filter_map(|timer| {
        let at_wall_ms = next_wall_ms(timer, now)?;
        Some(async move {
            let props =
                Props::read(conn, &unit_path(&timer.unit), UNIT, timer.unit.as_str()).await?;
            let listed = services.get(&timer.unit);
            let description = listed.map_or("", |listed| listed.description.as_str());
            Ok::<_, BusError>(Due {
                timer: timer.name.clone(),
                unit: timer.unit.clone(),
                at_wall_ms,
                purpose: config.purpose(&timer.unit, description),
                related: related(&timer.unit, &props, config)?,
            })
        })
    });
    let mut due = try_join_all(reads).await?;
    due.sort_by_key(|due| due.at_wall_ms);
    Ok(due)
}

/// When a timer fires next, as Unix milliseconds; `None` if not within a day. A timer may have
/// both kinds of trigger; the earlier one counts.
fn next_wall_ms(timer: &Timer, now: At) -> Option<i64> {
    let real = (timer.next_real_usec > 0)
        .then(|| i64::try_from(timer.next_real_usec / 1000).unwrap_or(i64::MAX));
    let mono = (timer.next_mono_usec > 0).then(|| {
        now.plus(clock::until_monotonic(timer.next_mono_usec))
            .wall_ms
    });
    let next = [real, mono].into_iter().flatten().min()?;
    (next <= now.plus(DUE_WITHIN).wall_ms).then_some(next)
}

/// Services that `unit` works on or with: by dependency, either way, and by configuration.
/// What systemd itself ships is related to everything and says nothing.
fn related(
    unit: &UnitName,
    props: &Props,
    config: &CalendarConfig,
) -> Result<Vec<UnitName>, BusError> {
    let mut units: BTreeSet<_> = config
        .protects
        .get(unit)
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    for dependency in RELATES.iter().filter(|dependency| props.has(dependency)) {
        units.extend(props.units(dependency)?.into_iter().filter(|unit| {
            unit.as_str().ends_with(".service")
                && !unit.as_str().starts_with("systemd-")
                && unit.as_str() != "dbus.service"
        }));
    }
    units.remove(unit);
    Ok(units.into_iter().collect())
}

/// What logind holds. No logind on the bus means that nobody can hold an inhibitor; it is not
/// started for the question.
async fn inhibitors(conn: &Connection) -> Result<Vec<Inhibitor>, BusError> {
    const LOGIND: &str = "org.freedesktop.login1";
    const ABSENT: [&str; 2] = [
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.NameHasNoOwner",
    ];
    type Row = (String, String, String, String, u32, u32);
    let call = |source| BusError::Call {
        what: "list logind's inhibitors".to_owned(),
        source,
    };
    let logind = zbus::proxy::Builder::<zbus::Proxy<'_>>::new(conn)
        .destination(LOGIND)
        .path("/org/freedesktop/login1")
        .interface("org.freedesktop.login1.Manager")
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build()
        .await
        .map_err(call)?;
    let flags = MethodFlags::NO_AUTO_START;
    match logind.call_with_flags("ListInhibitors", flags, &()).await {
        Ok(rows) => {
            let rows: Option<Vec<Row>> = rows;
            let rows = rows.unwrap_or_default().into_iter();
            Ok(rows
                .map(|(what, who, why, mode, _, _)| Inhibitor {
                    what,
                    who,
                    why,
                    mode,
                })
                .collect())
        }
        Err(error) if error_name(&error).is_some_and(|name| ABSENT.contains(&name.as_str())) => {
            Ok(Vec::new())
        }
        Err(error) => Err(call(error)),
    }
}
