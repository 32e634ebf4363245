//! What every playbook says of itself: header, name, words, evidence, controls, and whom it tells.

use std::collections::BTreeSet;

use hostmedic_model::{capture::Wanted, playbook::Describe};

use super::Judge;
use crate::playbook::{
    numbers::numbers,
    placed::Placed,
    registry::{captures, nearest},
    wire::{self, Document},
};

/// The version of the language that this code reads.
const API_VERSION: &str = "v1";
/// How many examples a playbook has at most: six authors' worth, and each is a vector in memory.
const EXAMPLES_MAX: usize = 64;
/// How long one is at most; the daemon's own texts have about 600 bytes.
const EXAMPLE_BYTES_MAX: usize = 1024;
/// Controls of audit catalogues that a run can be evidence for.
pub(crate) const CONTROLS: [&str; 10] = [
    "soc2_cc6.1",
    "soc2_cc7.2",
    "soc2_cc7.3",
    "soc2_cc7.4",
    "hipaa_164.308.a.6",
    "hipaa_164.312.b",
    "pci_dss_requirement_10",
    "pci_dss_requirement_12.10",
    "iso27001_a.5.26",
    "iso27001_a.8.15",
];

impl Judge<'_> {
    pub(super) fn header(&mut self, document: &Document) {
        match &document.api_version {
            Some(version) if version.value == API_VERSION => {}
            Some(version) => self.findings.error(
                "version",
                version.place,
                format!(
                    "`apiVersion: {}` is unknown; this is {API_VERSION}",
                    version.value
                ),
            ),
            None => self.absent(document, "apiVersion"),
        }
        match &document.kind {
            Some(kind) if kind.value == "Playbook" => {}
            Some(kind) => self.findings.error_help(
                "kind",
                kind.place,
                format!("there is no kind `{}`", kind.value),
                "write `kind: Playbook`",
            ),
            None => self.absent(document, "kind"),
        }
    }

    pub(super) fn name(&mut self, stem: Option<&str>, document: &Document) -> Option<String> {
        let name = match (&document.name, &document.metadata) {
            (Some(name), None) => name,
            (None, Some(metadata)) => &metadata.value.name,
            (Some(name), Some(_)) => {
                self.findings.error_help(
                    "name",
                    name.place,
                    "the name stands here and in `metadata`",
                    "remove this one",
                );
                return None;
            }
            (None, None) => {
                self.absent(document, "metadata");
                return None;
            }
        };
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(legal) {
            let message = format!(
                "`{}` is no name of a playbook: a-z 0-9 - _, at most 64",
                name.value
            );
            self.findings.error("name", name.place, message);
        } else if let Some(stem) = stem
            && stem != name.value
        {
            self.findings.error(
                "name",
                name.place,
                format!(
                    "name `{}` must equal the file's name without .yaml",
                    name.value
                ),
            );
        }
        Some(name.value.clone())
    }

    pub(super) fn metadata(&mut self, metadata: &Placed<wire::Metadata>) {
        if metadata.version.value == 0 {
            self.findings
                .error("range", metadata.version.place, "versions count from 1");
        }
        if metadata.owner.trim().is_empty() {
            self.findings.error(
                "empty",
                metadata.owner.place,
                "`owner` is empty: nobody would answer for it",
            );
        }
    }

    pub(super) fn describe(&mut self, document: &Document) -> Describe {
        let describe = &document.describe;
        self.sentence("summary", &describe.summary, 20);
        self.examples(&document.examples);
        let texts = |list: &[Placed<String>]| -> Vec<String> {
            list.iter().map(|text| squeeze(&text.value)).collect()
        };
        Describe {
            summary: squeeze(&describe.summary),
            symptoms: texts(&describe.symptoms),
            signals: texts(&describe.signals),
            not_for: texts(&describe.not_for),
            examples: texts(&document.examples),
            numbers: document
                .trigger
                .as_ref()
                .map_or_else(Vec::new, |trigger| numbers(&trigger.value)),
        }
    }

    fn examples(&mut self, examples: &[Placed<String>]) {
        if let Some(many) = examples.get(EXAMPLES_MAX) {
            let message = format!("there are more than {EXAMPLES_MAX} examples");
            let help = "keep those that differ most: what is told alike teaches nothing new";
            self.findings
                .error_help("too-many", many.place, message, help);
        }
        let mut seen = BTreeSet::new();
        for example in examples {
            self.sentence("examples", example, 20);
            if example.len() > EXAMPLE_BYTES_MAX {
                let message = format!(
                    "an example of {} bytes; at most {EXAMPLE_BYTES_MAX}",
                    example.len()
                );
                let help = "the model reads about 100 words: tell the most telling first";
                self.findings
                    .error_help("too-long", example.place, message, help);
            }
            if !seen.insert(squeeze(&example.value)) {
                self.findings
                    .error("twice", example.place, "this example stands here twice");
            }
        }
    }

    /// Text that must say something.
    pub(super) fn sentence(&mut self, key: &str, text: &Placed<String>, chars_min: usize) {
        if text.trim().chars().count() < chars_min {
            self.findings.error(
                "too-short",
                text.place,
                format!("`{key}` must say it in a sentence"),
            );
        }
    }

    pub(super) fn escalate(&mut self, escalate: &Placed<wire::Escalate>, must_say: bool) -> String {
        if let Some(after) = &escalate.after_failures
            && after.value != 1
        {
            self.miss("escalate `after_failures` other than 1");
        }
        if escalate.to.value.is_empty() {
            self.findings.error(
                "empty",
                escalate.to.place,
                "`to` is empty: nobody would hear of it",
            );
        }
        for to in &escalate.to.value {
            match to.value.split_once(':') {
                Some(("notify", "oncall")) => {}
                Some(("notify", channel)) if !channel.is_empty() => {
                    self.miss(format!("notify channel {channel}"));
                }
                None => self.miss(format!("escalating to playbook {}", to.value)),
                Some(_) => self.findings.error_help(
                    "unknown-word",
                    to.place,
                    format!("`{}` is nobody", to.value),
                    "it can be: notify:oncall, notify:<channel>, or a playbook's name",
                ),
            }
        }
        match &escalate.reason {
            Some(reason) => {
                self.sentence("reason", reason, 10);
                squeeze(&reason.value)
            }
            None if must_say => {
                self.findings.error_help(
                    "missing-key",
                    escalate.place,
                    "without steps, people must be told why",
                    "`reason: what was seen and where to look`",
                );
                String::new()
            }
            None => String::new(),
        }
    }

    /// What is to be captured; what cannot be yet is noted as missing.
    pub(super) fn captures(&mut self, document: &Document) -> Vec<Wanted> {
        let Some(list) = &document.capture else {
            return Vec::new();
        };
        let mut wanted = Vec::new();
        if list.value.is_empty() {
            self.findings.error(
                "empty",
                list.place,
                "`capture` is empty: evidence would be lost",
            );
        }
        for capture in &list.value {
            let (name, count) = match capture.value.split_once('(') {
                None => (capture.value.as_str(), None),
                Some((name, rest)) => match rest.strip_suffix(')').map(str::parse::<u32>) {
                    Some(Ok(count)) => (name, Some(count)),
                    _ => {
                        self.findings.error_help(
                            "capture",
                            capture.place,
                            format!("`{}` is no capture", capture.value),
                            "such as unit.snapshot or journal.tail(30)",
                        );
                        continue;
                    }
                },
            };
            let Some(entry) = self.entry("capture", captures::ALL, name, capture.place) else {
                continue;
            };
            match (count, entry.counts) {
                (Some(_), None) => {
                    let message = format!("{} counts nothing", entry.name);
                    self.findings.error("capture", capture.place, message);
                }
                (Some(count), Some((what, most))) if count == 0 || count > most => {
                    let message = format!("{} takes 1 to {most} {what}", entry.name);
                    self.findings.error("range", capture.place, message);
                }
                _ => match entry.kind {
                    Some(kind) => wanted.push(Wanted::new(kind, count)),
                    None => self.miss(format!("capture {}", capture.value)),
                },
            }
        }
        wanted
    }

    pub(super) fn controls(&mut self, document: &Document) {
        for control in &document.compliance {
            if !CONTROLS.contains(&control.value.as_str()) {
                let help = nearest(CONTROLS, control).map_or_else(
                    || format!("it can be: {}", CONTROLS.join(", ")),
                    |meant| format!("did you mean `{meant}`?"),
                );
                let message = format!("there is no control `{}`", control.value);
                self.findings
                    .error_help("unknown-word", control.place, message, help);
            }
        }
    }
}

/// Text on one line.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
