//! The registries are consistent, and what they call existing really exists.

use std::collections::BTreeSet;

use super::*;
use crate::playbook::registry::steps::{Inverse, Privilege};

fn unique<E: Entry>(what: &str, entries: &[E]) {
    let names: BTreeSet<_> = names(entries).collect();
    assert_eq!(names.len(), entries.len(), "two {what} of one name");
}

#[test]
fn names_are_unique() {
    unique("signals", signals::ALL);
    unique("states", states::ALL);
    unique("measures", measures::ALL);
    unique("checks", checks::ALL);
    unique("steps", steps::ALL);
    unique("captures", captures::ALL);
}

#[test]
fn what_is_heard_and_measured_today_is_known() {
    for name in [
        "kernel.oom_kill",
        "unit.state",
        "unit.started",
        "kernel.block_error",
    ] {
        assert!(
            find(signals::ALL, name).is_some_and(signal::Signal::exists),
            "{name}"
        );
    }
    for name in ["kernel.process_exit", "kernel.fork_storm"] {
        assert!(
            find(signals::ALL, name).is_some_and(|signal| !signal.exists()),
            "{name}"
        );
    }
    let measured = measures::ALL
        .iter()
        .filter(|measure| measure.model().is_some());
    assert!(measured.count() >= 7);
}

#[test]
fn every_step_says_how_it_is_undone_and_by_what_right() {
    for step in steps::ALL {
        if let Inverse::Step(inverse) = step.inverse {
            assert!(
                find(steps::ALL, inverse).is_some(),
                "{}: no step {inverse}",
                step.name
            );
        }
        let idle = step.privilege == Privilege::None;
        assert!(
            !idle || step.class <= hostmedic_model::playbook::RiskClass::Reversible,
            "{} needs no right and is {}",
            step.name,
            step.class.word()
        );
    }
}

#[test]
fn the_nearest_name_is_found() {
    let names = ["kernel.oom_kill", "unit.state"];
    assert_eq!(nearest(names, "kernel.oomkill"), Some("kernel.oom_kill"));
    assert_eq!(nearest(names, "zzz"), None);
}

/// Goal: what can be captured can be asked for by its word, and nothing else is said to be there.
#[test]
fn every_kind_of_evidence_has_its_word() {
    use hostmedic_model::capture::CaptureKind;
    for kind in CaptureKind::ALL {
        let entry = find(captures::ALL, kind.word());
        assert_eq!(entry.and_then(|entry| entry.kind), Some(kind));
    }
    let taken = captures::ALL.iter().filter(|entry| entry.kind.is_some());
    assert_eq!(taken.count(), CaptureKind::ALL.len());
}
