//! Who plays in the simulation: its units and the shipped playbooks.

use hostmedic_model::{
    playbook::Playbook,
    subject::{Subject, UnitName},
    unit::{ActiveState, UnitState},
};
use hostmedic_reason::playbook;

const OOM: &str = include_str!("../../../playbooks/unit-oom-killed.yaml");
const FAILED: &str = include_str!("../../../playbooks/unit-failed-restart.yaml");
const LOOP: &str = include_str!("../../../playbooks/unit-crash-loop-hold.yaml");

/// Units and their slices; the last one is protected.
pub(crate) const UNITS: [(&str, &str); 5] = [
    ("shop.service", "system.slice"),
    ("db.service", "system.slice"),
    ("mail.service", "system.slice"),
    ("batch.service", "batch.slice"),
    ("systemd-resolved.service", "system.slice"),
];

pub(crate) fn running(invocation: &str) -> UnitState {
    UnitState {
        active: ActiveState::Active,
        sub: "running".into(),
        result: "success".into(),
        invocation_id: Some(invocation.to_owned()),
        n_restarts: 0,
    }
}

pub(crate) fn subject(name: &str) -> Subject {
    Subject::Unit(UnitName::new(name).unwrap())
}

pub(crate) fn playbooks() -> Vec<Playbook> {
    [
        ("unit-oom-killed.yaml", OOM),
        ("unit-failed-restart.yaml", FAILED),
        ("unit-crash-loop-hold.yaml", LOOP),
    ]
    .iter()
    .map(|(file, text)| playbook::parse(file, text).unwrap())
    .collect()
}
