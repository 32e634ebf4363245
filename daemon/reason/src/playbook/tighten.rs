//! Whether one playbook allows more than another. Local drop-ins must not, and `medic playbook diff`
//! says so.

use hostmedic_model::playbook::{Playbook, Rate, Remedy};

use crate::matching::confidence::Thresholds;

/// What `after` allows that `before` does not, in words; empty if it is as strict or stricter.
pub fn loosened(before: &Playbook, after: &Playbook) -> Vec<String> {
    let mut looser = Vec::new();
    let mut note = |is_looser: bool, what: String| {
        if is_looser {
            looser.push(what);
        }
    };
    note(
        after.phase_max > before.phase_max,
        format!(
            "it may go up to {:?}, was {:?}",
            after.phase_max, before.phase_max
        )
        .to_lowercase(),
    );
    note(
        after.class < before.class,
        format!(
            "its class fell from {} to {}",
            before.class.word(),
            after.class.word()
        ),
    );
    let fewer = |old: &[String], new: &[String]| old.iter().any(|tag| !new.contains(tag));
    note(
        fewer(&before.hosts.with, &after.hosts.with)
            || fewer(&before.hosts.without, &after.hosts.without),
        "it may be used on more hosts".to_owned(),
    );
    let (old, new) = (Thresholds::of(before), Thresholds::of(after));
    for (what, old, new) in [
        ("be proposed", old.propose, new.propose),
        ("act", old.act, new.act),
    ] {
        note(
            new < old,
            format!("to {what} a confidence of {new:.2} is enough, was {old:.2}"),
        );
    }
    let (old, new) = (&before.limits, &after.limits);
    for (what, old, new) in [
        ("on one target", old.per_unit, new.per_unit),
        ("in one slice", old.per_slice, new.per_slice),
        ("on the host", old.per_host, new.per_host),
    ] {
        note(
            is_more(old, new),
            format!("attempts {what}: {new}, were {old}"),
        );
    }
    note(
        new.cooldown < old.cooldown,
        format!(
            "the pause between attempts fell from {} to {}",
            old.cooldown, new.cooldown
        ),
    );
    note(
        after.lookahead < before.lookahead,
        format!(
            "it looks ahead {}, was {}",
            after.lookahead, before.lookahead
        ),
    );
    for condition in &before.trigger {
        note(
            !after.trigger.contains(condition),
            format!("a condition is gone: {condition:?}"),
        );
    }
    for condition in &before.none {
        note(
            !after.none.contains(condition),
            format!("an exception is gone: {condition:?}"),
        );
    }
    for check in &before.pre_checks {
        note(
            !after.pre_checks.contains(check),
            format!("pre-check `{}` is gone or another", check.name),
        );
    }
    for severity in &before.approval.severities {
        note(
            !after.approval.severities.contains(severity),
            format!("no approval is asked for any more where it is {severity:?}").to_lowercase(),
        );
    }
    match (&before.remedy, &after.remedy) {
        (
            Remedy::Steps { steps, verify },
            Remedy::Steps {
                steps: new_steps,
                verify: new_verify,
            },
        ) => {
            note(steps != new_steps, "the steps are others".to_owned());
            for check in &verify.checks {
                note(
                    !new_verify.checks.contains(check),
                    format!("a check after the steps is gone: {check:?}"),
                );
            }
        }
        (old, new) => note(
            old != new && matches!(new, Remedy::Steps { .. }),
            "it acts, and did not before".to_owned(),
        ),
    }
    looser
}

/// Whether a rate allows more, in number or by forgetting sooner.
fn is_more(old: Rate, new: Rate) -> bool {
    new.count > old.count || new.within < old.within
}
