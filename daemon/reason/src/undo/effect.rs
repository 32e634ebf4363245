//! Whether a step is in effect, was taken back, or was changed by somebody else: by a fresh look at
//! the unit, beside what the step's intent says of before and after.

use hostmedic_model::{
    intent::Intent,
    outcome::CheckResult,
    playbook::Verb,
    unit::{ActiveState, UnitSnapshot},
};

use crate::case::Done;

/// What a look says of a step that is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effective {
    /// All is as the step left it.
    Yes,
    /// It is as before the step: it never took effect, or somebody took it back.
    Back,
    /// Somebody changed it meanwhile: this is how it is.
    Changed(String),
}

/// Whether a step is still in effect. `unit` was read just now.
pub(super) fn effective(step: &Done, unit: &UnitSnapshot) -> Effective {
    let done = &step.intent;
    let down = unit.state.active.is_down();
    let (is_in_effect, is_before) = match (done.verb, &done.change) {
        (_, Some(change)) => {
            let now = unit.resources.set.get(&change.property);
            (now == Some(&change.to), now == Some(&change.from))
        }
        (Verb::Stop, _) => (down, unit.state.active == ActiveState::Active),
        (Verb::Start, _) => {
            // Another invocation is another start, and not ours to stop; nor is one of which nobody saw that
            // the call made it.
            let ours = step.invocation_after.as_ref().is_some_and(|after| {
                unit.state.invocation_id.as_ref() == Some(after)
                    && done.invocation_before.as_ref() != Some(after)
            });
            (!down && ours, down)
        }
        _ => (false, true),
    };
    if is_in_effect {
        Effective::Yes
    } else if is_before {
        Effective::Back
    } else {
        Effective::Changed(state_of(done, unit))
    }
}

/// Whether what the call `undo` was to bring about is so.
pub(super) fn is_back(undo: &Intent, unit: &UnitSnapshot) -> bool {
    match (undo.verb, &undo.change) {
        (_, Some(change)) => unit.resources.set.get(&change.property) == Some(&change.to),
        (Verb::Start, _) => unit.state.active == ActiveState::Active,
        (Verb::Stop, _) => unit.state.active.is_down(),
        _ => false,
    }
}

/// How it is with what an intent is about.
pub(super) fn state_of(intent: &Intent, unit: &UnitSnapshot) -> String {
    match &intent.change {
        Some(change) => match unit.resources.set.get(&change.property) {
            Some(now) => format!("it is {}", change.property.assignment(*now)),
            None => format!("{} has no {}", unit.unit, change.property),
        },
        None => format!("it is {:?} ({})", unit.state.active, unit.state.sub).to_lowercase(),
    }
}

/// The check that a call which takes a step back is verified by.
pub(super) fn check(undo: &Intent, passed: bool, observed: String) -> CheckResult {
    let unit = &undo.unit;
    let check = match &undo.change {
        Some(change) => format!("{} of {unit} again", change.property.assignment(change.to)),
        None => format!("{unit} is as before, by {}", undo.verb.word()),
    };
    CheckResult {
        check,
        passed,
        observed,
    }
}

/// What was so before a step, in words.
pub(super) fn before(done: &Intent) -> String {
    let unit = &done.unit;
    match &done.change {
        Some(change) => format!("{} of {unit}", change.property.assignment(change.from)),
        None => format!("{unit} as before {}", done.verb.word()),
    }
}
