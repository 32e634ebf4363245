//! Holds the whole way from evidence to a playbook: what an incident is told as, what that means
//! to the shipped model, which playbook is nearest, and what is decided then.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path};

use hostmedic_embed::Model;
use hostmedic_model::{
    matched::Matched,
    playbook::{Playbook, Remedy},
};
use hostmedic_reason::{
    matching::{catalogue::Catalogue, confidence::ACT_MIN, entry::Entry, library::Library},
    playbook::{
        self,
        trial::{self, Reader, Trial},
        wire::Document,
    },
};

fn shipped() -> Vec<(Playbook, Document)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .collect();
    paths.sort();
    let read = |path: &Path| {
        let checked = playbook::check(path.to_str().unwrap(), &fs::read_to_string(path).unwrap());
        (checked.playbook.unwrap(), checked.document.unwrap())
    };
    paths.iter().map(|path| read(path)).collect()
}

/// The library as the matcher learns it.
fn library_of(playbooks: Vec<Entry>) -> Library {
    let text = include_str!("../../../playbooks/unmatched.jsonl");
    Library {
        playbooks,
        unmatched: playbook::unmatched::parse("unmatched.jsonl", text).unwrap(),
    }
}

/// Goal: a second reader does not stand in the way of what the first has rightly found.
/// Method: every case of every playbook that can act, with the shipped library and model.
#[test]
fn every_case_decides_the_same_with_the_text_matcher() {
    let shipped = shipped();
    let library: Vec<_> = shipped.iter().map(|(known, _)| known.clone()).collect();
    let entries: Vec<_> = library.iter().map(Entry::from).collect();
    let catalogue = Catalogue::build(&library_of(entries), |text| Model::shipped().embed(text));
    let reader = Reader {
        catalogue: &catalogue,
        embed: &|text| Model::shipped().embed_incident(text),
    };
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for (playbook, document) in &shipped {
        for case in &document.tests {
            let (trial, matched) = trial::run_with(case, playbook, &library, Some(reader));
            if let Trial::Pending { .. } = trial {
                continue;
            }
            let name = format!("{}: {}", playbook.name, case.name.value);
            if let Trial::Failed { why } = trial {
                // Where no trigger holds, people are told what is nearest instead of nothing.
                let told =
                    why.contains("`no playbook fits`") && why.contains("nearest by its text");
                // A neighbour's case: the text may have people asked before its playbook acts.
                let asked = !case.expect.matches.value
                    && case.expect.playbook.is_some()
                    && why.contains("expected act, but: propose");
                if !told && !asked {
                    wrong.push(format!("{name}: {why}"));
                }
            }
            if let Some(matched) = matched {
                seen += 1;
                println!("{name}\n  {}", said(&matched));
                // What only hands over to people asks no guard, so its number decides nothing.
                let acts = matches!(playbook.remedy, Remedy::Steps { .. });
                let own = matched
                    .candidates
                    .iter()
                    .find(|near| near.playbook == playbook.name && near.trigger_fired);
                if acts && own.is_some_and(|own| own.confidence < ACT_MIN) {
                    wrong.push(format!("{name}: {}", said(&matched)));
                }
            }
        }
    }
    assert!(seen >= 30, "only {seen} cases were read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn said(matched: &Matched) -> String {
    let near: Vec<_> = matched
        .candidates
        .iter()
        .take(3)
        .map(|near| {
            format!(
                "{} {:.2} (text {:.2}, score {:.2}, not for {:.2}, fired {})",
                near.playbook,
                near.confidence,
                near.matched,
                near.score,
                near.not_for_excess,
                near.trigger_fired
            )
        })
        .collect();
    format!("{}\n  {}", matched.text, near.join("\n  "))
}
