//! What the matcher learns: playbooks as they are told, and incidents that none of them is for.

use super::entry::Entry;

/// A library.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Library {
    /// The playbooks.
    pub playbooks: Vec<Entry>,
    /// Incidents that none of them is for, as they were told.
    pub unmatched: Vec<String>,
}

impl Library {
    /// All texts whose meanings are needed.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.playbooks.iter().flat_map(Entry::all_texts)
    }
}

impl From<Vec<Entry>> for Library {
    fn from(playbooks: Vec<Entry>) -> Self {
        Self {
            playbooks,
            unmatched: Vec::new(),
        }
    }
}
