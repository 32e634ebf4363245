//! What is wrong with a playbook, and where.

use std::fmt;

use serde::Serialize;

use super::placed::Place;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The daemon does not read the playbook.
    Error,
    /// The daemon reads it; the shipped library has none of these.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The rule, in a word that can be searched for.
    pub rule: &'static str,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do, or what was probably meant.
    pub help: Option<String>,
}

/// Findings as they are made.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn error(&mut self, rule: &'static str, place: Place, message: impl Into<String>) {
        self.push(Level::Error, rule, place, message.into(), None);
    }

    pub(crate) fn error_help(
        &mut self,
        rule: &'static str,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Level::Error, rule, place, message.into(), Some(help.into()));
    }

    pub(crate) fn warning(
        &mut self,
        rule: &'static str,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(
            Level::Warning,
            rule,
            place,
            message.into(),
            Some(help.into()),
        );
    }

    fn push(
        &mut self,
        level: Level,
        rule: &'static str,
        place: Place,
        message: String,
        help: Option<String>,
    ) {
        self.0.push(Finding {
            level,
            rule,
            place,
            message,
            help,
        });
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.level == Level::Error)
    }
}

/// Why a file is no playbook, and where: its first error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PlaybookError {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for PlaybookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

impl PlaybookError {
    pub(crate) fn of(file: &str, finding: &Finding) -> Self {
        let help = finding.help.as_ref();
        Self {
            file: file.to_owned(),
            line: finding.place.line,
            column: finding.place.column,
            message: help.map_or_else(
                || finding.message.clone(),
                |help| format!("{}; {help}", finding.message),
            ),
        }
    }
}
