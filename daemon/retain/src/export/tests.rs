//! Every byte of an export counts.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::VecDeque;

use super::*;
use crate::{
    keys::HostKey,
    samples,
    verify::{VerifyError, verify},
};

/// A chain in memory.
struct Memory {
    key: PublicKey,
    end: Link,
    entries: VecDeque<Entry>,
}

impl Memory {
    fn new(batches: &[usize]) -> Self {
        let key = HostKey::from_seed([7; 32]);
        let mut memory = Self {
            key: key.public(),
            end: Link::START,
            entries: VecDeque::new(),
        };
        for (records, head) in samples::chain(&key, batches) {
            memory.end = head.link();
            memory
                .entries
                .extend(records.into_iter().map(Entry::Record));
            memory
                .entries
                .push_back(Entry::Head(canonical::encode_value(&head).unwrap()));
        }
        memory
    }
}

impl ChainSource for Memory {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn start(&self) -> Link {
        Link::START
    }

    fn end(&self) -> Link {
        self.end
    }

    fn next(&mut self) -> Result<Option<Entry>, SourceError> {
        Ok(self.entries.pop_front())
    }
}

fn exported(batches: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Memory::new(batches), &mut bytes).unwrap();
    bytes
}

fn check(bytes: &[u8]) -> Result<u64, VerifyError> {
    let verified = verify(&mut Export::open(bytes)?, None, |_, _| {})?;
    Ok(verified.records)
}

#[test]
fn an_export_verifies_and_is_the_same_every_time() {
    let bytes = exported(&[2, 1, 3]);
    assert_eq!(bytes, exported(&[2, 1, 3]));
    assert_eq!(check(&bytes).unwrap(), 6);
    assert_eq!(check(&exported(&[])).unwrap(), 0);
    let mut seen = Vec::new();
    verify(
        &mut Export::open(&exported(&[300])[..]).unwrap(),
        None,
        |done, all| seen.push((done, all)),
    )
    .unwrap();
    assert_eq!(seen, [(256, 300), (300, 300)]);
}

#[test]
fn a_flip_at_every_byte_is_found() {
    let bytes = exported(&[1, 2]);
    for at in 0..bytes.len() {
        for mask in [1, 0x20, 0x80] {
            let mut altered = bytes.clone();
            altered[at] ^= mask;
            assert!(
                check(&altered).is_err(),
                "byte {at} mask {mask} went unseen"
            );
        }
    }
}

#[test]
fn a_cut_at_every_byte_is_found() {
    let bytes = exported(&[1, 2]);
    for len in 0..bytes.len() {
        assert!(
            check(&bytes[..len]).is_err(),
            "a cut to {len} bytes went unseen"
        );
    }
}

#[test]
fn the_pinned_key_must_be_the_exports() {
    let bytes = exported(&[1]);
    let ours = HostKey::from_seed([7; 32]).public();
    let other = HostKey::from_seed([8; 32]).public();
    let run = |pin| verify(&mut Export::open(&bytes[..]).unwrap(), Some(pin), |_, _| {});
    assert!(run(ours).is_ok());
    assert!(matches!(run(other), Err(VerifyError::WrongKey { .. })));
}

#[test]
fn the_bad_record_is_named() {
    let bytes = exported(&[3, 1]);
    let altered = String::from_utf8(bytes)
        .unwrap()
        .replace("\"reason\":\"r2\"", "\"reason\":\"r9\"");
    let error = check(altered.as_bytes()).unwrap_err();
    assert!(
        error.to_string().starts_with("bad record 2: altered"),
        "{error}"
    );
}
