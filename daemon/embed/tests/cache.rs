//! The cache gives back what was put in, or nothing.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
};

use hostmedic_embed::{Cache, CacheError};
use hostmedic_model::vector::{DIMENSIONS, Vector};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

const MODEL: [u8; 32] = [7; 32];

fn embed(text: &str) -> Vector {
    let values = std::array::from_fn(|at| text.len() as f32 + at as f32);
    assert_eq!(values.len(), DIMENSIONS);
    Vector::direction_of(&values)
}

fn filled() -> Cache {
    let mut cache = Cache::new(MODEL);
    for text in ["disk", "memory", ""] {
        cache.vector(text, embed);
    }
    cache.vector("zero", |_| Vector::zero());
    cache
}

#[test]
fn a_text_is_embedded_once_and_keeps_its_bits() {
    let mut cache = Cache::decode(&filled().encode(), MODEL).unwrap();
    assert_eq!(cache.encode(), filled().encode());
    let vector = cache.vector("disk", |_| panic!("it is in the cache"));
    assert_eq!(vector, embed("disk"));
}

#[test]
fn only_new_texts_are_learned_and_each_once() {
    let mut cache = filled();
    let asked = AtomicUsize::new(0);
    let two = NonZeroUsize::new(2).unwrap();
    let texts = ["new", "disk", "newer", "new", "newest"].map(str::to_owned);
    cache.learn(texts, two, |texts| {
        asked.fetch_add(texts.len(), Ordering::Relaxed);
        texts.iter().map(|text| embed(text)).collect()
    });
    assert_eq!((asked.into_inner(), cache.len()), (3, 7));
    for text in ["new", "newer", "newest", "disk"] {
        let vector = cache.vector(text, |_| panic!("{text} is in the cache"));
        assert_eq!(vector, embed(text));
    }
}

#[test]
fn what_was_read_and_what_was_made_are_kept_together() {
    let mut cache = Cache::decode(&filled().encode(), MODEL).unwrap();
    assert_eq!(cache.len(), 4);
    cache.vector("new", embed);
    let mut again = Cache::decode(&cache.encode(), MODEL).unwrap();
    assert_eq!((cache.len(), again.len()), (5, 5));
    for text in ["disk", "memory", "", "new"] {
        let vector = again.vector(text, |_| panic!("{text} is in the cache"));
        assert_eq!(vector, embed(text));
    }
    again.retain(["new", "disk"]);
    let rest = Cache::decode(&again.encode(), MODEL).unwrap();
    assert_eq!(rest.len(), 2);
}

/// Goal: a file whose entries could not be found again is not used.
#[test]
fn entries_out_of_order_are_damage() {
    const HEADER: usize = 8 + 32 + 4;
    let bytes = filled().encode();
    let length = (bytes.len() - HEADER - 32) / 4;
    let (head, rest) = bytes[..bytes.len() - 32].split_at(HEADER);
    let mut entries: Vec<&[u8]> = rest.chunks(length).collect();
    let signed = |entries: &[&[u8]]| {
        let mut bytes = head.to_vec();
        bytes.extend(entries.concat());
        let sum = Sha256::digest(&bytes);
        bytes.extend(sum);
        Cache::decode(&bytes, MODEL).map(|cache| cache.len())
    };
    assert_eq!(signed(&entries), Ok(4));
    entries.swap(1, 2);
    assert_eq!(signed(&entries), Err(CacheError::Damaged));
    entries[2] = entries[1];
    assert_eq!(signed(&entries), Err(CacheError::Damaged));
}

#[test]
fn another_model_has_other_vectors() {
    let read = Cache::decode(&filled().encode(), [8; 32]);
    assert_eq!(read.err(), Some(CacheError::OtherModel));
    assert_eq!(Cache::decode(b"", MODEL).err(), Some(CacheError::Magic));
}

#[test]
fn what_is_not_asked_for_any_more_goes() {
    let mut cache = filled();
    cache.retain(["disk", "new"]);
    assert_eq!(cache.len(), 1);
    cache.retain([""; 0]);
    assert!(cache.is_empty());
}

proptest! {
    #[test]
    fn damage_of_any_byte_is_seen(at in 0..filled().encode().len(), flip in 1..=255_u8) {
        let mut bytes = filled().encode();
        bytes[at] ^= flip;
        prop_assert!(Cache::decode(&bytes, MODEL).is_err());
    }

    #[test]
    fn a_cut_is_seen(length in 0..filled().encode().len()) {
        prop_assert!(Cache::decode(&filled().encode()[..length], MODEL).is_err());
    }

    #[test]
    fn any_bytes_are_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        prop_assert!(Cache::decode(&bytes, MODEL).is_err());
    }
}
