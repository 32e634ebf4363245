//! The labelled set: playbooks as told, and texts with the playbook that is right for each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use hostmedic_reason::{
    matching::{entry::Entry, library::Library},
    playbook::{self, unmatched},
};
use serde::{Deserialize, de::DeserializeOwned};

/// How many people's examples the shipped playbooks have.
const EXAMPLE_AUTHORS: usize = 6;

/// A labelled set.
pub(super) struct Data {
    pub(super) folder: PathBuf,
    pub(super) playbooks: Vec<Playbook>,
    pub(super) incidents: Vec<Incident>,
}

/// A playbook of the set.
#[derive(Clone, Deserialize)]
pub(super) struct Playbook {
    pub(super) label: String,
    name: String,
    text: String,
    #[serde(default)]
    symptoms: String,
    #[serde(default)]
    signals: String,
}

/// A text, and which playbook is right for it.
#[derive(Clone, Deserialize)]
pub(super) struct Incident {
    pub(super) text: String,
    /// Its name; absent where none is right.
    pub(super) label: Option<String>,
    pub(super) kind: String,
}

/// How much of a playbook the matcher is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    /// Name and summary.
    Summary,
    /// And the fixed strings.
    Signals,
    /// And the symptoms.
    All,
    /// The shipped playbooks, as they are.
    #[default]
    Shipped,
}

impl Shown {
    /// The ways to show the labelled set's playbooks.
    pub(super) const OF_SET: [Self; 3] = [Self::Summary, Self::Signals, Self::All];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Signals => "summary, signals",
            Self::All => "summary, signals, symptoms",
            Self::Shipped => "shipped",
        }
    }
}

impl Data {
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let data = Self {
            folder: folder.to_owned(),
            playbooks: lines(&folder.join("playbooks.jsonl"))?,
            incidents: lines(&folder.join("incidents.jsonl"))?,
        };
        let known = |label: &str| data.playbooks.iter().any(|known| known.label == label);
        check(&data.incidents, known, "incidents.jsonl")?;
        Ok(data)
    }

    /// The library as the matcher is shown it; a playbook's label is its name there.
    pub(super) fn library(&self, shown: Shown) -> Library {
        let playbooks = self.playbooks.iter();
        let entries: Vec<_> = playbooks.map(|playbook| playbook.entry(shown)).collect();
        entries.into()
    }
}

impl Playbook {
    fn entry(&self, shown: Shown) -> Entry {
        let Self {
            label,
            name,
            text,
            symptoms,
            signals,
        } = self;
        let split = |told: &str| {
            let parts = told.split(',').map(str::trim);
            parts
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect()
        };
        Entry {
            name: label.clone(),
            summary: format!("{name}. {text}"),
            symptoms: if shown >= Shown::All {
                vec![symptoms.clone()]
            } else {
                Vec::new()
            },
            signals: if shown >= Shown::Signals {
                split(signals)
            } else {
                Vec::new()
            },
            ..Entry::default()
        }
    }
}

/// The shipped library, and the incidents of a file with the playbook that is right for each.
pub(super) fn shipped(playbooks: &Path, incidents: &Path) -> Result<(Library, Vec<Incident>)> {
    let mut library = Library::default();
    let files = fs::read_dir(playbooks).with_context(|| playbooks.display().to_string())?;
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|kind| kind == "yaml") {
            let text = fs::read_to_string(&path)?;
            let playbook = playbook::parse(&path.display().to_string(), &text)?;
            library.playbooks.push(Entry::from(&playbook));
        }
    }
    library.playbooks.sort_by(|a, b| a.name.cmp(&b.name));
    let file = playbooks.join(unmatched::FILE);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    library.unmatched = unmatched::parse(&file.display().to_string(), &text)?;
    let asked: Vec<Incident> = lines(incidents)?;
    let known = |label: &str| library.playbooks.iter().any(|known| known.name == label);
    check(&asked, known, &incidents.display().to_string())?;
    Ok((library, asked))
}

/// The library without a part of its examples and of what none is for, and that part as texts to ask it: for
/// each author of the examples once, who wrote as many of each playbook's, one after another. So did as many
/// others of what none is for.
pub(super) fn without_an_author(library: &Library) -> Vec<(Library, Vec<Incident>)> {
    let part = |author: usize, examples: usize| {
        let at = |author: usize| examples * author / EXAMPLE_AUTHORS;
        at(author)..at(author + 1)
    };
    (0..EXAMPLE_AUTHORS)
        .map(|author| {
            let mut rest = library.clone();
            let part_of_none = part(author, rest.unmatched.len());
            let mut asked: Vec<_> = rest
                .unmatched
                .drain(part_of_none)
                .map(|text| Incident {
                    text,
                    label: None,
                    kind: "unmatched".to_owned(),
                })
                .collect();
            for entry in &mut rest.playbooks {
                let part = part(author, entry.examples.len());
                asked.extend(entry.examples.drain(part).map(|text| Incident {
                    text,
                    label: Some(entry.name.clone()),
                    kind: "example".to_owned(),
                }));
            }
            (rest, asked)
        })
        .collect()
}

/// Every label is one of a playbook.
fn check(incidents: &[Incident], known: impl Fn(&str) -> bool, file: &str) -> Result<()> {
    let labels = incidents.iter().filter_map(|of| of.label.as_deref());
    for label in labels {
        ensure!(known(label), "{file}: there is no playbook `{label}`");
    }
    Ok(())
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = (1..).zip(text.lines());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{number}", path.display()))
        })
        .collect()
}
