//! Damaged model files and hostile texts: an error or an answer, never a panic, and soon.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, sync::LazyLock};

use hostmedic_embed::{Model, ModelError, TOKENS_MAX, clean};
use proptest::prelude::*;

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/model/all-minilm-l6-v2.hmlm"
    ))
    .unwrap()
});

/// The first bytes, which hold every number that decides how much is read and where.
const HEADER_BYTES: usize = 40;

#[test]
fn another_file_is_told_apart() {
    assert!(matches!(Model::read(b""), Err(ModelError::Length { .. })));
    assert_eq!(Model::read(&[0; 100]).err(), Some(ModelError::Magic));
    let mut longer = BYTES.clone();
    longer.extend([0; 64]);
    assert!(matches!(
        Model::read(&longer),
        Err(ModelError::Length { .. })
    ));
}

#[test]
fn a_header_may_say_anything() {
    for at in (8..HEADER_BYTES).step_by(4) {
        for value in [
            0,
            1,
            3,
            65,
            383,
            385,
            u32::from(u16::MAX),
            1 << 20,
            u32::MAX,
        ] {
            let mut bytes = BYTES.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            // The last field means nothing.
            assert_eq!(Model::read(&bytes).is_ok(), at == 36, "{value} at {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_file_cut_short_is_an_error(length in 0..BYTES.len()) {
        prop_assert!(Model::read(&BYTES[..length]).is_err());
    }

    /// What damage the checks let pass can be run all the same.
    #[test]
    fn a_damaged_file_is_refused_or_runs(
        damage in prop::collection::vec((0..BYTES.len(), any::<u8>()), 1..200),
    ) {
        let mut bytes = BYTES.clone();
        for (at, value) in damage {
            bytes[at] = value;
        }
        if let Ok(model) = Model::read(&bytes) {
            let vector = model.embed("the disk of the database is full");
            prop_assert!(vector.values().iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn any_text_has_a_finite_vector(text in "\\PC{0,200}|[\\x00-\\u{10FFFF}]{0,300}") {
        let model = Model::shipped();
        prop_assert!(clean(&text).len() <= 3 * text.len() + 1);
        prop_assert!(model.tokens(&text).len() <= TOKENS_MAX);
        let vector = model.embed(&text);
        prop_assert!(vector.values().iter().all(|value| value.is_finite()));
        prop_assert_eq!(vector, model.embed(&text));
    }
}

/// Goal: an attacker who fills a log cannot make the daemon slow.
#[test]
fn huge_texts_end_soon() {
    let model = Model::shipped();
    for part in [
        "x", " ", "a ", "\u{0}", "é", "_", "aB", "1", "##", "日", "a\u{301}",
    ] {
        let text = part.repeat(4 << 20);
        assert!(model.tokens(&clean(&text)).len() <= TOKENS_MAX);
        model.embed(&text);
    }
}
