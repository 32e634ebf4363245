//! Steps that set properties, and taking them back: what they come to, and what is wrong.

use hostmedic_model::{
    playbook::Verb,
    property::{Aim, Amount, Property, Setting},
};

use super::*;

const CAP: &str = include_str!("../../../tests/undo/cap.yaml");

fn steps(text: &str) -> (Vec<hostmedic_model::playbook::StepTemplate>, Vec<usize>) {
    let checked = check("cap.yaml", text);
    let errors = checked
        .findings
        .iter()
        .filter(|finding| finding.level == Level::Error);
    assert_eq!(errors.count(), 0, "{:#?}", checked.findings);
    let playbook = checked.playbook.unwrap();
    assert_eq!(playbook.missing, [""; 0]);
    match playbook.remedy {
        Remedy::Steps { steps, verify } => (steps, verify.undo_without),
        other => panic!("{other:?}"),
    }
}

/// The sample with `from` replaced; it has an error of this rule that says this.
#[track_caller]
fn wrong(from: &str, to: &str, rule: &str, says: &str) {
    assert!(CAP.contains(from), "the sample has no `{from}`");
    let checked = check("cap.yaml", &CAP.replacen(from, to, 1));
    let mut found = checked
        .findings
        .iter()
        .filter(|finding| finding.rule == rule);
    assert!(
        found.any(|finding| finding.message.contains(says)),
        "no `{rule}` that says `{says}` in {:#?}",
        checked.findings
    );
}

#[test]
fn what_a_step_sets_and_what_takes_it_back() {
    let (steps, undo_without) = steps(CAP);
    assert_eq!(
        steps[0].set,
        Some(Aim {
            property: Property::CpuWeight,
            to: Amount::To(Setting(20)),
        })
    );
    assert_eq!(
        steps[1].set,
        Some(Aim {
            property: Property::TasksMax,
            to: Amount::OfCurrent(1.1),
        })
    );
    for step in &steps {
        assert_eq!(
            (step.verb, step.inverse),
            (Verb::SetProperty, Some(Verb::SetProperty))
        );
    }
    assert_eq!(
        [steps[0].undo_on_failure, steps[1].undo_on_failure],
        [false, true]
    );
    // The second check, not the first.
    assert_eq!(undo_without, [1]);
}

#[test]
fn a_quota_is_counted_in_microseconds_of_each_second() {
    let text = CAP
        .replacen("set_cpu_weight", "set_cpu_quota", 1)
        .replacen("to: 20", "to: 150%", 1);
    let (steps, _) = steps(&text);
    assert_eq!(steps[0].set.unwrap().to, Amount::To(Setting(1_500_000)));
}

#[test]
fn what_no_unit_could_run_with_is_an_error() {
    wrong("to: 20", "to: 0", "range", "from 1 to 10000");
    wrong("to: 20", "to: 10001", "range", "from 1 to 10000");
    wrong("to: 20", "to: 20.5", "range", "no whole number");
    wrong("of_current: 110%", "of_current: 0%", "range", "hardly run");
    let memory = "set_memory_high, with: { unit: \"{{ unit }}\", of_current: 10%";
    wrong(
        "set_tasks_max, with: { unit: \"{{ unit }}\", of_current: 110%",
        memory,
        "range",
        "hardly run",
    );
}

#[test]
fn taking_back_is_asked_for_and_possible() {
    wrong(
        "  steps: [{ id: undo, uses: undo.journal }]",
        "  none: the limits harm nobody at all",
        "rollback",
        "can be undone",
    );
    // Asked for where there is nothing.
    let restart = GOOD.replacen("fail_action: escalate }", "fail_action: rollback }", 9);
    let checked = check(FILE, &restart);
    let found = checked
        .findings
        .iter()
        .find(|finding| finding.rule == "rollback");
    assert!(found.unwrap().message.contains("nothing to take back"));
}
