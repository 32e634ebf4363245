//! What a step would set, and the guards that speak otherwise where nothing is started or stopped.

use hostmedic_model::property::{Property, Setting};

use super::*;
use crate::replay::{snapshot, unit_state};

/// A playbook that sets two limits, on a unit that runs.
fn capping() -> Scene {
    let text = include_str!("../../../tests/undo/cap.yaml");
    let state = unit_state(ActiveState::Active, "running", "success", 0);
    let mut unit = snapshot(NOW, name("web.service"), state);
    unit.restart_policy = "on-failure".to_owned();
    unit.resources.tasks_current = Some(100);
    Scene {
        playbook: playbook::parse("cap.yaml", text).unwrap(),
        unit: Ok(unit),
        ..scene()
    }
}

fn resources(scene: &mut Scene) -> &mut Resources {
    &mut scene.unit.as_mut().unwrap().resources
}

#[test]
fn the_first_step_that_changes_something_is_judged() {
    assert_eq!(objections(&capping()), []);
    let mut first = capping();
    resources(&mut first)
        .set
        .insert(Property::CpuWeight, Setting(20));
    assert_eq!(objections(&first), [], "the second step is left");
    resources(&mut first)
        .set
        .insert(Property::TasksMax, Setting(110));
    check(
        &first,
        "setting",
        Stance::Refuse,
        "there is nothing to change",
    );
    let mut unknown = capping();
    resources(&mut unknown)
        .set
        .insert(Property::CpuWeight, Setting(20));
    resources(&mut unknown).tasks_current = None;
    check(&unknown, "setting", Stance::Refuse, "is not known");
    let mut other = capping();
    resources(&mut other).set.remove(&Property::CpuWeight);
    check(&other, "setting", Stance::Refuse, "has no CPUWeight");
}

#[test]
fn what_may_not_be_started_or_stopped_may_be_capped() {
    let mut refusing = capping();
    if let Ok(unit) = &mut refusing.unit {
        unit.refuse_manual_start = true;
        unit.refuse_manual_stop = true;
        // No start is left.
        unit.start_limit_burst = 1;
    }
    assert_eq!(objections(&refusing), []);
}
