//! From a YAML file to a checked [`Playbook`]: strict, total, and every finding has its place.
//!
//! `load` reads the text into `wire`, `judge` holds it to every rule of the language and makes the
//! engine's form of it, and `registry` is the closed list of words that it is written with.

pub mod case;
pub mod dropin;
pub mod finding;
mod judge;
pub mod listing;
mod load;
mod numbers;
pub mod placed;
pub mod quantity;
pub mod registry;
pub mod scaffold;
pub mod schema;
pub mod tighten;
pub mod trial;
pub mod unmatched;
pub mod wire;

use hostmedic_model::playbook::Playbook;
use sha2::{Digest, Sha256};

pub use self::{
    finding::{Finding, Level, PlaybookError},
    load::FILE_BYTES_MAX,
    numbers::numbers,
};

/// A playbook and everything that was found about it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The engine's form; `None` if there are errors.
    pub playbook: Option<Playbook>,
    /// The file's form; `None` if it could not even be read.
    pub document: Option<wire::Document>,
    /// What was found, by place.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Whether the daemon would read it.
    pub fn is_ok(&self) -> bool {
        let is_error = |finding: &Finding| finding.level == Level::Error;
        !self.findings.iter().any(is_error)
    }
}

/// Reads and checks one playbook, and gives everything that is wrong with it. `file` is its name
/// as errors should show it; the playbook's name must equal the file's, so that a listing and an
/// audit record agree.
pub fn check(file: &str, text: &str) -> Checked {
    let document = match load::load(text) {
        Ok(document) => document,
        Err(finding) => {
            return Checked {
                playbook: None,
                document: None,
                findings: vec![finding],
            };
        }
    };
    let stem = file
        .rsplit('/')
        .next()
        .and_then(|name| name.split('.').next());
    let (playbook, findings) = judge::judge(stem, text, &document);
    let playbook = playbook.map(|playbook| Playbook {
        sha256: hex::encode(Sha256::digest(text.as_bytes())),
        ..playbook
    });
    Checked {
        playbook,
        document: Some(document),
        findings: findings.0,
    }
}

/// Reads and checks one playbook, as the daemon does at its start.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(file: &str, text: &str) -> Result<Playbook, PlaybookError> {
    let checked = check(file, text);
    if let Some(playbook) = checked.playbook {
        return Ok(playbook);
    }
    let error = checked
        .findings
        .iter()
        .find(|finding| finding.level == Level::Error);
    Err(error.map_or_else(
        || PlaybookError {
            file: file.to_owned(),
            line: 0,
            column: 0,
            message: "this is no playbook".to_owned(),
        },
        |finding| PlaybookError::of(file, finding),
    ))
}

#[cfg(test)]
mod tests;
