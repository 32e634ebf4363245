//! Each way a playbook can be wrong, the place that the finding names, and what it suggests.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::playbook::{Condition, Phase, Remedy};
use proptest::prelude::*;

use super::*;

mod groups;
mod settings;

const GOOD: &str = include_str!("../../../../playbooks/unit-oom-killed.yaml");
const FILE: &str = "x/unit-oom-killed.yaml";

/// Replaces one text by another and expects a finding of this rule that says this.
#[track_caller]
fn check_one(from: &str, to: &str, rule: &str, says: &str) {
    assert!(GOOD.contains(from), "the sample has no `{from}`");
    let text = GOOD.replacen(from, to, 1);
    let checked = check(FILE, &text);
    let found = checked.findings.iter().find(|finding| finding.rule == rule);
    let Some(finding) = found else {
        panic!("no `{rule}` in {:#?}", checked.findings)
    };
    let all = format!(
        "{} {}",
        finding.message,
        finding.help.as_deref().unwrap_or("")
    );
    assert!(all.contains(says), "{all}");
    if finding.level == Level::Error {
        assert!(!checked.is_ok());
    }
    // The place is inside the text and on the line that it says.
    let line = text[..finding.place.start.min(text.len())]
        .matches('\n')
        .count()
        + 1;
    assert_eq!(finding.place.line, line as u64, "{finding:?}");
    assert!(finding.place.end <= text.len(), "{finding:?}");
}

#[test]
fn good_playbook_is_read_whole() {
    let checked = check(FILE, GOOD);
    assert_eq!(checked.findings, []);
    let playbook = checked.playbook.unwrap();
    assert_eq!(
        (playbook.name.as_str(), playbook.version),
        ("unit-oom-killed", 3)
    );
    assert_eq!(playbook.trigger.len(), 3);
    assert_eq!(playbook.sha256.len(), 64);
    assert_eq!(playbook.phase_max, Phase::Autonomous);
    assert_eq!(playbook.missing, [""; 0]);
    assert_eq!(playbook.pre_checks.len(), 4);
    let captures: Vec<_> = playbook.captures.iter().map(ToString::to_string).collect();
    assert_eq!(
        captures,
        ["unit.snapshot", "journal.tail(30)", "cgroup.memory"]
    );
    let Remedy::Steps { steps, verify } = playbook.remedy else {
        panic!("no steps")
    };
    assert_eq!((steps.len(), verify.checks.len()), (1, 4));
}

#[test]
fn keys_and_words_have_their_place_and_what_was_meant() {
    check_one(
        "rollback:",
        "rolback:",
        "unknown-key",
        "did you mean `rollback`?",
    );
    check_one(
        "within: 2min, bind",
        "witin: 2min, bind",
        "unknown-key",
        "`within`?",
    );
    check_one(
        "max_phase: autonomous",
        "max_phase: autonomos",
        "unknown-word",
        "`autonomous`?",
    );
    check_one(
        "signal: kernel.oom_kill, within",
        "signal: kernel.oomkill, within",
        "unknown-name",
        "`kernel.oom_kill`?",
    );
    check_one(
        "uses: systemd.restart",
        "uses: systemd.restrat",
        "unknown-name",
        "`systemd.restart`?",
    );
    check_one(
        "with: { max_active: 3 }",
        "with: { max_activ: 3 }",
        "unknown-key",
        "`max_active`?",
    );
    check_one(
        "result_not: [success, ",
        "result_not: [sucess, ",
        "unknown-word",
        "`success`?",
    );
    check_one(
        "compliance: [soc2_cc7.4",
        "compliance: [soc2_cc74",
        "unknown-word",
        "soc2_cc7.4",
    );
    check_one(
        "guard: calendar",
        "guard: calender",
        "unknown-word",
        "`calendar`?",
    );
}

#[test]
fn what_is_written_twice_or_could_mean_two_things_is_refused() {
    check_one(
        "kind: Playbook\n",
        "kind: Playbook\nkind: Playbook\n",
        "duplicate-key",
        "`kind`",
    );
    check_one("cooldown: 5min", "cooldown: 5", "form", "5 has no unit");
    check_one(
        "act_confidence: 90%",
        "act_confidence: 0.9",
        "form",
        "0.9 has no unit",
    );
    check_one(
        "restart_policy: on-failure",
        "restart_policy: no",
        "ambiguous-text",
        "\"no\"",
    );
    check_one("owner: hostmedic", "owner: 1", "ambiguous-text", "\"1\"");
    check_one(
        "reversible: true",
        "reversible: yes",
        "ambiguous-text",
        "write true",
    );
    check_one("owner: hostmedic", "owner: no", "ambiguous-text", "\"no\"");
    check_one(
        "result_not: [success, start-limit-hit]",
        "restart_policy: [no]",
        "ambiguous-text",
        "\"no\"",
    );
    check_one("max_age: 30s", "max_age: 30", "missing-unit", "30s");
}

#[test]
fn anchors_aliases_merges_tags_and_bombs_are_refused() {
    for text in [
        GOOD.replacen("kind: Playbook", "kind: &a Playbook", 1),
        GOOD.replacen("kind: Playbook", "kind: !!python/object Playbook", 1),
        format!("<<: {{}}\n{GOOD}"),
        format!("{GOOD}---\n{GOOD}"),
        "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n".to_owned(),
        "[".repeat(10_000),
        format!("describe: {}", "{a: ".repeat(200)),
        format!("tags: [{}]", "a,".repeat(20_000)),
        " ".repeat(FILE_BYTES_MAX + 1),
    ] {
        let error = parse("x/a.yaml", &text).unwrap_err();
        assert!(!error.message.is_empty());
    }
}

#[test]
fn sections_that_make_it_safe_cannot_be_left_out() {
    for (section, next) in [
        ("target:", "risk:"),
        ("risk:", "autonomy:"),
        ("autonomy:", "limits:"),
        ("limits:", "concurrency:"),
        ("concurrency:", "windows:"),
        ("windows:", "pre_execution_checks:"),
        ("pre_execution_checks:", "capture:"),
        ("capture:", "steps:"),
        ("verify:", "rollback:"),
        ("rollback:", "escalate:"),
        ("escalate:", "compliance:"),
    ] {
        let start = GOOD.find(&format!("\n{section}")).unwrap() + 1;
        let end = GOOD.find(&format!("\n{next}")).unwrap() + 1;
        let text = format!("{}{}", &GOOD[..start], &GOOD[end..]);
        let findings = check(FILE, &text).findings;
        let name = section.trim_end_matches(':');
        let missing = format!("`{name}` is missing");
        assert!(
            findings
                .iter()
                .any(|f| f.level == Level::Error && f.message.contains(&missing)),
            "{section}: {findings:#?}"
        );
    }
}

#[test]
fn danger_cannot_be_understated() {
    check_one(
        "class: disruptive",
        "class: reversible",
        "class",
        "the steps are disruptive",
    );
    check_one(
        "class: disruptive",
        "class: destructive",
        "class",
        "only disruptive",
    );
    check_one(
        "max_targets: 1",
        "max_targets: 5",
        "target",
        "one incident, one target",
    );
    check_one(
        "{ kind: unit, name: \"{{ unit }}\", max",
        "{ kind: unit, max",
        "target",
        "never everything",
    );
    check_one(
        "{ kind: unit, name: \"{{ unit }}\", max",
        "{ kind: mount, name: \"{{ unit }}\", max",
        "wrong-type",
        "names a unit",
    );
    check_one(
        "deny: [\"class:protected\"]",
        "deny: []",
        "target",
        "protected",
    );
    check_one(
        "forbid: [maintenance, backup, package_transaction]",
        "forbid: [maintenance]",
        "windows",
        "backup",
    );
    check_one("per_target: 1/1h", "per_target: 99/1h", "range", "1 to 12");
    check_one("cooldown: 5min", "cooldown: 5s", "range", "cooldown");
    check_one("act_confidence: 90%", "act_confidence: 50%", "range", "90%");
    check_one("settle: 5s", "settle: 2min", "range", "settle");
    check_one("timeout: 60s", "timeout: 60h", "range", "timeout");
    check_one(
        "    - { check: unit.closure_restored, fail_action: escalate }\n",
        "",
        "wanted-check",
        "closure_restored",
    );
    check_one(
        "type: telemetry.fresh",
        "type: unit.active",
        "wanted-check",
        "telemetry.fresh",
    );
    check_one(
        "    - signal: unit.state\n      within: 2min\n      where: { active_state: [failed], result_not: [success, start-limit-hit] }\n",
        "",
        "one-witness",
        "two independent witnesses",
    );
    check_one(
        "name: unit-oom-killed",
        "name: other",
        "name",
        "file's name",
    );
    check_one("apiVersion: v1", "apiVersion: v2", "version", "v2");
}

#[test]
fn only_typed_slots_take_bindings() {
    check_one(
        "with: { unit: \"{{ unit }}\" }, timeout",
        "with: { unit: \"{{ unti }}\" }, timeout",
        "unbound",
        "`{{ unit }}`?",
    );
    check_one(
        "with: { unit: \"{{ unit }}\" }, timeout",
        "with: { unit: \"x-{{ unit }}\" }, timeout",
        "template",
        "whole value",
    );
    check_one(
        "with: { unit: \"{{ unit }}\" }, timeout",
        "with: { unit: \"a b; rm -rf /\" }, timeout",
        "wrong-name",
        "unit name",
    );
    check_one(
        "unit: event.unit",
        "unit: event.device",
        "wrong-type",
        "names a device",
    );
    check_one(
        "unit: event.unit",
        "unit: event.unti",
        "unknown-name",
        "event.unit",
    );
}

#[test]
fn what_the_engine_cannot_do_is_counted_and_only_observed() {
    let text = GOOD
        .replacen("uses: systemd.restart,", "uses: systemd.cancel_job,", 1)
        .replacen(
            "check: unit.active, fail",
            "check: unit.result_success, fail",
            1,
        );
    let playbook = parse(FILE, &text).unwrap();
    assert_eq!(playbook.phase_max, Phase::Observe);
    assert_eq!(
        playbook.missing,
        ["step systemd.cancel_job", "check unit.result_success"]
    );
    assert!(matches!(playbook.remedy, Remedy::Unbuilt(_)));
    let unheard = GOOD.replacen(
        "signal: kernel.oom_kill, within",
        "signal: kernel.fork_storm, within",
        1,
    );
    let playbook = parse(FILE, &unheard).unwrap();
    assert_eq!(playbook.missing, ["signal kernel.fork_storm"]);
    assert!(matches!(playbook.trigger[0], Condition::Unseen(_)));
}

#[test]
fn evidence_is_asked_for_with_its_number_and_what_cannot_be_had_is_counted() {
    let with =
        |asked: &str| GOOD.replacen("unit.snapshot, journal.tail(30), cgroup.memory", asked, 1);
    let playbook = parse(
        FILE,
        &with("proc.stacks(3), proc.tree, net.sockets_top, disk.smart"),
    )
    .unwrap();
    let captures: Vec<_> = playbook.captures.iter().map(ToString::to_string).collect();
    assert_eq!(
        captures,
        ["proc.stacks(3)", "proc.tree", "net.sockets_top(20)"]
    );
    assert_eq!(playbook.missing, ["capture disk.smart"]);
    for bad in [
        "proc.stacks(21)",
        "proc.stacks(0)",
        "proc.tree(1)",
        "proc.stacks(-1)",
        "proc",
    ] {
        assert!(parse(FILE, &with(bad)).is_err(), "{bad}");
    }
}

#[test]
fn a_name_and_words_are_enough_to_be_found_and_for_nothing_else() {
    let text = "name: a\ndescribe:\n  summary: Something that people should know about.\n";
    let checked = check("x/a.yaml", text);
    assert_eq!(checked.findings.len(), 1);
    assert_eq!(checked.findings[0].rule, "only-described");
    let playbook = checked.playbook.unwrap();
    assert_eq!(playbook.missing, ["only described"]);
    assert!(playbook.trigger.is_empty());
}

#[test]
fn examples_say_something_once_and_are_not_too_many() {
    let with = |examples: &[String]| {
        let lines: Vec<_> = examples
            .iter()
            .map(|text| format!("  - '{text}'\n"))
            .collect();
        format!(
            "name: a\ndescribe: {{ summary: Something that people should know about. }}\nexamples:\n{}",
            lines.concat()
        )
    };
    let rules = |examples: &[String]| -> Vec<_> {
        let found = check("x/a.yaml", &with(examples)).findings;
        found.iter().map(|finding| finding.rule).skip(1).collect()
    };
    let told = |n: usize| format!("Service a{n}.service: unit failed with result exit-code.");
    let many: Vec<_> = (0..65).map(told).collect();
    assert_eq!(rules(&many[..64]), [""; 0]);
    assert_eq!(rules(&many), ["too-many"]);
    assert_eq!(rules(&[told(1), told(2), told(1) + "  "]), ["twice"]);
    assert_eq!(rules(&["short".to_owned()]), ["too-short"]);
    assert_eq!(rules(&["long ".repeat(205)]), ["too-long"]);
    let checked = check("x/a.yaml", &with(&many[..2]));
    assert_eq!(checked.playbook.unwrap().describe.examples, many[..2]);
}

#[test]
fn all_errors_are_found_at_once() {
    let text = GOOD
        .replacen("uses: systemd.restart", "uses: systemd.restrat", 1)
        .replacen("max_targets: 1", "max_targets: 2", 1)
        .replacen("cooldown: 5min", "cooldown: 1s", 1);
    let rules: Vec<_> = check(FILE, &text).findings.iter().map(|f| f.rule).collect();
    for rule in ["unknown-name", "target", "range"] {
        assert!(rules.contains(&rule), "{rules:?}");
    }
}

#[test]
fn broken_text_never_panics() {
    for (cut, _) in GOOD.char_indices().step_by(7) {
        let _ = check(FILE, &GOOD[..cut]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Goal: no text makes the reader panic or take long.
    #[test]
    fn any_text_is_answered(text in "\\PC{0,400}") {
        let _ = check(FILE, &text);
    }

    /// Goal: a playbook with some characters changed is answered, and a finding is in the text.
    #[test]
    fn any_change_is_answered(at in 0..GOOD.len(), with in "[ -~\n\t{}\\[\\]:&*!|>\"'%]{0,6}", cut in 0usize..40) {
        let mut bytes = GOOD.as_bytes().to_vec();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for finding in check(FILE, &text).findings {
            prop_assert!(finding.place.start <= text.len());
            prop_assert!(!finding.message.is_empty());
        }
    }
}
