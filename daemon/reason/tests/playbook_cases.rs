//! Holds the shipped library to its own cases and to its schema: events in, one decision out. A
//! playbook whose cases do not say what must not be acted on is not ready to ship.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use hostmedic_model::playbook::Playbook;
use hostmedic_reason::playbook::{
    self, listing, schema,
    trial::{self, Trial},
    wire::Document,
};

/// The shipped playbooks, with their files' form.
fn shipped() -> Vec<(Playbook, Document)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .collect();
    paths.sort();
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let checked = playbook::check(path.to_str().unwrap(), &text);
        assert!(
            checked.findings.is_empty(),
            "{}: {:#?}",
            path.display(),
            checked.findings
        );
        (checked.playbook.unwrap(), checked.document.unwrap())
    };
    paths.iter().map(|path| read(path)).collect()
}

#[test]
fn every_case_of_every_playbook_decides_as_it_says() {
    let shipped = shipped();
    let library: Vec<_> = shipped
        .iter()
        .map(|(playbook, _)| playbook.clone())
        .collect();
    let mut tried = 0;
    for (playbook, document) in &shipped {
        for case in &document.tests {
            match trial::run(case, playbook, &library) {
                Trial::Passed { .. } => tried += 1,
                Trial::Pending { missing } => assert_eq!(missing, playbook.missing),
                Trial::Failed { why } => panic!("{}: {}: {why}", playbook.name, case.name.value),
            }
        }
    }
    assert!(tried >= 20, "only {tried} cases were tried");
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let checked_in = include_str!("../../../playbooks/schema.json");
    assert!(
        schema::text() == checked_in,
        "write it anew: medic playbook schema > playbooks/schema.json"
    );
}

#[test]
fn the_page_of_words_is_the_one_that_is_checked_in() {
    let checked_in = include_str!("../../../playbooks/words.md");
    assert!(
        listing::markdown() == checked_in,
        "write it anew: medic playbook explain --markdown > playbooks/words.md"
    );
}

/// Goal: what the library waits for is what is written down.
/// Method: the table of `missing.md`, made again as its command makes it.
#[test]
fn the_page_of_what_is_missing_is_the_one_that_is_checked_in() {
    let mut by: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (playbook, _) in shipped() {
        for missing in &playbook.missing {
            // How many lines a capture takes makes no difference.
            let what = missing
                .strip_suffix(')')
                .and_then(|rest| rest.rsplit_once('('))
                .filter(|(_, count)| count.bytes().all(|byte| byte.is_ascii_digit()))
                .map_or(missing.as_str(), |(what, _)| what);
            let names = by.entry(what.to_owned()).or_default();
            names.insert(playbook.name.clone());
        }
    }
    let mut rows: Vec<_> = by.into_iter().collect();
    rows.sort_by_key(|(_, names)| Reverse(names.len()));
    let rows: Vec<_> = rows
        .into_iter()
        .map(|(what, names)| {
            let names: Vec<_> = names.into_iter().collect();
            format!("| {what} | {} | {} |\n", names.len(), names.join(", "))
        })
        .collect();
    let checked_in = include_str!("../../../playbooks/missing.md");
    assert!(
        checked_in.ends_with(&format!("|---|---|---|\n{}", rows.concat())),
        "write it anew by the command in it:\n{}",
        rows.concat()
    );
}

/// Goal: nobody makes a shipped playbook more dangerous without lint saying so.
/// Method: each playbook with steps, each dangerous edit, one at a time.
#[test]
fn no_dangerous_edit_of_the_library_goes_unnoticed() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let mut tried = 0;
    for (playbook, document) in shipped() {
        let path = dir.join(format!("{}.yaml", playbook.name));
        let text = fs::read_to_string(&path).unwrap();
        for (what, edited) in dangerous_edits(&text, &document) {
            let findings = playbook::check(path.to_str().unwrap(), &edited).findings;
            assert!(
                !findings.is_empty(),
                "{}: {what} went unnoticed",
                playbook.name
            );
            tried += 1;
        }
    }
    assert!(
        tried >= 40,
        "only {tried} edits were tried: has the layout changed?"
    );
}

/// Texts that would make a playbook more dangerous.
fn dangerous_edits(text: &str, document: &Document) -> Vec<(String, String)> {
    let mut edits = Vec::new();
    if document.steps.is_none() {
        for section in ["trigger", "target", "escalate"] {
            edits.push((format!("without {section}"), without(text, section)));
        }
        return edits;
    }
    for section in [
        "trigger",
        "target",
        "risk",
        "autonomy",
        "limits",
        "concurrency",
        "windows",
        "pre_execution_checks",
        "capture",
        "verify",
        "rollback",
        "escalate",
        "tests",
    ] {
        edits.push((format!("without {section}"), without(text, section)));
    }
    let mut replace = |what: &str, from: &str, to: &str| {
        if text.contains(from) {
            edits.push((what.to_owned(), text.replacen(from, to, 1)));
        }
    };
    let name = document
        .target
        .as_ref()
        .and_then(|target| target.name.as_ref());
    if let Some(name) = name {
        replace("any target", &format!("name: \"{}\",", name.value), "");
    }
    replace("more targets", "max_targets: 1", "max_targets: 100");
    // What only reloads or sets a limit may be for a protected unit.
    let is_gentle = ["class: read_only", "class: reversible"]
        .iter()
        .any(|class| text.contains(class));
    if !is_gentle {
        replace(
            "protected units, too",
            "deny: [\"class:protected\"]",
            "deny: []",
        );
    }
    replace("the whole host", "kind: unit, name", "kind: host, name");
    for (from, to) in [
        ("destructive", "disruptive"),
        ("containment", "disruptive"),
        ("disruptive", "reversible"),
        ("reversible", "read_only"),
    ] {
        replace(
            "a lower class",
            &format!("class: {from}"),
            &format!("class: {to}"),
        );
    }
    replace("more often", "per_target: 1/", "per_target: 50/");
    replace("no pause", "cooldown: ", "cooldown: 1s # ");
    replace("during backups", "[maintenance, backup", "[maintenance");
    replace("without maintenance", "[maintenance, ", "[");
    replace("on old news", "type: telemetry.fresh", "type: unit.active");
    replace("less sure", "act_confidence: 90%", "act_confidence: 10%");
    edits
}

/// The text without one of its sections.
fn without(text: &str, section: &str) -> String {
    let head = format!("{section}:");
    let mut inside = false;
    text.lines()
        .filter(|line| {
            let begins = line.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
            if begins {
                inside = line.starts_with(&head);
            }
            !inside
        })
        .map(|line| format!("{line}\n"))
        .collect()
}
