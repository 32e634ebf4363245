//! The whole matcher on a library of three.

use hostmedic_model::vector::DIMENSIONS;

use super::*;

/// A bag of words: each goes to a place of its own, more or less.
fn embed(text: &str) -> Vector {
    let mut values = [0.0; DIMENSIONS];
    let terms = terms::sequence(text).into_iter();
    for term in terms.filter(|term| terms::is_telling(term)) {
        let place = term
            .bytes()
            .fold(7, |sum: usize, byte| sum * 31 + usize::from(byte));
        values[place % DIMENSIONS] += 1.0;
    }
    Vector::direction_of(&values)
}

fn entry(name: &str, summary: &str, signals: &[&str], not_for: &[&str]) -> Entry {
    Entry {
        name: name.to_owned(),
        summary: summary.to_owned(),
        symptoms: Vec::new(),
        signals: signals.iter().map(|text| (*text).to_owned()).collect(),
        not_for: not_for.iter().map(|text| (*text).to_owned()).collect(),
        ..Entry::default()
    }
}

fn library() -> Catalogue {
    let entries = [
        entry(
            "oom",
            "a service was killed because memory ran out",
            &["Out of memory: Killed process"],
            &[],
        ),
        entry(
            "disk",
            "the disk is full and nothing can be written",
            &["No space left on device"],
            &["the journal alone is too large"],
        ),
        entry("clock", "the clock of the host drifts away", &[], &[]),
    ];
    Catalogue::build(&entries.to_vec().into(), embed)
}

fn ask(catalogue: &Catalogue, text: &str, evidence: &dyn Fn(&str) -> Evidence) -> Ranked {
    let vector = embed(text);
    catalogue.rank(&Query {
        evidence,
        ..Query::plain(text, &vector)
    })
}

const NOTHING: fn(&str) -> Evidence = |_| Evidence::default();
const OOM: &str = "kernel: Out of memory: Killed process 12 (java), a service was killed";

#[test]
fn the_right_one_comes_first_with_its_parts() {
    let answer = ask(&library(), OOM, &NOTHING);
    let first = &answer.matches[0];
    assert_eq!(first.playbook, "oom");
    assert_eq!(first.parts.phrases, 1);
    assert!(first.parts.bm25 > 0.0 && first.margin > 0.0);
    assert_eq!(first.score, first.parts.score());
    assert!(answer.matches[1].margin < 0.0);
}

#[test]
fn none_is_an_answer() {
    for text in ["", "the coffee machine of the kitchen", "\u{0}\u{1b}[31m"] {
        assert_eq!(
            ask(&library(), text, &NOTHING).route,
            Route::None,
            "{text:?}"
        );
    }
    let empty = Catalogue::build(&Library::default(), embed);
    let answer = ask(&empty, OOM, &NOTHING);
    assert_eq!((answer.route, answer.matches.len()), (Route::None, 0));
}

#[test]
fn two_equal_ones_are_no_answer() {
    let one = entry(
        "one",
        "a service was killed because memory ran out",
        &["Out of memory: Killed process"],
        &[],
    );
    let two = Entry {
        name: "two".to_owned(),
        ..one.clone()
    };
    let catalogue = Catalogue::build(&vec![one, two].into(), embed);
    let fired = |_: &str| Evidence {
        trigger_fired: true,
        chosen: false,
        patterns: 2,
        recurrences_helped: 9,
    };
    let answer = ask(&catalogue, OOM, &fired);
    assert!(answer.tie);
    assert!(answer.route <= Route::Inform);
}

#[test]
fn evidence_decides_between_neighbours() {
    let fired = |name: &str| Evidence {
        trigger_fired: name == "disk",
        ..Evidence::default()
    };
    let text = "a service can nothing be written memory";
    let plain = ask(&library(), text, &NOTHING);
    let with = ask(&library(), text, &fired);
    assert_eq!(with.matches[0].playbook, "disk");
    let confidence = |ranked: &Ranked| {
        let disk = ranked.matches.iter().find(|found| found.playbook == "disk");
        disk.unwrap().confidence.value
    };
    assert!(confidence(&with) > confidence(&plain));
}

#[test]
fn the_filter_comes_first() {
    let vector = embed(OOM);
    let answer = library().rank(&Query {
        admits: &|name| name != "oom",
        ..Query::plain(OOM, &vector)
    });
    assert!(answer.matches.iter().all(|found| found.playbook != "oom"));
}

#[test]
fn what_it_is_not_for_counts_against_it() {
    let answer = ask(&library(), "the journal alone is too large", &NOTHING);
    let disk = answer.matches.iter().find(|found| found.playbook == "disk");
    assert!(disk.unwrap().parts.not_for() > 0.0);
}

#[test]
fn what_was_learned_helps_and_can_be_taken_back() {
    let mut catalogue = library();
    let text = "checkout vanished at night without a trace";
    let before = ask(&catalogue, text, &NOTHING);
    for incident in ["a", "b"] {
        assert!(catalogue.learn("oom", incident, &embed(text), Verdict::Helped));
    }
    assert!(!catalogue.learn("gone", "a", &embed(text), Verdict::Helped));
    let after = ask(&catalogue, text, &NOTHING);
    assert_eq!(after.matches[0].playbook, "oom");
    assert!(after.matches[0].score > before.matches[0].score + 0.3);
    assert!(after.matches[0].confidence.record_shift > 0.0);
    assert!(catalogue.unlearn("a") && catalogue.unlearn("b") && !catalogue.unlearn("a"));
    assert_eq!(ask(&catalogue, text, &NOTHING), before);
}
