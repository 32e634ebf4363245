//! Which numbers a trigger asks for, whether anything measures them yet or not.

use hostmedic_model::playbook::NumberLimit;

use super::{
    registry::{find, measures},
    wire::{Condition, Trigger},
};

/// Limits that must all hold, by the conditions of `all`. What is written wrong is left out: the linter
/// tells of it.
pub fn numbers(trigger: &Trigger) -> Vec<NumberLimit> {
    let conditions = trigger.all.iter().flat_map(|all| &all.value);
    conditions
        .filter_map(|condition| limit(&condition.value))
        .collect()
}

fn limit(condition: &Condition) -> Option<NumberLimit> {
    let entry = find(measures::ALL, condition.measure.as_ref()?)?;
    let (is_above, limit) = match (&condition.above, &condition.below) {
        (Some(limit), None) => (true, limit),
        (None, Some(limit)) => (false, limit),
        _ => return None,
    };
    Some(NumberLimit {
        measure: entry.name.to_owned(),
        is_above,
        limit: entry.unit.of(&limit.value)?,
    })
}
