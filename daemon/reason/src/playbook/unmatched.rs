//! Incidents that no playbook of a library is for: a file of lines beside the playbooks, from which the
//! matcher learns when to say "none".
//!
//! Each line is an object with the incident's `text`, as the daemon or people told it.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    finding::{Finding, Findings, PlaybookError},
    placed::Place,
};

/// Name of the file.
pub const FILE: &str = "unmatched.jsonl";
/// The longest file that is read.
pub const FILE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How many incidents are read.
const INCIDENTS_MAX: usize = 4096;
/// How short and how long a text may be; the daemon's own have about 600 bytes.
const TEXT_CHARS_MIN: usize = 20;
const TEXT_BYTES_MAX: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    text: String,
}

/// The incidents of a file, and everything that is wrong with it.
pub fn check(text: &str) -> (Vec<String>, Vec<Finding>) {
    let mut findings = Findings::default();
    let mut incidents = Vec::new();
    let mut seen = BTreeSet::new();
    if text.len() > FILE_BYTES_MAX {
        let message = format!(
            "{} bytes are too many; at most {FILE_BYTES_MAX}",
            text.len()
        );
        findings.error("too-long", Place::default(), message);
        return (incidents, findings.0);
    }
    let mut start = 0;
    for (number, line) in (1..).zip(text.split('\n')) {
        let place = Place {
            line: number,
            column: 1,
            start,
            end: start + line.len(),
        };
        start += line.len() + 1;
        if line.trim().is_empty() {
            continue;
        }
        if incidents.len() == INCIDENTS_MAX {
            let message = format!("there are more than {INCIDENTS_MAX} incidents");
            let help = "keep those that differ most: what is told alike teaches nothing new";
            findings.error_help("too-many", place, message, help);
            break;
        }
        let told = match serde_json::from_str::<Line>(line) {
            Ok(Line { text }) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Err(error) => {
                // The column is known better here, the line is not.
                let column = u64::try_from(error.column()).unwrap_or(1).max(1);
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                let help = "write one object a line: {\"text\": \"...\"}";
                let place = Place { column, ..place };
                findings.error_help("syntax", place, message, help);
                continue;
            }
        };
        if told.chars().count() < TEXT_CHARS_MIN {
            let message = format!("`{told}` says too little of an incident");
            findings.error("too-short", place, message);
        } else if told.len() > TEXT_BYTES_MAX {
            let message = format!("{} bytes; at most {TEXT_BYTES_MAX}", told.len());
            findings.error("too-long", place, message);
        } else if seen.insert(told.clone()) {
            incidents.push(told);
        } else {
            findings.error("twice", place, "this incident stands here twice");
        }
    }
    (incidents, findings.0)
}

/// The incidents of a file, as the daemon reads them at its start.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(file: &str, text: &str) -> Result<Vec<String>, PlaybookError> {
    let (incidents, findings) = check(text);
    match findings.first() {
        Some(finding) => Err(PlaybookError::of(file, finding)),
        None => Ok(incidents),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn line(n: usize) -> String {
        format!("{{\"text\": \"printer {n} has no paper any more\"}}\n")
    }

    #[test]
    fn lines_are_read_and_empty_ones_left_out() {
        let text = format!("{}\n  \n{}", line(1), line(2).trim_end());
        let found = parse("x", &text).unwrap();
        assert_eq!(found[1], "printer 2 has no paper any more");
        assert_eq!(found.len(), 2);
        assert_eq!(parse("x", "").unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        let rule = |text: &str| {
            let found = check(text).1;
            let [one] = &found[..] else {
                panic!("{found:?}")
            };
            (one.rule, one.place.line)
        };
        let good = line(1);
        assert_eq!(rule(&format!("{good}{{\"text\": 1}}")), ("syntax", 2));
        assert_eq!(rule(&format!("{good}no json\n{}", line(2))), ("syntax", 2));
        assert_eq!(rule("{\"text\": \"a\", \"label\": null}"), ("syntax", 1));
        assert_eq!(rule("{\"text\": \"short\"}"), ("too-short", 1));
        let long = format!("{good}{{\"text\": \"{}\"}}", "a ".repeat(600));
        assert_eq!(rule(&long), ("too-long", 2));
        assert_eq!(rule(&format!("{good}\n{good}")), ("twice", 3));
        let many: String = (0..=INCIDENTS_MAX).map(line).collect();
        assert_eq!(rule(&many), ("too-many", 4097));
        assert_eq!(rule(&" ".repeat(FILE_BYTES_MAX + 1)), ("too-long", 0));
        let error = parse("u.jsonl", &format!("{good}{{}}")).unwrap_err();
        let told = error.to_string();
        assert!(
            told.starts_with("u.jsonl:2:2: missing field `text`"),
            "{told}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}|(\\{\"text\": ?\"[a-z\\\\ ]{0,40}\"\\}\n){0,5}") {
            let (incidents, findings) = check(&text);
            prop_assert!(incidents.len() + findings.len() <= text.split('\n').count());
            for finding in findings {
                prop_assert!(text.get(finding.place.start..finding.place.end).is_some());
            }
        }
    }
}
