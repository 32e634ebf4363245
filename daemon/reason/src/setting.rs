//! What a step would set a property to: computed once, from a fresh look, within bounds that keep
//! the unit alive. The value before it comes from the same look, so the two belong together.

use hostmedic_model::{
    playbook::{StepTemplate, Verb},
    property::{Aim, Amount, Change, Property, Setting},
    unit::{ActiveState, UnitSnapshot},
};

/// What a step comes to on a unit as it is now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fit {
    /// It is to be carried out, with this change if it sets something.
    Call(Option<Change>),
    /// What it would do is so already.
    InPlace(String),
    /// It must not be carried out on this unit.
    Unfit(String),
    /// It cannot be told now.
    Unknown(String),
}

/// Systemd's bounds of a weight.
const WEIGHT: std::ops::RangeInclusive<u64> = 1..=10_000;
/// Less CPU time in each second than this, a hundredth of one CPU, is no cap but a stop.
const QUOTA_MIN: u64 = 10_000;
/// A unit with less than this share of the memory that it uses hardly runs any more.
const MEMORY_SHARE_MIN: f64 = 0.5;

/// What `step` comes to on `unit`.
pub(crate) fn fit(step: &StepTemplate, unit: &UnitSnapshot) -> Fit {
    if let (Verb::SetProperty, Some(aim)) = (step.verb, step.set) {
        return change(aim, unit);
    }
    let name = &unit.unit;
    match step.verb {
        Verb::Stop if unit.state.active.is_down() => Fit::InPlace(format!("{name} is down")),
        Verb::Start if unit.state.active == ActiveState::Active => {
            Fit::InPlace(format!("{name} is active"))
        }
        Verb::SetProperty => Fit::Unfit(format!("it does not say what to set of {name}")),
        _ => Fit::Call(None),
    }
}

/// The first step from place `from` on that is not already so, and what it comes to; if all are, the
/// last one. `None` if there is no step. `Err` says why the unit could not be read.
pub(crate) fn next(
    steps: &[StepTemplate],
    from: usize,
    unit: Result<&UnitSnapshot, &str>,
) -> Option<(usize, Fit)> {
    let fits = steps.iter().enumerate().skip(from).map(|(place, step)| {
        let fit = match unit {
            Ok(unit) => fit(step, unit),
            // What nothing takes back needs no look; guards and systemd have their own.
            Err(_) if step.set.is_none() && step.inverse.is_none() => Fit::Call(None),
            Err(why) => Fit::Unknown(why.to_owned()),
        };
        (place, fit)
    });
    let mut last = None;
    for (place, fit) in fits {
        if !matches!(fit, Fit::InPlace(_)) {
            return Some((place, fit));
        }
        last = Some((place, fit));
    }
    last
}

/// What `aim` would change.
fn change(aim: Aim, unit: &UnitSnapshot) -> Fit {
    let Aim { property, to } = aim;
    let name = &unit.unit;
    let Some(from) = unit.resources.set.get(&property).copied() else {
        return Fit::Unfit(format!("{name} has no {property}"));
    };
    let to = match to {
        Amount::To(to) => to,
        Amount::OfCurrent(share) => match in_use(property, unit) {
            // Casts saturate; what is too large for a limit is none.
            Some(in_use) => Setting((in_use as f64 * share) as u64),
            None => return unknown(property, unit),
        },
    };
    if let Err(why) = within_bounds(property, to) {
        return Fit::Unfit(why);
    }
    if to == from {
        let now = property.assignment(from);
        return Fit::InPlace(format!("{now} is what {name} has"));
    }
    // A cap does not loosen a limit that somebody has set, a shield does not lower one.
    let is_share = matches!(aim.to, Amount::OfCurrent(_));
    let is_tighter = match property {
        Property::MemoryHigh | Property::MemorySwapMax | Property::TasksMax => {
            is_share && from < to
        }
        Property::CpuQuota => from < to,
        Property::MemoryLow => is_share && from > to,
        Property::CpuWeight | Property::IoWeight => false,
    };
    if is_tighter {
        let now = property.assignment(from);
        return Fit::InPlace(format!("{now} is what {name} has, and it is tighter"));
    }
    // A limit below what it uses would strangle the unit at once, unless that is what was asked for.
    if matches!(aim.to, Amount::To(_)) && is_ceiling(property) {
        match in_use(property, unit) {
            Some(in_use) if to.0 < in_use => {
                let would = property.assignment(to);
                return Fit::Unfit(format!("{name} uses {in_use}, and {would} is less"));
            }
            Some(_) => {}
            // A limit of tasks kills nothing, and a few processes are not worth a refusal.
            None if property == Property::TasksMax => {}
            None => return unknown(property, unit),
        }
    }
    Fit::Call(Some(Change { property, from, to }))
}

/// Whether a value of this property can be one, whatever the unit is like.
pub(crate) fn within_bounds(property: Property, to: Setting) -> Result<(), String> {
    let fits = match property {
        Property::CpuWeight | Property::IoWeight => WEIGHT.contains(&to.0),
        // systemd writes it down in whole per cents, whatever it is set to: `bus_cgroup_set_cpu_quota()`.
        Property::CpuQuota => to.0 >= QUOTA_MIN && to.0.is_multiple_of(QUOTA_MIN),
        Property::TasksMax | Property::MemoryHigh => to.0 > 0,
        Property::MemoryLow | Property::MemorySwapMax => true,
    };
    let asked = property.assignment(to);
    match property {
        _ if fits => Ok(()),
        Property::CpuWeight | Property::IoWeight => {
            Err(format!("{asked}: a weight is a number from 1 to 10000"))
        }
        Property::CpuQuota => Err(format!(
            "{asked}: a quota is a whole number of per cents of a CPU"
        )),
        _ => Err(format!("{asked}: nothing could run with that")),
    }
}

/// Whether a share of what is in use can be asked for.
pub(crate) fn share_within_bounds(property: Property, share: f64) -> Result<(), String> {
    let fits =
        share.is_finite() && share > 0.0 && (!is_ceiling(property) || share >= MEMORY_SHARE_MIN);
    if fits {
        return Ok(());
    }
    let per_cent = share * 100.0;
    Err(format!(
        "{property} at {per_cent:.0}% of what the unit uses: it could hardly run with that"
    ))
}

/// Whether a unit that uses more than the value is strangled at once.
fn is_ceiling(property: Property) -> bool {
    matches!(
        property,
        Property::MemoryHigh | Property::MemorySwapMax | Property::TasksMax
    )
}

/// How much the unit uses of what a property bounds.
fn in_use(property: Property, unit: &UnitSnapshot) -> Option<u64> {
    match property {
        Property::MemoryHigh | Property::MemoryLow => unit.memory_current_bytes,
        Property::MemorySwapMax => unit.resources.swap_current_bytes,
        Property::TasksMax => unit.resources.tasks_current,
        Property::CpuWeight | Property::CpuQuota | Property::IoWeight => None,
    }
}

fn unknown(property: Property, unit: &UnitSnapshot) -> Fit {
    let why = format!(
        "how much {} uses of what {property} bounds is not known; is it accounted?",
        unit.unit
    );
    // Of one that runs it will not be known later either.
    if unit.state.active == ActiveState::Active {
        Fit::Unfit(why)
    } else {
        Fit::Unknown(why)
    }
}

#[cfg(test)]
#[path = "setting_tests.rs"]
mod tests;
