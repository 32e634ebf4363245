//! A step that sets a property, and its being taken back: every field that other stories leave out.

use std::collections::BTreeMap;

use hostmedic_model::{
    outcome::{Outcome, Verification},
    playbook::{Check, StepTemplate, Target, Verb, VerifyPlan},
    property::{Aim, Amount, Change, Property, Setting},
    record::Body,
    time::{At, Span},
    unit::{Resources, Vitals, Watchdog},
};
use hostmedic_serve::testing;

pub(super) fn amounts() -> Vec<Amount> {
    vec![Amount::To(Setting(20)), Amount::OfCurrent(0.9)]
}

pub(super) fn step() -> StepTemplate {
    StepTemplate {
        verb: Verb::SetProperty,
        target: Target::Subject,
        wait_max: Span::secs(10),
        set: Some(Aim {
            property: Property::MemoryHigh,
            to: Amount::OfCurrent(0.9),
        }),
        inverse: Some(Verb::SetProperty),
        undo_on_failure: true,
    }
}

pub(super) fn plan() -> VerifyPlan {
    VerifyPlan {
        settle: Span::secs(1),
        within: Span::secs(30),
        checks: vec![Check::UnitActive],
        undo_without: vec![0],
    }
}

pub(super) fn resources() -> Resources {
    Resources {
        set: BTreeMap::from([
            (Property::CpuQuota, Setting::NONE),
            (Property::TasksMax, Setting(4915)),
        ]),
        tasks_current: Some(12),
        swap_current_bytes: None,
    }
}

pub(super) fn vitals() -> Vitals {
    Vitals {
        freezer: "running".to_owned(),
        watchdog: Some(Watchdog {
            timeout: Span::secs(30),
            reported: At::default(),
        }),
    }
}

/// The night's intent and outcome, as if a quota had been set and taken back.
pub(super) fn bodies() -> Vec<Body> {
    let mut bodies = Vec::new();
    let change = Change {
        property: Property::CpuQuota,
        from: Setting::NONE,
        to: Setting(1_000_000),
    };
    for record in testing::records() {
        match record.body {
            Body::Intent(mut intent) => {
                intent.verb = Verb::SetProperty;
                intent.change = Some(change);
                intent.inverse = Some(Verb::SetProperty);
                bodies.push(Body::Intent(intent.clone()));
                intent.undoes = Some(intent.id.clone());
                bodies.push(Body::Intent(intent));
            }
            Body::Outcome(outcome) => bodies.push(Body::Outcome(Outcome {
                verification: Verification::Unchanged,
                undoing: vec![outcome.intent.clone()],
                ..outcome
            })),
            Body::StepEnded(mut end) => {
                if let Some(after) = &mut end.after {
                    after.resources = resources();
                    after.vitals = vitals();
                }
                bodies.push(Body::StepEnded(end));
            }
            _ => {}
        }
    }
    bodies
}
