//! What the systemd tests share: a booted container, and short words for what every test does.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::time::Duration;

use hostmedic_model::{
    decision::PlaybookRef,
    incident::IncidentId,
    intent::{Intent, IntentId},
    outcome::{StepEnd, StepResult},
    playbook::Verb,
    subject::UnitName,
    time::Span,
    unit::UnitSnapshot,
};
use hostmedic_observe::{
    bus,
    host::clock::{boot_id, now},
};
use hostmedic_tests::nspawn::{Nspawn, Options};
use zbus::Connection;

/// A container of the test's own: it boots in half a second, and tests that reload systemd or
/// fill its log would disturb each other in one.
pub(crate) fn boot() -> Nspawn {
    Nspawn::boot(&Options::default()).unwrap()
}

pub(crate) async fn connect(machine: &Nspawn) -> Connection {
    bus::connect(Some(&machine.bus_address())).await.unwrap()
}

pub(crate) fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

/// Writes a unit and starts it, if it says how.
pub(crate) fn start(machine: &Nspawn, name: &str, text: &str) {
    machine.write_unit(name, text).unwrap();
    machine.sh(&format!("systemctl start {name}")).unwrap();
}

pub(crate) fn show(machine: &Nspawn, name: &str, property: &str) -> String {
    machine
        .sh(&format!("systemctl show -P {property} {name}"))
        .unwrap()
}

pub(crate) fn intent(verb: Verb, name: &str) -> Intent {
    let incident = IncidentId("inc_20260101_000000_00000000".to_owned());
    Intent {
        id: IntentId(format!("{incident}/1.1")),
        at: now(),
        boot: boot_id().unwrap(),
        incident,
        playbook: PlaybookRef {
            name: "test".to_owned(),
            version: 1,
            sha256: String::new(),
        },
        verb,
        unit: unit(name),
        slice: None,
        wait_max: Span::secs(30),
        invocation_before: None,
        closure_before: Vec::new(),
        approved_by: None,
        change: None,
        inverse: None,
        undoes: None,
    }
}

pub(crate) async fn inspect(conn: &Connection, name: &str) -> UnitSnapshot {
    bus::inspect::inspect(conn, &unit(name)).await.unwrap()
}

/// systemd's word on our job.
pub(crate) fn word(end: &StepEnd) -> &str {
    match &end.result {
        StepResult::Job { result, .. } => result,
        other => panic!("no job: {other:?}"),
    }
}

pub(crate) fn refusal(end: &StepEnd) -> &str {
    match &end.result {
        StepResult::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

/// Asks again until `found` says yes. A bound for broken code, not a measurement.
pub(crate) async fn eventually<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = found().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited 30 s in vain for {what}");
}
