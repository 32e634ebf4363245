//! `medic playbook match`: which playbooks fit a text, by the matcher that the daemon uses, without a
//! daemon.
//!
//! Of a file only the name, `describe` and `examples` are read, so a playbook that is wrong or not finished
//! elsewhere is found, too; `lint` says what is wrong with it.

use std::{
    fmt::Write as _,
    fs,
    io::{self, BufRead},
    path::Path,
};

use hostmedic_embed::Model;
use hostmedic_model::{record::Body, view::IncidentDetail};
use hostmedic_reason::{
    matching::{
        catalogue::{Candidate, Catalogue, Query, Ranked},
        confidence::{Route, Thresholds},
        entry::Entry,
        library::Library,
    },
    playbook::{numbers, unmatched, wire::Trigger},
};
use serde::{Deserialize, Serialize};

use super::{
    files::{collect, unmatched_in},
    vectors,
};
use crate::{
    cli::playbook::Match,
    client::{self, Client},
    exit::{Exit, Failed},
    out::Out,
    render::text::{Style, Tone, clean},
};

/// Longest line of `--jsonl`, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Longest file that is read for its description, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Answers one text, or each line of standard input.
pub(super) async fn run(client: &Client, out: &Out, wanted: &Match) -> Result<Exit, Failed> {
    let of_incident = match &wanted.incident {
        Some(id) => Some(words_of(client, id).await?),
        None => None,
    };
    let library = library(&wanted.library.dir)?;
    let catalogue = vectors::catalogue(&library);
    if wanted.jsonl {
        return in_bulk(out, &catalogue, io::stdin().lock());
    }
    let text = of_incident.as_deref().or(wanted.text.as_deref());
    let text = text.unwrap_or_default();
    if text.trim().is_empty() {
        return Err(Failed::new(
            Exit::Usage,
            "usage",
            "there is no text to match",
            "medic playbook match \"the web server was killed for memory\"",
        ));
    }
    let ranked = rank(&catalogue, text);
    let answer = Answer::of(None, &ranked);
    out.answer(&answer, |style| shown(&ranked, &library.playbooks, style))?;
    Ok(match ranked.route {
        Route::None => Exit::Finding,
        _ => Exit::Ok,
    })
}

/// The newest text in which the daemon compared an incident with its library.
async fn words_of(client: &Client, id: &str) -> Result<String, Failed> {
    let answer = client.get(&client::path("/v1/incidents/", id, "")).await?;
    let detail: IncidentDetail = client::read(answer)?;
    let words = detail
        .timeline
        .into_iter()
        .rev()
        .find_map(|record| match record.body {
            Body::Matched(matched) => Some(matched.text),
            _ => None,
        });
    words.ok_or_else(|| {
        Failed::new(
            Exit::NotFound,
            "not_found",
            format!("incident {id} was not compared with the library"),
            "`medic why` says why",
        )
    })
}

fn rank(catalogue: &Catalogue, text: &str) -> Ranked {
    let vector = Model::shipped().embed_incident(text);
    catalogue.rank(&Query::plain(text, &vector))
}

/// One line of `--jsonl`.
#[derive(Deserialize)]
struct Asked {
    id: serde_json::Value,
    text: String,
}

/// One answer.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<serde_json::Value>,
    matches: Vec<Matched<'a>>,
    route: String,
}

#[derive(Serialize)]
struct Matched<'a> {
    playbook: &'a str,
    score: f32,
    confidence: f64,
}

impl<'a> Answer<'a> {
    fn of(id: Option<serde_json::Value>, ranked: &'a Ranked) -> Self {
        let matched = |candidate: &'a Candidate| Matched {
            playbook: &candidate.playbook,
            score: candidate.score,
            confidence: candidate.confidence.value,
        };
        Self {
            id,
            matches: ranked.matches.iter().map(matched).collect(),
            route: ranked.route.to_string(),
        }
    }
}

fn in_bulk(out: &Out, catalogue: &Catalogue, input: impl BufRead) -> Result<Exit, Failed> {
    for (number, line) in (1_usize..).zip(input.lines()) {
        let bad = |what: String| {
            let place = format!("standard input, line {number}: {what}");
            let hint = "write one object a line: {\"id\": ..., \"text\": \"...\"}";
            Failed::new(Exit::Usage, "bad_input", place, hint)
        };
        let line = line.map_err(|error| bad(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(bad(format!("it is longer than {LINE_BYTES_MAX} bytes")));
        }
        let asked: Asked = serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
        let ranked = rank(catalogue, &asked.text);
        out.line(&Answer::of(Some(asked.id), &ranked))?;
    }
    Ok(Exit::Ok)
}

/// What is read of a file; its other keys are for others.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    describe: Option<Described>,
    #[serde(default)]
    examples: Words,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Described {
    Text(String),
    Parts(Parts),
}

#[derive(Default, Deserialize)]
struct Parts {
    #[serde(default)]
    summary: String,
    #[serde(default)]
    symptoms: Words,
    #[serde(default)]
    signals: Words,
    #[serde(default)]
    not_for: Words,
}

/// A file with a trigger as our language has it.
#[derive(Deserialize)]
struct Triggered {
    trigger: Trigger,
}

/// One text or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        match words {
            Words::One(text) => vec![text],
            Words::Several(texts) => texts,
        }
    }
}

fn library(dir: &Path) -> Result<Library, Failed> {
    let files = collect(&[dir.to_owned()])?;
    let playbooks: Result<_, _> = files.iter().map(|file| entry(file)).collect();
    let unmatched = match unmatched_in(dir)? {
        Some(file) => unmatched::parse(&file.name, &file.text).map_err(|error| {
            let hint = "`medic playbook lint` shows where";
            Failed::new(Exit::Finding, "bad_playbook", error.to_string(), hint)
        })?,
        None => Vec::new(),
    };
    Ok(Library {
        playbooks: playbooks?,
        unmatched,
    })
}

fn entry(file: &Path) -> Result<Entry, Failed> {
    let bad = |what: String| {
        let hint = "`medic playbook lint` shows where";
        let message = format!("{}: {what}", file.display());
        Failed::new(Exit::Finding, "bad_playbook", message, hint)
    };
    let length = fs::metadata(file).map_err(|error| bad(error.to_string()))?;
    if length.len() > FILE_BYTES_MAX {
        return Err(bad(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    let head: Head = serde_saphyr::from_str(&text).map_err(|error| bad(error.to_string()))?;
    // Of other kinds of playbooks a trigger may look otherwise, and says nothing here.
    let triggered: Option<Triggered> = serde_saphyr::from_str(&text).ok();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = head.metadata.and_then(|metadata| metadata.name);
    let title = head.name.unwrap_or_default();
    let parts = match head.describe {
        Some(Described::Text(summary)) => Parts {
            summary,
            ..Parts::default()
        },
        Some(Described::Parts(parts)) => parts,
        None => Parts::default(),
    };
    Ok(Entry {
        // A title in words is part of what it is found by; a playbook's name is its file's.
        name: name.unwrap_or_else(|| stem.into_owned()),
        summary: [title, parts.summary].join(" ").trim().to_owned(),
        symptoms: parts.symptoms.into(),
        signals: parts.signals.into(),
        not_for: parts.not_for.into(),
        examples: head.examples.into(),
        numbers: triggered.map_or_else(Vec::new, |file| numbers(&file.trigger)),
        // Only what the file describes is read.
        thresholds: Thresholds::default(),
    })
}

fn shown(ranked: &Ranked, entries: &[Entry], style: Style) -> String {
    let mut text = String::new();
    for candidate in &ranked.matches {
        let summary = entries
            .iter()
            .find(|entry| entry.name == candidate.playbook);
        let summary = summary.map_or("", |entry| entry.summary.as_str());
        let percent = format!("{:>3.0} %", candidate.confidence.value * 100.0);
        let parts = &candidate.parts;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}  {}  {}",
            style.paint(Tone::Head, &percent),
            clean(&candidate.playbook),
            clean(first_sentence(summary)),
        );
        let _ = writeln!(
            text,
            "       score {:.2}: meaning {:.2}, words {:.2}, fixed strings {:.2}, examples {:+.2}, familiar {:+.2}, numbers {:+.2}, not meant -{:.2}",
            candidate.score,
            parts.nearness.mean(),
            parts.lexical(),
            parts.evidence(),
            parts.wording,
            parts.familiar,
            parts.numbers(),
            parts.not_for(),
        );
    }
    let route = match ranked.route {
        Route::Act => "the first may act, if every guard agrees",
        Route::Propose => "the first is proposed to an operator",
        Route::Inform if ranked.tie => "two fit equally well: people are told of both",
        Route::Inform => "people are told which might fit",
        Route::None => "no playbook fits",
    };
    let _ = writeln!(text, "{route}");
    text
}

fn first_sentence(text: &str) -> &str {
    text.split_inclusive(". ").next().unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn library(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn name_and_description_are_enough_in_every_form() {
        let dir = library(&[
            ("one.yaml", "name: One\ndescribe: Memory ran out.\n"),
            (
                "two.yaml",
                "metadata: { name: two }\ndescribe:\n  summary: A disk fails.\n  symptoms: slow\n  signals: [I/O error]\n",
            ),
        ]);
        let library = super::library(dir.path()).unwrap();
        let names: Vec<_> = library
            .playbooks
            .iter()
            .map(|entry| entry.name.as_str())
            .collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(library.playbooks[0].summary, "One Memory ran out.");
        assert_eq!(library.playbooks[1].symptoms, ["slow"]);
        assert_eq!(library.playbooks[1].signals, ["I/O error"]);
    }

    #[test]
    fn what_is_asked_in_bulk_is_found() {
        let dir = library(&[
            (
                "oom.yaml",
                "name: oom\ndescribe: { summary: The kernel killed a service because memory ran out. }\n",
            ),
            (
                "disk.yaml",
                "name: disk\ndescribe: { summary: A disk reports read errors and may fail soon. }\n",
            ),
        ]);
        let library = super::library(dir.path()).unwrap();
        let catalogue = Catalogue::build(&library, |text| Model::shipped().embed(text));
        let first = |text: &str| rank(&catalogue, text).matches[0].playbook.clone();
        assert_eq!(first("out of memory, the process was killed"), "oom");
        assert_eq!(first("blk_update_request: I/O error, dev sda"), "disk");
    }

    #[test]
    fn a_bad_line_is_told_with_its_number() {
        let catalogue = Catalogue::build(&Library::default(), |text| Model::shipped().embed(text));
        let bad = in_bulk(&Out::new(true), &catalogue, &b"\n{\"id\": 1}\n"[..]);
        let said = bad.unwrap_err().to_string();
        assert!(said.contains("line 2") && said.contains("text"), "{said}");
    }
}
