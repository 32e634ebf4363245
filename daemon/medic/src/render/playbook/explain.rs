//! `medic playbook explain`: a word of the language, all of them, or a playbook step by step.

use hostmedic_model::playbook::Playbook;
use hostmedic_reason::playbook::{listing::Word, wire::Document};
use serde::Serialize;

use super::show;
use crate::render::text::{Style, Table, Tone, clean};

/// A step of a playbook beside the word that it uses.
#[derive(Debug, Serialize)]
pub(crate) struct Step<'a> {
    id: &'a str,
    word: &'a Word,
}

/// Every word, one a line.
pub(crate) fn all(words: &[Word], style: Style) -> String {
    let mut table = Table::with_head(&["KIND", "NAME", "TODAY", "MEANS"]);
    for word in words {
        let (today, tone) = today(word);
        table.row([
            (word.kind.to_owned(), Some(Tone::Dim)),
            (word.name.to_owned(), None),
            (today.to_owned(), Some(tone)),
            (word.says.to_owned(), None),
        ]);
    }
    table.render(style)
}

fn today(word: &Word) -> (&'static str, Tone) {
    if word.exists {
        ("yes", Tone::Good)
    } else {
        ("not yet", Tone::Warn)
    }
}

/// Words in full.
pub(crate) fn words(words: &[&Word], style: Style) -> String {
    let pages: Vec<_> = words.iter().map(|word| one(word, style)).collect();
    pages.join("\n")
}

fn one(word: &Word, style: Style) -> String {
    let (today, tone) = today(word);
    let head = format!("{} {}", word.kind, word.name);
    let mut table = Table::indented(2);
    let mut line = |name: &str, text: String| {
        table.row([(name.to_owned(), Some(Tone::Dim)), (text, None)]);
    };
    line("means", word.says.to_owned());
    for takes in &word.takes {
        line("takes", takes.clone());
    }
    for (name, text) in &word.more {
        line(name, text.clone());
    }
    format!(
        "{}  {}\n{}",
        style.paint(Tone::Head, &head),
        style.paint(tone, today),
        table.render(style)
    )
}

/// The steps of a playbook and the words that they use.
pub(crate) fn steps<'a>(document: Option<&'a Document>, words: &'a [Word]) -> Vec<Step<'a>> {
    let steps = document.and_then(|document| document.steps.as_ref());
    let steps = steps.into_iter().flat_map(|steps| &steps.value);
    steps
        .filter_map(|step| {
            let uses = step.uses.value.as_str();
            let word = words
                .iter()
                .find(|word| word.kind == "step" && word.name == uses)?;
            Some(Step {
                id: &step.id.value,
                word,
            })
        })
        .collect()
}

/// A playbook, and each of its steps in full.
pub(crate) fn playbook(playbook: &Playbook, steps: &[Step<'_>], style: Style) -> String {
    let mut page = show::show(playbook, None, style);
    for step in steps {
        page += &format!("\nstep `{}`: {}", clean(step.id), one(step.word, style));
    }
    page
}
