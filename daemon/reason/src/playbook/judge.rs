//! From the wire form to the model: every rule of the language, all findings at once, and a list
//! of what the playbook says that the engine cannot see or do yet.

mod cases;
mod checks;
mod filter;
mod group;
mod limits;
mod slots;
mod steps;
mod trigger;
mod ways;
mod whole;
mod words;

use std::collections::BTreeMap;

use hostmedic_model::playbook::{Condition, Playbook, PreCheck};

use super::{
    dropin::DropIn,
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

/// Whether the engine can ask this check, with the values that it takes at its simplest.
pub(crate) use checks::can_check;
/// What `where` asks of a signal.
pub(crate) use filter::filter;

/// Judges a document. The playbook is there if there are no errors.
pub(crate) fn judge(
    stem: Option<&str>,
    text: &str,
    document: &Document,
) -> (Option<Playbook>, Findings) {
    let mut judge = Judge::new(text);
    let playbook = judge.whole(stem, document);
    let playbook = playbook.filter(|_| !judge.findings.has_errors());
    judge.findings.0.sort_by_key(|finding| finding.place);
    (playbook, judge.findings)
}

/// What a drop-in adds: conditions of `none`, pre-checks, what is missing, and what is wrong.
pub(crate) fn judge_dropin(
    text: &str,
    dropin: &DropIn,
) -> (Vec<Condition>, Vec<PreCheck>, Vec<String>, Findings) {
    let mut judge = Judge::new(text);
    let none = dropin.trigger.iter().flat_map(|trigger| &trigger.none);
    let none: Vec<_> = none
        .flat_map(|condition| judge.exception(condition))
        .collect();
    let checks = dropin.pre_execution_checks.as_ref();
    let checks = checks.map_or_else(Vec::new, |checks| judge.pre_checks(checks));
    (none, checks, judge.missing, judge.findings)
}

impl<'a> Judge<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            findings: Findings::default(),
            missing: Vec::new(),
            bound: BTreeMap::new(),
            target: None,
        }
    }
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
