//! What is told of one playbook, and what of it is embedded.

use hostmedic_model::playbook::{Describe, Playbook};

use super::confidence::Thresholds;

/// What is told of a playbook. Everything but the name may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is for, in a few sentences.
    pub summary: String,
    /// What people notice, in their words.
    pub symptoms: Vec<String>,
    /// Fixed strings of logs, names of metrics and of signals.
    pub signals: Vec<String>,
    /// What looks alike but is not meant.
    pub not_for: Vec<String>,
    /// How sure the matcher must be of it.
    pub thresholds: Thresholds,
}

impl From<&Playbook> for Entry {
    fn from(playbook: &Playbook) -> Self {
        let Describe {
            summary,
            symptoms,
            signals,
            not_for,
        } = playbook.describe.clone();
        Self {
            name: playbook.name.clone(),
            summary,
            symptoms,
            signals,
            not_for,
            thresholds: Thresholds::of(playbook),
        }
    }
}

impl Entry {
    /// The texts whose meanings stand for it: one for each part that is told.
    pub fn texts(&self) -> Vec<String> {
        let head = format!("{}. {}", self.name, self.summary);
        let parts = [head, self.symptoms.join(". "), self.signals.join(", ")];
        let told = parts.into_iter().filter(|part| !part.trim().is_empty());
        told.collect()
    }

    /// All texts whose meanings are needed: those of [`Self::texts`], and what it is not for.
    pub fn all_texts(&self) -> Vec<String> {
        let mut texts = self.texts();
        texts.extend(self.not_for.iter().cloned());
        texts
    }
}
