//! From the wire form to the model: every rule of the language, all findings at once, and a list
//! of what the playbook says that the engine cannot see or do yet.

mod cases;
mod checks;
mod limits;
mod slots;
mod steps;
mod trigger;
mod whole;

use std::collections::BTreeMap;

use hostmedic_model::playbook::Playbook;

use super::{
    finding::Findings,
    placed::Place,
    registry::{Entry, find, names, nearest},
    wire::{Document, TargetKind},
};

/// Where a judgement stands.
pub(crate) struct Judge<'a> {
    /// The playbook's text, to tell quoted words from plain ones.
    text: &'a str,
    pub(crate) findings: Findings,
    /// What the engine cannot see or do yet.
    missing: Vec<String>,
    /// What the trigger's bindings name.
    bound: BTreeMap<String, Bound>,
    /// The binding that names the target, and what the target is.
    target: Option<(String, TargetKind)>,
}

/// What a binding names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    /// Its kind; a slot takes only its own.
    kind: TargetKind,
    /// Whether it is the incident's subject, which is all that the engine can resolve.
    subject: bool,
}

/// Judges a document. The playbook is there if there are no errors.
pub(crate) fn judge(
    stem: Option<&str>,
    text: &str,
    document: &Document,
) -> (Option<Playbook>, Findings) {
    let mut judge = Judge {
        text,
        findings: Findings::default(),
        missing: Vec::new(),
        bound: BTreeMap::new(),
        target: None,
    };
    let playbook = judge.whole(stem, document);
    let playbook = playbook.filter(|_| !judge.findings.has_errors());
    judge.findings.0.sort_by_key(|finding| finding.place);
    (playbook, judge.findings)
}

impl Judge<'_> {
    /// Notes something that the engine cannot see or do yet.
    fn miss(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.missing.contains(&what) {
            self.missing.push(what);
        }
    }

    /// The entry of this name, or an error that says what was probably meant.
    fn entry<E: Entry>(
        &mut self,
        what: &str,
        entries: &'static [E],
        name: &str,
        place: Place,
    ) -> Option<&'static E> {
        let entry = find(entries, name);
        if entry.is_none() {
            let help = nearest(names(entries), name).map_or_else(
                || format!("`medic playbook explain` lists every {what}"),
                |meant| format!("did you mean `{meant}`?"),
            );
            let message = format!("there is no {what} `{name}`");
            self.findings
                .error_help("unknown-name", place, message, help);
        }
        entry
    }
}
