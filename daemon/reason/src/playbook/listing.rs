//! Every word of the language with what it means and whether this version can see or do it:
//! for `medic playbook explain` and for `playbooks/words.md`.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    judge::can_check,
    registry::{
        Field, Slot, captures, checks, measures, signals, states,
        steps::{self, Inverse, Privilege},
    },
};

/// One word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Word {
    /// `signal`, `state`, `measure`, `check`, `step` or `capture`.
    pub kind: &'static str,
    /// The word.
    pub name: &'static str,
    /// Whether this version can see or do it.
    pub exists: bool,
    /// What it means.
    pub says: &'static str,
    /// What it takes, such as `within: 30s`; in brackets what may be left out.
    pub takes: Vec<String>,
    /// More about it, as heading and text.
    pub more: Vec<(&'static str, String)>,
}

/// Every word, kind by kind.
pub fn words() -> Vec<Word> {
    let mut words = Vec::new();
    words.extend(signals::ALL.iter().map(|signal| Word {
        kind: "signal",
        name: signal.name,
        exists: signal.exists(),
        says: signal.says,
        takes: takes(signal.fields),
        more: vec![("witness", signal.witness.word().to_owned())],
    }));
    words.extend(states::ALL.iter().map(|state| Word {
        kind: "state",
        name: state.name,
        exists: state.name == states::UNIT,
        says: state.says,
        takes: takes(state.fields),
        more: Vec::new(),
    }));
    words.extend(measures::ALL.iter().map(|measure| Word {
        kind: "measure",
        name: measure.name,
        exists: measure.model().is_some(),
        says: measure.says,
        takes: vec![format!("above or below: {}", measure.unit.example())],
        more: vec![("source", measure.source().to_owned())],
    }));
    words.extend(checks::ALL.iter().map(|check| Word {
        kind: "check",
        name: check.name,
        exists: can_check(check),
        says: check.says,
        takes: takes(check.fields),
        more: vec![(
            "stands in",
            match (check.before, check.after) {
                (true, true) => "pre_execution_checks, verify",
                (true, false) => "pre_execution_checks",
                _ => "verify",
            }
            .to_owned(),
        )],
    }));
    words.extend(steps::ALL.iter().map(step));
    words.extend(captures::ALL.iter().map(|capture| {
        Word {
            kind: "capture",
            name: capture.name,
            exists: capture.kind.is_some(),
            says: capture.says,
            takes: capture
                .counts
                .map(|(what, most)| format!("({what}), at most {most}"))
                .into_iter()
                .collect(),
            more: Vec::new(),
        }
    }));
    words
}

fn step(step: &steps::Step) -> Word {
    let privilege = match step.privilege {
        Privilege::None => "none".to_owned(),
        Privilege::ManageUnits(verb) => format!("polkit manage-units, verb {verb}"),
        Privilege::Action(unit) => format!("starting hostmedic-{unit}@.service"),
        Privilege::Service(name) => format!("polkit of {name}"),
        Privilege::DatabaseRole(role) => format!("a database role with {role}"),
    };
    let inverse = match step.inverse {
        Inverse::PriorValue => "the value before it, which is recorded".to_owned(),
        Inverse::Step(name) => name.to_owned(),
        Inverse::NotNeeded(why) => format!("not needed: {why}"),
        Inverse::Impossible(why) => format!("impossible: {why}"),
    };
    let twice = if step.idempotent.0 { "yes" } else { "no" };
    Word {
        kind: "step",
        name: step.name,
        exists: step.call().is_some(),
        says: step.says,
        takes: takes(step.fields),
        more: vec![
            ("class", step.class.word().to_owned()),
            ("right", privilege),
            ("idempotent", format!("{twice}: {}", step.idempotent.1)),
            ("undone by", inverse),
            ("dry run", step.dry_run.to_owned()),
        ],
    }
}

fn takes(fields: &[Field]) -> Vec<String> {
    let one = |field: &Field| {
        let value = match field.slot {
            Slot::SystemdUnit => "unit or \"{{ unit }}\"".to_owned(),
            Slot::Span => "30s".to_owned(),
            Slot::Number(unit) => unit.example().to_owned(),
            Slot::Flag => "true".to_owned(),
            Slot::Word(words) => words.join(" | "),
            Slot::Words(words) => format!("[{}]", words.join(" | ")),
            Slot::Path => "/path".to_owned(),
            Slot::Name => "name".to_owned(),
            Slot::Signal => "signal".to_owned(),
            Slot::Measure => "measure".to_owned(),
            Slot::OfMeasure => "in the measure's unit".to_owned(),
        };
        if field.required {
            format!("{}: {value}", field.name)
        } else {
            format!("[{}: {value}]", field.name)
        }
    };
    fields.iter().map(one).collect()
}

/// The words as the page that is checked in.
pub fn markdown() -> String {
    let mut text = "# Words of the playbook language\n\n\
        Made by `medic playbook explain --markdown`; a test holds it to the code. *no* means that the \
        daemon cannot\nsee or do it yet: a playbook that says it is complete, and only observes.\n"
        .to_owned();
    let mut kind = "";
    for word in words() {
        if word.kind != kind {
            kind = word.kind;
            let more: Vec<_> = word.more.iter().map(|(head, _)| *head).collect();
            // Writing to a String cannot fail.
            let _ = write!(text, "\n## {kind}s\n\n| name | exists | means | takes |");
            for head in &more {
                let _ = write!(text, " {head} |");
            }
            let _ = write!(text, "\n|---|---|---|---|{}\n", "---|".repeat(more.len()));
        }
        let exists = if word.exists { "yes" } else { "no" };
        let takes = word.takes.join(", ").replace('|', "\\|");
        let _ = write!(
            text,
            "| `{}` | {exists} | {} | {takes} |",
            word.name, word.says
        );
        for (_, more) in &word.more {
            let _ = write!(text, " {} |", more.replace('|', "\\|"));
        }
        text.push('\n');
    }
    text
}
