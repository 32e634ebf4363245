//! Holds the shipped library to its own cases and to its schema: events in, one decision out. A
//! playbook whose cases do not say what must not be acted on is not ready to ship.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path};

use hostmedic_model::playbook::Playbook;
use hostmedic_reason::playbook::{
    self, schema,
    trial::{self, Trial},
    wire::Document,
};

/// The shipped playbooks, with their files' form.
fn shipped() -> Vec<(Playbook, Document)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .collect();
    paths.sort();
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let checked = playbook::check(path.to_str().unwrap(), &text);
        assert!(
            checked.findings.is_empty(),
            "{}: {:#?}",
            path.display(),
            checked.findings
        );
        (checked.playbook.unwrap(), checked.document.unwrap())
    };
    paths.iter().map(|path| read(path)).collect()
}

#[test]
fn every_case_of_every_playbook_decides_as_it_says() {
    let shipped = shipped();
    let library: Vec<_> = shipped
        .iter()
        .map(|(playbook, _)| playbook.clone())
        .collect();
    let mut tried = 0;
    for (playbook, document) in &shipped {
        for case in &document.tests {
            match trial::run(case, playbook, &library) {
                Trial::Passed { .. } => tried += 1,
                Trial::Pending { missing } => assert_eq!(missing, playbook.missing),
                Trial::Failed { why } => panic!("{}: {}: {why}", playbook.name, case.name.value),
            }
        }
    }
    assert!(tried >= 20, "only {tried} cases were tried");
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let checked_in = include_str!("../../../playbooks/schema.json");
    assert!(
        schema::text() == checked_in,
        "write it anew: medic playbook schema > playbooks/schema.json"
    );
}
