//! Holds the engine to what the original makes of the same texts.
//!
//! `tokens.jsonl` was written by Hugging Face's `BertWordPieceTokenizer` over the shipped
//! vocabulary, `vectors.jsonl` by a numpy run of the original weights in 32-bit numbers.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use hostmedic_embed::{Kernel, Model, SHIPPED_SHA256, clean};
use hostmedic_model::vector::{DIMENSIONS, Vector};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Tokens {
    text: String,
    tokens: Vec<String>,
}

#[derive(Deserialize)]
struct Reference {
    text: String,
    vector: Vec<f32>,
}

fn lines<T: for<'a> Deserialize<'a>>(text: &str) -> Vec<T> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Goal: nobody replaces the model without its checksum.
#[test]
fn the_shipped_model_is_the_one_of_the_checksum() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/model/all-minilm-l6-v2.hmlm");
    let found: [u8; 32] = Sha256::digest(fs::read(path).unwrap()).into();
    assert_eq!(found, SHIPPED_SHA256);
}

/// Goal: a text is cut into the pieces that the model was trained on, also an odd one.
#[test]
fn tokens_are_those_of_the_original() {
    let model = Model::shipped();
    for Tokens { text, mut tokens } in lines(include_str!("tokens.jsonl")) {
        let ids = model.tokens(&text);
        let found: Vec<_> = ids.iter().map(|id| model.token(*id).unwrap()).collect();
        tokens.truncate(found.len().max(3));
        assert_eq!(found, tokens, "{text:?}");
    }
}

/// Goal: eight and four bits are enough.
#[test]
fn vectors_are_near_those_of_the_original() {
    let references: Vec<Reference> = lines(include_str!("vectors.jsonl"));
    assert!(references.len() >= 5);
    for Reference { text, vector } in &references {
        // These texts hold nothing that cleaning would take away.
        assert_eq!(
            clean(text).to_lowercase(),
            text.replace('-', " ").to_lowercase()
        );
        let vector: &[f32; DIMENSIONS] = vector.as_slice().try_into().unwrap();
        let cosine = Model::shipped()
            .embed(text)
            .cosine(&Vector::direction_of(vector));
        assert!(cosine > 0.99, "{cosine} for {text:?}");
    }
}

/// Goal: an audit record that names a score can be checked on any processor.
#[test]
fn every_kernel_gives_the_same_bits() {
    let references: Vec<Reference> = lines(include_str!("vectors.jsonl"));
    for kernel in Kernel::ALL {
        let Some(model) = Model::shipped_on(kernel) else {
            println!("skipped: this processor has no {kernel:?}");
            continue;
        };
        for Reference { text, .. } in &references {
            assert_eq!(
                model.embed(text),
                Model::shipped().embed(text),
                "{kernel:?}: {text:?}"
            );
        }
    }
}

/// Goal: what is in the cache of vectors does not depend on what was embedded beside it.
#[test]
fn a_text_in_company_has_the_same_bits() {
    let references: Vec<Reference> = lines(include_str!("vectors.jsonl"));
    let long = "the disk is full and nothing can be written ".repeat(40);
    let mut texts: Vec<_> = references.iter().map(|of| of.text.as_str()).collect();
    // Empty ones, long ones, and the same again, in between and at both ends.
    texts.insert(0, "");
    texts.insert(3, &long);
    texts.insert(4, "12345");
    texts.extend(["disk full", "disk full", "", &long]);
    for kernel in Kernel::ALL {
        let Some(model) = Model::shipped_on(kernel) else {
            println!("skipped: this processor has no {kernel:?}");
            continue;
        };
        let together = model.embed_all(&texts);
        assert_eq!(together.len(), texts.len());
        for (text, vector) in texts.iter().zip(&together) {
            assert_eq!(*vector, model.embed(text), "{kernel:?}: {text:?}");
        }
        assert_eq!(model.embed_all(&[""; 0]), []);
    }
}

#[test]
fn a_text_without_words_means_nothing() {
    for text in ["", " \n\t", "12345 0x7f 99%", "\u{0}\u{1b}\u{fffd}"] {
        assert_eq!(Model::shipped().embed(text), Vector::zero(), "{text:?}");
    }
}

/// Goal: what a unit's log says weighs as much as everything around it.
#[test]
fn a_line_that_is_quoted_has_half_the_vote() {
    let model = Model::shipped();
    let around = "Service a.service: unit failed with result exit-code, its main process exited with an error.";
    let line = "Temporary failure in name resolution";
    let told = format!("{around} its log has \"{line}\". since 4m.");
    let meaning = model.embed_incident(&told);
    assert_eq!(
        meaning,
        Vector::centroid(&[model.embed(&told), model.embed(line)])
    );
    assert!(
        meaning.cosine(&model.embed(line)) > model.embed(&told).cosine(&model.embed(line)) + 0.1
    );
    assert_eq!(model.embed_incident(around), model.embed(around));
    // Numbers alone say nothing, and take nothing away.
    let told = format!("{around} its log has \"1234567 9876543 55\".");
    assert_eq!(
        model.embed_incident(&told),
        Vector::centroid(&[model.embed(&told)])
    );
}
