//! What must never pass: tampering with records and heads in every way we could think of.

use proptest::prelude::*;

use super::*;
use crate::{
    canonical,
    samples::{self, record_with},
};

/// What a verifier is fed.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Record(Vec<u8>),
    Head(Head),
}

fn key() -> HostKey {
    HostKey::from_seed([7; 32])
}

fn pieces(batches: &[usize]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (records, head) in samples::chain(&key(), batches) {
        pieces.extend(records.into_iter().map(Piece::Record));
        pieces.push(Piece::Head(head));
    }
    pieces
}

fn end_of(pieces: &[Piece]) -> Link {
    let mut heads = pieces.iter().filter_map(|piece| match piece {
        Piece::Head(head) => Some(head.link()),
        Piece::Record(_) => None,
    });
    heads.next_back().unwrap_or(Link::START)
}

fn run(pieces: &[Piece], end: Link) -> Result<Link, BadRecord> {
    let mut verifier = Verifier::new(key().public(), Link::START);
    for piece in pieces {
        match piece {
            Piece::Record(bytes) => verifier.record(bytes).map(|_| ())?,
            Piece::Head(head) => verifier.head(head)?,
        }
    }
    verifier.finish(Some(end))
}

/// Number of the record that stands at, or last before, this piece.
fn seq_at(pieces: &[Piece], at: usize) -> u64 {
    pieces[..=at]
        .iter()
        .filter(|piece| matches!(piece, Piece::Record(_)))
        .count() as u64
}

#[test]
fn an_untouched_chain_verifies() {
    for batches in [&[][..], &[1], &[3], &[1, 1, 1], &[2, 5, 1]] {
        let whole = pieces(batches);
        assert_eq!(run(&whole, end_of(&whole)), Ok(end_of(&whole)));
    }
}

#[test]
fn a_flip_of_any_bit_group_of_any_record_names_that_record() {
    let whole = pieces(&[1, 4, 2]);
    for (at, piece) in whole.iter().enumerate() {
        let Piece::Record(bytes) = piece else {
            continue;
        };
        for byte in 0..bytes.len() {
            for mask in [1, 2, 0x10, 0x20, 0x80] {
                let mut altered = bytes.clone();
                altered[byte] ^= mask;
                let mut pieces = whole.clone();
                pieces[at] = Piece::Record(altered);
                let found = run(&pieces, end_of(&whole));
                let named = found.as_ref().err().map(|bad| bad.seq);
                assert_eq!(
                    named,
                    Some(seq_at(&whole, at)),
                    "byte {byte} mask {mask}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn a_change_of_any_field_of_a_head_is_found() {
    let whole = pieces(&[1, 3, 2]);
    let changes: [fn(&mut Head); 7] = [
        |head| head.host.make_ascii_uppercase(),
        |head| head.from_seq += 1,
        |head| head.seq += 1,
        |head| head.hash.0[31] ^= 1,
        |head| head.at_wall_ms += 1,
        |head| head.signature.make_ascii_uppercase(),
        |head| head.signature.push('0'),
    ];
    for (at, piece) in whole.iter().enumerate() {
        let Piece::Head(head) = piece else { continue };
        for change in changes {
            let mut altered = head.clone();
            change(&mut altered);
            let mut pieces = whole.clone();
            pieces[at] = Piece::Head(altered.clone());
            let found = run(&pieces, end_of(&whole));
            assert_eq!(
                found.err().map(|bad| bad.seq),
                Some(seq_at(&whole, at)),
                "{altered:?}"
            );
        }
    }
}

#[test]
fn a_dropped_piece_names_the_record_or_its_missing_seal() {
    let whole = pieces(&[2, 1, 3]);
    for at in 0..whole.len() {
        let mut pieces = whole.clone();
        pieces.remove(at);
        let bad = run(&pieces, end_of(&whole)).expect_err("a dropped piece was not found");
        let expected = match &whole[at] {
            Piece::Record(_) => seq_at(&whole, at),
            // Without its head a batch is unsealed from its first record on.
            Piece::Head(head) => head.from_seq,
        };
        assert_eq!(bad.seq, expected, "{bad}");
    }
}

#[test]
fn a_chain_cut_anywhere_names_the_first_missing_or_unsealed_record() {
    let whole = pieces(&[2, 1, 3]);
    let mut sealed = 0;
    for len in 0..whole.len() {
        let bad = run(&whole[..len], end_of(&whole)).expect_err("a cut was not found");
        assert_eq!(bad.seq, sealed + 1, "{bad}");
        if let Piece::Head(head) = &whole[len] {
            sealed = head.seq;
        }
    }
}

#[test]
fn a_history_that_the_key_rewrote_is_a_fork() {
    let whole = pieces(&[2, 1]);
    let mut other = record_with(
        3,
        hostmedic_model::record::Body::Stopped { reason: "x".into() },
    );
    other.host = key().public().host_id();
    other.prev = Hash::of(b"another record 2").to_string();
    let bytes = canonical::encode(&other).expect("it encodes");
    let link = Link {
        seq: 3,
        hash: Hash::of(&bytes),
    };
    let mut forged = whole[..3].to_vec();
    forged.extend([
        Piece::Record(bytes),
        Piece::Head(Head::sign(&key(), 3, link, 0)),
    ]);
    assert_eq!(
        run(&forged, link),
        Err(BadRecord {
            seq: 3,
            why: Fault::Forked { after: 2 }
        })
    );
}

#[test]
fn another_hosts_key_never_verifies() {
    let other = HostKey::from_seed([8; 32]);
    let mut verifier = Verifier::new(other.public(), Link::START);
    let (records, head) = samples::chain(&key(), &[1]).remove(0);
    let bad = verifier
        .record(&records[0])
        .expect_err("a foreign record passed");
    assert!(matches!(bad.why, Fault::WrongHost { .. }), "{bad}");
    assert!(matches!(
        head.verify(&other.public()),
        Err(Fault::WrongHost { .. })
    ));
    // The same host's name over another key's signature.
    let mut stolen = head.clone();
    stolen.signature = Head::sign(&other, 1, head.link(), head.at_wall_ms).signature;
    assert_eq!(
        stolen.verify(&key().public()),
        Err(Fault::BadSignature { at: 1 })
    );
}

#[test]
fn an_endless_batch_is_refused() {
    let key = key();
    let (records, _) = samples::chain(&key, &[BATCH_RECORDS_MAX + 1]).remove(0);
    let mut verifier = Verifier::new(key.public(), Link::START);
    let bad = records
        .iter()
        .find_map(|bytes| verifier.record(bytes).err());
    assert_eq!(
        bad,
        Some(BadRecord {
            seq: 1,
            why: Fault::Unsealed
        })
    );
}

proptest! {
    /// Any rearrangement, doubling or change of pieces is found, unless it gives the same pieces.
    #[test]
    fn no_rearrangement_passes(
        sizes in prop::collection::vec(1usize..5, 1..5),
        from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(),
        how in 0..3, byte in any::<prop::sample::Index>(), mask in 1u8..,
    ) {
        let whole = pieces(&sizes);
        let (from, to) = (from.index(whole.len()), to.index(whole.len()));
        let mut changed = whole.clone();
        match how {
            0 => changed.swap(from, to),
            1 => changed.insert(to, whole[from].clone()),
            _ => match &mut changed[from] {
                Piece::Record(bytes) => {
                    let at = byte.index(bytes.len());
                    bytes[at] ^= mask;
                }
                Piece::Head(head) => head.hash.0[byte.index(32)] ^= mask,
            },
        }
        prop_assume!(changed != whole);
        let found = run(&changed, end_of(&whole));
        let first = changed.iter().zip(&whole).position(|(a, b)| a != b).unwrap_or(whole.len());
        let bad = found.expect_err("a change was not found");
        // Never later than one record after the first piece that differs.
        prop_assert!(bad.seq <= seq_at(&whole, first.min(whole.len() - 1)) + 1, "{} at {}", bad, first);
    }
}
