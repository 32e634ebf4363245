//! A language model's second opinion on a ranking: what it is asked, and what is kept of what it said.

use serde::{Deserialize, Serialize};

/// Everything a language model is asked. The adapter adds nothing to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// SHA-256 of the parts below, hex. The answer comes back under this name.
    pub sha256: String,
    /// The rules: the `system` message.
    pub system: String,
    /// The candidates, and what is told of the incident as quoted data: the `user` message.
    pub user: String,
    /// JSON Schema of the answer, as JSON.
    pub schema: String,
}

/// One question, and what came of it; or that it was not put.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// The model that was asked, as the configuration names it.
    pub model: String,
    /// SHA-256 of the question, hex; empty where none was put.
    pub question: String,
    /// What it said; `None` where it gave no answer that could be used.
    pub said: Option<Said>,
    /// Why there is no answer; then nothing has changed.
    pub problem: Option<String>,
    /// Which confidences went down for what it said.
    pub lowered: Vec<Lowered>,
}

impl Advice {
    /// Whether the question was put at all.
    pub fn was_asked(&self) -> bool {
        !self.question.is_empty()
    }
}

/// An answer that was checked: a guess, never a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The candidate that it finds right; `None` for none of them.
    pub playbook: Option<String>,
    /// How sure it says it is of that, 0 to 1.
    pub confidence: f64,
    /// What it guesses has happened; at most 400 characters on one line.
    pub hypothesis: String,
}

/// A confidence that went down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lowered {
    /// Of which playbook.
    pub playbook: String,
    /// What the text matcher said.
    pub from: f64,
    /// What holds now.
    pub to: f64,
}
