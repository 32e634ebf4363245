//! Groups of conditions, `for` and filters: what they come to, and that neither can make a trigger
//! rest on less than it must.

use hostmedic_model::{
    playbook::{Check, Need, SignalFilter},
    time::Span,
};

use super::*;

const OOM: &str = "    - { signal: kernel.oom_kill, within: 2min, bind: { unit: event.unit } }\n";

/// The sample with its first condition in place of another.
fn with(condition: &str) -> String {
    assert!(GOOD.contains(OOM));
    GOOD.replacen(OOM, &format!("    - {condition}\n"), 1)
}

fn trigger(condition: &str) -> Vec<Condition> {
    let checked = check(FILE, &with(condition));
    assert_eq!(checked.findings, [], "{condition}");
    let playbook = checked.playbook.unwrap();
    assert_eq!(playbook.missing, [""; 0], "{condition}");
    playbook.trigger
}

#[test]
fn groups_within_groups_are_read() {
    let trigger = trigger(
        "any: [{ signal: kernel.oom_kill, within: 2min, bind: { unit: event.unit } }, \
         { all: [{ measure: unit_memory_limit_ratio, above: 95%, for: 30s }, \
         { none: [{ signal: unit.started, within: 1h }] }] }]",
    );
    let Condition::Any(ways) = &trigger[0] else {
        panic!("{trigger:?}")
    };
    let Condition::All(second) = &ways[1] else {
        panic!("{ways:?}")
    };
    assert!(matches!(&second[0], Condition::Held { span, .. } if *span == Span::secs(30)));
    assert!(matches!(&second[1], Condition::None(none) if none.len() == 1));
    // The weakest way is what a trigger knows for sure.
    assert_eq!(trigger[0].weight(), 1);
    assert_eq!(ways[1].weight(), 2);
}

#[test]
fn each_way_of_an_any_needs_two_witnesses() {
    // Both ways have another witness than systemd's word, which stands beside them.
    trigger(
        "any: [{ signal: kernel.oom_kill, within: 2min, bind: { unit: event.unit } }, \
         { measure: unit_memory_limit_ratio, above: 95% }]",
    );
    let one_is_weak = GOOD.replacen(
        OOM,
        "    - any:\n        - { signal: kernel.oom_kill, within: 2min, bind: { unit: event.unit } }\n        \
         - { signal: unit.state, within: 2min }\n",
        1,
    );
    let one_is_weak = one_is_weak.replacen(
        "      where: { active_state: [failed], result_not: [success, start-limit-hit] }\n",
        "",
        1,
    );
    let findings = check(FILE, &one_is_weak).findings;
    let finding = findings.iter().find(|it| it.rule == "one-witness").unwrap();
    assert!(
        finding.message.contains("one way of this trigger"),
        "{finding:?}"
    );
    let line = one_is_weak.lines().nth(finding.place.line as usize - 1);
    assert!(line.unwrap().contains("signal: unit.state"), "{finding:?}");
}

#[test]
fn what_is_not_so_is_no_sign_of_anything() {
    for text in [
        "{ none: [{ signal: kernel.block_error, within: 1h }] }",
        "{ any: [{ none: [{ signal: kernel.block_error, within: 1h }] }, { none: [{ signal: unit.started, within: 1h }] }] }",
    ] {
        let start = GOOD.find("  all:\n").unwrap();
        let end = GOOD.find("target:").unwrap();
        let text = format!(
            "{}  all: [{text}]\n{}",
            &GOOD[..start],
            GOOD[end..].replace("class: disruptive", "class: read_only")
        );
        let findings = check(FILE, &text).findings;
        assert!(
            findings.iter().any(|it| it.rule == "always"),
            "{findings:#?}"
        );
    }
}

#[test]
fn what_a_group_cannot_mean_is_an_error() {
    for (condition, rule, says) in [
        ("{ any: [] }", "empty", "`any` must name"),
        (
            "{ any: [{ state: unit, where: { active_state: [failed] } }], all: [] }",
            "condition",
            "exactly one of `all`",
        ),
        (
            "{ any: [{ state: unit, where: { active_state: [failed] } }], for: 30s }",
            "condition",
            "`for` means nothing beside `any`",
        ),
        (
            "{ any: [{ state: unit, where: { active_state: [failed] } }], signal: unit.state }",
            "condition",
            "stands in the group",
        ),
        (
            "{ signal: unit.state, within: 2min, for: 30s }",
            "condition",
            "`for` means nothing beside `signal`",
        ),
        (
            "{ none: [{ signal: unit.started, within: 1h, bind: { unit: event.unit } }] }",
            "bind",
            "does not happen",
        ),
        (
            "{ state: unit, where: { active_state: [failed] }, for: 2days }",
            "range",
            "`for` is 2days",
        ),
        (
            "{ any: [{ any: [{ any: [{ any: [{ any: [{ signal: unit.state, within: 2min }] }] }] }] }] }",
            "condition",
            "more than 4 groups",
        ),
    ] {
        let findings = check(FILE, &with(condition)).findings;
        let found = findings
            .iter()
            .any(|it| it.rule == rule && it.message.contains(says));
        assert!(found, "{condition}: {findings:#?}");
    }
    let neither = GOOD.replacen("  all:\n", "  some:\n", 1);
    assert!(
        check(FILE, &neither)
            .findings
            .iter()
            .any(|it| it.message.contains("no key `some`"))
    );
}

#[test]
fn a_signal_and_its_state_can_be_an_exception_together() {
    let text = GOOD.replacen(
        "target:",
        "  none:\n    - { signal: unit.state, within: 1h, where: { result: [start-limit-hit] } }\ntarget:",
        1,
    );
    let checked = check(FILE, &text);
    assert_eq!(checked.findings, []);
    let none = checked.playbook.unwrap().none;
    assert!(matches!(none.as_slice(), [Condition::All(both)] if both.len() == 2));
}

#[test]
fn filters_are_the_engines_own() {
    for (condition, only) in [
        (
            "{ signal: kernel.oom_kill, within: 2min, where: { scope: [host] }, bind: { unit: event.unit } }",
            SignalFilter::OomOfHost(true),
        ),
        (
            "{ signal: kernel.fatal_signal, within: 2min, where: { signal: SIGSEGV }, bind: { unit: event.unit } }",
            SignalFilter::FatalSignal(vec![11]),
        ),
    ] {
        let trigger = trigger(condition);
        assert!(
            matches!(&trigger[0], Condition::Signal { only: Some(found), .. } if *found == only),
            "{trigger:?}"
        );
    }
    // What no filter can tell is missing, and never just left out.
    let text = with(
        "{ signal: kernel.oom_kill, within: 2min, where: { scope: [cpuset] }, bind: { unit: event.unit } }",
    );
    let playbook = parse(FILE, &text).unwrap();
    assert_eq!(playbook.missing, ["`where` on signal kernel.oom_kill"]);
    assert!(matches!(playbook.trigger[0], Condition::Unseen(_)));
}

#[test]
fn checks_after_the_steps_can_ask_for_a_time() {
    let active = "check: unit.active, fail";
    let text = GOOD.replacen(active, "check: unit.active, for: 30s, fail", 1);
    let playbook = parse(FILE, &text).unwrap();
    assert_eq!(playbook.missing, [""; 0]);
    let Remedy::Steps { verify, .. } = playbook.remedy else {
        panic!("no steps")
    };
    let held = Check::Held {
        check: Box::new(Check::UnitActive),
        span: Span::secs(30),
    };
    assert!(verify.checks.contains(&held));
    check_one(
        active,
        "check: unit.active, for: 56s, fail",
        "range",
        "never hold for so long",
    );
    check_one(
        "check: signal.none, with: { signal: kernel.oom_kill }",
        "check: signal.none, with: { signal: kernel.oom_kill, within: 1min }",
        "when",
        "`for`",
    );
    check_one(
        active,
        "check: measure.fell_by, with: { measure: unit_memory_bytes, by: 0% }, fail",
        "range",
        "`by`",
    );
}

#[test]
fn a_unit_can_be_asked_to_have_been_left_alone() {
    let text = GOOD.replacen(
        "with: { no_job: true }",
        "with: { no_job: true, no_admin_action_for: 10min }",
        1,
    );
    let playbook = parse(FILE, &text).unwrap();
    assert_eq!(playbook.missing, [""; 0]);
    let needs: Vec<_> = playbook.pre_checks.iter().map(|it| &it.needs).collect();
    assert!(needs.contains(&&Need::Quiet(Span::minutes(10))));
}

/// Goal: a `for`, an `any` and a `none` decide in the loop as they say.
/// Method: a playbook of all three through the real state machine, against events that each break
/// one of them.
#[test]
fn the_loop_waits_for_what_has_to_last() {
    const TEXT: &str = include_str!("../../../../../playbooks/unit-failed-restart.yaml");
    let start = TEXT.find("trigger:").unwrap();
    let end = TEXT.find("target:").unwrap();
    let cases = TEXT.find("\ntests:").unwrap();
    let decided = |events: &str, decision: &str| {
        let text = format!(
            "{}trigger:\n  all:\n    - {{ signal: unit.state, within: 10min, bind: {{ unit: event.unit }} }}\n    \
             - {{ state: unit, where: {{ active_state: [failed] }}, for: 30s }}\n    \
             - any:\n        - {{ signal: kernel.oom_kill, within: 5min }}\n        - {{ signal: kernel.fatal_signal, within: 5min, where: {{ signal: SIGSEGV }} }}\n    \
             - none: [{{ signal: unit.started, within: 1h }}]\n{}\ntests:\n  \
             - name: what the events come to\n    given:\n      about: {{ kind: unit, name: shop.service }}\n      \
             events: [{events}]\n    expect: {decision}\n",
            &TEXT[..start],
            &TEXT[end..cases]
        );
        let checked = check("x/unit-failed-restart.yaml", &text);
        let playbook = checked
            .playbook
            .unwrap_or_else(|| panic!("{:#?}", checked.findings));
        assert_eq!(playbook.missing, [""; 0]);
        let case = &checked.document.unwrap().tests[0].value.clone();
        match trial::run(case, &playbook, std::slice::from_ref(&playbook)) {
            trial::Trial::Passed { .. } => {}
            other => panic!("{events}: {other:?}"),
        }
    };
    const FAILED: &str = "state: { active: failed, sub: failed, result: signal }";
    const UP: &str = "state: { active: active, sub: running, result: success }";
    let acts = "{ match: true, decision: act }";
    let nothing = "{ match: false, decision: hold, reason: no playbook fits }";
    let sign = "{ at: 9s, signal: kernel.fatal_signal, where: { signal: SIGSEGV } }";
    decided(&format!("{sign}, {{ at: 10s, {FAILED} }}"), acts);
    decided(
        &format!("{{ at: 9s, signal: kernel.oom_kill }}, {{ at: 10s, {FAILED} }}"),
        acts,
    );
    decided(&format!("{{ at: 10s, {FAILED} }}"), nothing);
    let other = "{ at: 9s, signal: kernel.fatal_signal, where: { signal: SIGBUS } }";
    decided(&format!("{other}, {{ at: 10s, {FAILED} }}"), nothing);
    // It came up in between, so that it has not been down for so long.
    let flaps = format!("{sign}, {{ at: 10s, {FAILED} }}, {{ at: 20s, {UP} }}");
    decided(&flaps, nothing);
    let restarted = format!("{sign}, {{ at: 10s, {FAILED}, restarts: 1 }}");
    decided(&restarted, nothing);
}

#[test]
fn hosts_are_told_by_their_tags() {
    let with = |hosts: &str| {
        let before = "target: {";
        assert!(GOOD.contains(before));
        check(
            FILE,
            &GOOD.replacen(before, &format!("hosts: {hosts}\n{before}"), 1),
        )
    };
    let read = with("{ with: [database], without: [experiment] }");
    assert_eq!(read.findings, []);
    let hosts = read.playbook.unwrap().hosts;
    let tags = |tags: &[&str]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (tagged, admitted) in [
        (tags(&["database", "production"]), true),
        (tags(&[]), false),
        (tags(&["production"]), false),
        (tags(&["database", "experiment"]), false),
    ] {
        assert_eq!(hosts.admit(&tagged), admitted, "{tagged:?}");
    }
    assert!(hostmedic_model::playbook::HostTags::default().admit(&[]));
    for wrong in [
        "{ with: [Data Base] }",
        "{ with: [database], without: [database] }",
        "{ of: [database] }",
    ] {
        assert!(!with(wrong).is_ok(), "{wrong}");
    }
}
