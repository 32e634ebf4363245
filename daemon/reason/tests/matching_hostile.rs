//! Hostile texts and playbooks: the matcher answers, finitely and soon, and never panics.

use hostmedic_model::vector::{DIMENSIONS, Vector};
use hostmedic_reason::matching::{
    catalogue::{Catalogue, MATCHES_MAX, Query},
    confidence::Route,
    entry::Entry,
    library::Library,
};
use proptest::prelude::*;

/// Any direction by the bytes of a text; what a model would make of it does not matter here.
fn embed(text: &str) -> Vector {
    let mut values = [0.0; DIMENSIONS];
    for (at, byte) in text.bytes().enumerate() {
        values[at % DIMENSIONS] += f32::from(byte) - 96.0;
    }
    Vector::direction_of(&values)
}

fn told() -> impl Strategy<Value = Entry> {
    let text = || "\\PC{0,60}|[\\x00-\\u{10FFFF}]{0,60}|[a-z_ ]{0,60}";
    let texts = || prop::collection::vec(text(), 0..4);
    // With five they have a say.
    let examples = prop::collection::vec(text(), 0..8);
    (text(), text(), texts(), texts(), texts(), examples).prop_map(
        |(name, summary, symptoms, signals, not_for, examples)| Entry {
            name,
            summary,
            symptoms,
            signals,
            not_for,
            examples,
            ..Entry::default()
        },
    )
}

proptest! {
    #[test]
    fn any_text_and_any_library_have_an_answer(
        entries in prop::collection::vec(told(), 0..12),
        unmatched in prop::collection::vec("\\PC{0,40}|[a-c ]{0,20}", 0..40),
        text in "\\PC{0,300}|[\\x00-\\u{10FFFF}]{0,300}|[a-zA-Z0-9_ ]{0,300}",
    ) {
        let catalogue = Catalogue::build(&Library {
            playbooks: entries.clone(),
            unmatched,
        }, embed);
        let vector = embed(&text);
        let query = Query::plain(&text, &vector);
        let ranked = catalogue.rank(&query);
        prop_assert_eq!(&ranked, &catalogue.rank(&query));
        prop_assert_eq!(ranked.matches.len(), entries.len().min(MATCHES_MAX));
        prop_assert!(ranked.matches.is_sorted_by(|a, b| a.score >= b.score));
        for found in &ranked.matches {
            prop_assert!(found.score.is_finite());
            prop_assert!((0.0..=1.0).contains(&found.confidence.value));
        }
        if entries.is_empty() {
            prop_assert_eq!(ranked.route, Route::None);
        }
    }
}

/// Goal: an attacker who fills a log cannot make the matcher slow.
#[test]
fn huge_texts_end_soon() {
    let entry = Entry {
        name: "disk".to_owned(),
        summary: "the disk is full".to_owned(),
        signals: vec!["a a a a a a a b".to_owned(); 50],
        ..Entry::default()
    };
    let catalogue = Catalogue::build(&vec![entry; 500].into(), embed);
    for part in ["a ", "A", "aB", "_", "\u{0}", "disk full ", "é"] {
        let text = part.repeat(1 << 20);
        let vector = embed("x");
        catalogue.rank(&Query::plain(&text, &vector));
    }
}
