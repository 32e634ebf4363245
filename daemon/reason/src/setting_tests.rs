//! What a setting comes to, on units of every kind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::{
    playbook::Target,
    subject::UnitName,
    time::{At, Span},
    unit::ActiveState,
};
use proptest::prelude::*;

use super::*;
use crate::replay::{snapshot, unit_state};

const MIB: u64 = 1 << 20;

/// A service that uses 100 MiB, 10 MiB of swap and 50 tasks.
fn unit() -> UnitSnapshot {
    let name = UnitName::new("web.service").unwrap();
    let state = unit_state(ActiveState::Active, "running", "success", 0);
    let mut unit = snapshot(At::default(), name, state);
    unit.memory_current_bytes = Some(100 * MIB);
    unit.resources.tasks_current = Some(50);
    unit.resources.swap_current_bytes = Some(10 * MIB);
    unit
}

fn step(verb: Verb, set: Option<Aim>) -> StepTemplate {
    StepTemplate {
        verb,
        target: Target::Subject,
        wait_max: Span::secs(10),
        set,
        inverse: None,
        undo_on_failure: false,
    }
}

fn set(property: Property, to: Amount, unit: &UnitSnapshot) -> Fit {
    fit(&step(Verb::SetProperty, Some(Aim { property, to })), unit)
}

fn to(value: u64) -> Amount {
    Amount::To(Setting(value))
}

#[track_caller]
fn assert_changes(fit: &Fit, from: Setting, to: u64) {
    let Fit::Call(Some(change)) = fit else {
        panic!("{fit:?}");
    };
    assert_eq!((change.from, change.to), (from, Setting(to)));
}

#[test]
fn the_value_before_is_what_was_read() {
    let mut unit = unit();
    assert_changes(&set(Property::CpuWeight, to(20), &unit), Setting::NONE, 20);
    unit.resources.set.insert(Property::CpuWeight, Setting(300));
    assert_changes(&set(Property::CpuWeight, to(20), &unit), Setting(300), 20);
}

#[test]
fn a_share_is_one_of_what_is_in_use() {
    let unit = unit();
    for (property, share, expected) in [
        (Property::MemoryHigh, 0.9, 90 * MIB),
        (Property::MemoryLow, 1.0, 100 * MIB),
        (Property::MemorySwapMax, 1.0, 10 * MIB),
        (Property::TasksMax, 1.1, 55),
    ] {
        let from = unit.resources.set[&property];
        assert_changes(
            &set(property, Amount::OfCurrent(share), &unit),
            from,
            expected,
        );
    }
}

#[test]
fn what_is_in_place_is_no_change() {
    let mut unit = unit();
    unit.resources.set.insert(Property::TasksMax, Setting(55));
    let again = set(Property::TasksMax, Amount::OfCurrent(1.1), &unit);
    assert!(matches!(again, Fit::InPlace(_)), "{again:?}");
    let down = unit_state(ActiveState::Inactive, "dead", "success", 0);
    unit.state = down;
    assert!(matches!(
        fit(&step(Verb::Stop, None), &unit),
        Fit::InPlace(_)
    ));
}

/// Goal: no limit strangles a unit by a slip of a number, and none that is asked for is refused.
#[test]
fn a_ceiling_below_what_is_in_use_is_refused() {
    let unit = unit();
    for (property, below) in [
        (Property::MemoryHigh, MIB),
        (Property::MemorySwapMax, MIB),
        (Property::TasksMax, 10),
    ] {
        let below = set(property, to(below), &unit);
        assert!(matches!(below, Fit::Unfit(_)), "{below:?}");
        let asked_for = set(property, Amount::OfCurrent(0.9), &unit);
        assert!(matches!(asked_for, Fit::Call(Some(_))), "{asked_for:?}");
    }
    let room = set(Property::MemoryHigh, to(200 * MIB), &unit);
    assert_changes(&room, Setting::NONE, 200 * MIB);
    // Protection is no ceiling.
    let shield = set(Property::MemoryLow, to(10), &unit);
    assert!(matches!(shield, Fit::Call(Some(_))), "{shield:?}");
}

/// Goal: a cap does not loosen what somebody has limited, a shield does not lower what they protect.
#[test]
fn what_is_tighter_stays() {
    for (property, amount, now) in [
        (Property::MemoryHigh, Amount::OfCurrent(1.1), 105 * MIB),
        (Property::TasksMax, Amount::OfCurrent(1.1), 52),
        (Property::CpuQuota, to(1_000_000), 500_000),
        (Property::MemoryLow, Amount::OfCurrent(1.0), 400 * MIB),
    ] {
        let mut unit = unit();
        unit.resources.set.insert(property, Setting(now));
        let found = set(property, amount, &unit);
        assert!(matches!(found, Fit::InPlace(_)), "{property}: {found:?}");
        // Where nothing is set yet it is.
        let none = match property {
            Property::MemoryLow => Setting(0),
            _ => Setting::NONE,
        };
        unit.resources.set.insert(property, none);
        let found = set(property, amount, &unit);
        assert!(matches!(found, Fit::Call(Some(_))), "{property}: {found:?}");
    }
    let odd = set(Property::CpuQuota, to(125_000), &unit());
    assert!(matches!(odd, Fit::Unfit(_)), "{odd:?}");
    let active = fit(&step(Verb::Start, None), &unit());
    assert!(matches!(active, Fit::InPlace(_)), "{active:?}");
}

#[test]
fn what_is_not_accounted_cannot_be_told() {
    let mut unit = unit();
    unit.memory_current_bytes = None;
    unit.resources.swap_current_bytes = None;
    unit.resources.tasks_current = None;
    for (property, amount) in [
        (Property::MemoryHigh, Amount::OfCurrent(0.9)),
        (Property::MemoryHigh, to(MIB)),
        (Property::MemorySwapMax, Amount::OfCurrent(1.0)),
        (Property::TasksMax, Amount::OfCurrent(1.1)),
    ] {
        let fit = set(property, amount, &unit);
        assert!(matches!(fit, Fit::Unfit(_)), "{property}: {fit:?}");
        // One that comes up may be accounted then.
        let mut coming = unit.clone();
        coming.state = unit_state(ActiveState::Activating, "start", "success", 0);
        let fit = set(property, amount, &coming);
        assert!(matches!(fit, Fit::Unknown(_)), "{property}: {fit:?}");
    }
    unit.resources.set.clear();
    let none = set(Property::CpuWeight, to(20), &unit);
    assert!(matches!(none, Fit::Unfit(_)), "{none:?}");
}

#[test]
fn steps_that_are_already_so_are_passed_over() {
    let mut unit = unit();
    unit.resources.set.insert(Property::CpuWeight, Setting(20));
    let aim = |property, value| {
        Some(Aim {
            property,
            to: to(value),
        })
    };
    let steps = [
        step(Verb::SetProperty, aim(Property::CpuWeight, 20)),
        step(Verb::SetProperty, aim(Property::CpuQuota, 1_000_000)),
    ];
    let (place, fit) = next(&steps, 0, Ok(&unit)).unwrap();
    assert_eq!(place, 1);
    assert_changes(&fit, Setting::NONE, 1_000_000);
    let (_, only) = next(&steps[..1], 0, Ok(&unit)).unwrap();
    assert!(matches!(only, Fit::InPlace(_)), "{only:?}");
    assert_eq!(next(&steps, 2, Ok(&unit)), None);
    let (place, blind) = next(&steps, 0, Err("gone")).unwrap();
    assert_eq!((place, blind), (0, Fit::Unknown("gone".to_owned())));
}

proptest! {
    /// Whatever is asked for and in use: what is set lies within systemd's bounds, differs from what
    /// was there, and going back and forth ends where it began.
    #[test]
    fn every_change_is_legal_and_reversible(
        index in 0..Property::ALL.len(),
        value in any::<u64>(),
        share in prop_oneof![Just(None), (0.0_f64..20.0).prop_map(Some)],
        used in prop_oneof![Just(None), any::<u64>().prop_map(Some)],
        before in any::<u64>(),
    ) {
        let property = Property::ALL[index];
        let mut unit = unit();
        unit.memory_current_bytes = used;
        unit.resources.tasks_current = used;
        unit.resources.swap_current_bytes = used;
        unit.resources.set.insert(property, Setting(before));
        let amount = share.map_or(to(value), Amount::OfCurrent);
        if let Fit::Call(Some(change)) = set(property, amount, &unit) {
            prop_assert!(within_bounds(property, change.to).is_ok());
            prop_assert_eq!(change.from, Setting(before));
            prop_assert_ne!(change.from, change.to);
            prop_assert_eq!(change.reversed().reversed(), change);
            prop_assert_eq!(change.reversed().to, Setting(before));
        }
    }
}
