//! Each way a playbook can be wrong, and the place the error names.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

const GOOD: &str = "\
schema: 1
name: demo
version: 3
describe: A unit was killed for memory and nobody restarts it.
trigger:
  - signal: { kind: oom_kill, within: 2m }
  - unit_state: { active: [failed] }
steps:
  - { unit: restart, wait: 60s }
verify:
  settle: 5s
  within: 1m
  checks: [unit_active, new_invocation, { no_signal: oom_kill }]
limits: { cooldown: 5m, per_unit_per_hour: 1, per_slice_per_hour: 3 }
rollback: A restart has no inverse.
";

fn check(text: &str, line: u64, says: &str) {
    let error = parse("x/demo.yaml", text).unwrap_err();
    assert!(error.message.contains(says), "{error}");
    assert_eq!(error.line, line, "{error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("x/demo.yaml:{line}:{}: ", error.column))
    );
}

#[test]
fn good_playbook_is_read_whole() {
    let playbook = parse("x/demo.yaml", GOOD).unwrap();
    assert_eq!((playbook.name.as_str(), playbook.version), ("demo", 3));
    assert_eq!(playbook.trigger.len(), 2);
    assert_eq!(playbook.sha256.len(), 64);
    let Remedy::Steps { steps, verify } = playbook.remedy else {
        panic!("no steps")
    };
    assert_eq!((steps.len(), verify.checks.len()), (1, 3));
}

#[test]
fn unknown_key_is_named_with_its_place() {
    check(&GOOD.replace("rollback:", "rolback:"), 15, "rolback");
    check(
        &GOOD.replace("within: 2m }", "within: 2m, atleast: 2 }"),
        6,
        "atleast",
    );
}

#[test]
fn missing_verify_and_limits_are_refused() {
    let start = GOOD.find("verify:").unwrap();
    let end = GOOD.find("limits:").unwrap();
    check(
        &format!("{}{}", &GOOD[..start], &GOOD[end..]),
        9,
        "verify is missing",
    );
    let end = GOOD.find("rollback:").unwrap();
    let start = GOOD.find("limits:").unwrap();
    let error = parse("demo.yaml", &format!("{}{}", &GOOD[..start], &GOOD[end..])).unwrap_err();
    assert!(error.message.contains("limits"), "{error}");
}

#[test]
fn empty_and_unbounded_things_are_refused() {
    check(&GOOD.replace("active: [failed]", ""), 7, "at least one");
    check(
        &GOOD.replace("per_unit_per_hour: 1", "per_unit_per_hour: 0"),
        14,
        "1..=12",
    );
    check(
        &GOOD.replace("per_unit_per_hour: 1", "per_unit_per_hour: 99"),
        14,
        "1..=12",
    );
    check(
        &GOOD.replace("cooldown: 5m", "cooldown: 5s"),
        14,
        "cooldown",
    );
    check(&GOOD.replace("wait: 60s", "wait: 60h"), 9, "wait");
    check(&GOOD.replace("settle: 5s", "settle: 2m"), 11, "settle");
    check(
        &GOOD.replace("{ unit: restart,", "{ unit: destroy,"),
        9,
        "destroy",
    );
    check(&GOOD.replace("name: demo", "name: other"), 2, "file's name");
    check(&GOOD.replace("schema: 1", "schema: 2"), 1, "schema 2");
}

#[test]
fn text_that_is_no_yaml_has_a_place_too() {
    let error = parse("demo.yaml", "schema: [1").unwrap_err();
    assert!(error.line >= 1 && error.column >= 1, "{error}");
}

#[test]
fn broken_text_never_panics() {
    for cut in 0..GOOD.len() {
        let _ = parse("demo.yaml", &GOOD[..cut]);
    }
}
