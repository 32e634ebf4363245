//! The labelled set: playbooks as told, and texts with the playbook that is right for each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use hostmedic_reason::matching::entry::Entry;
use serde::{Deserialize, de::DeserializeOwned};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    /// Name and summary.
    Summary,
    /// And the fixed strings.
    Signals,
    /// And the symptoms.
    All,
}

impl Shown {
    pub(super) const ALL: [Self; 3] = [Self::Summary, Self::Signals, Self::All];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Signals => "summary, signals",
            Self::All => "summary, signals, symptoms",
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
        for label in data
            .incidents
            .iter()
            .filter_map(|incident| incident.label.as_ref())
        {
            ensure!(
                data.playbooks.iter().any(|known| known.label == *label),
                "incidents.jsonl: there is no playbook `{label}`",
            );
        }
        Ok(data)
    }

    /// The library as the matcher is shown it; a playbook's label is its name there.
    pub(super) fn entries(&self, shown: Shown) -> Vec<Entry> {
        let playbooks = self.playbooks.iter();
        playbooks.map(|playbook| playbook.entry(shown)).collect()
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

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = (1..).zip(text.lines());
    lines
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{number}", path.display()))
        })
        .collect()
}
