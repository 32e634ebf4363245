//! Verifies a chain as it streams by, and names the first record that is not as it was written.

use hostmedic_model::record::Record;

use super::{Hash, Head, Link};
use crate::{
    canonical::{self, DecodeError},
    keys::PublicKey,
};

/// Most records that one head may cover. Bounds what a verifier must remember.
pub const BATCH_RECORDS_MAX: usize = 4096;

/// The first record that is not as it was written, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad record {seq}: {why}")]
pub struct BadRecord {
    /// Its number: the place in the chain, whatever the record itself claims.
    pub seq: u64,
    /// What is wrong with it.
    pub why: Fault,
}

/// What can be wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its bytes are no canonical record.
    #[error("{0}")]
    Unreadable(#[from] DecodeError),
    /// It cannot be read from where it lies.
    #[error("cannot be read: {0}")]
    Lost(String),
    /// Another number stands where this one belongs.
    #[error("missing or moved; record {found} stands in its place")]
    Misplaced {
        /// The number found.
        found: u64,
    },
    /// A head covers it, but it is not there.
    #[error("missing; a signed head covers records up to {covered_to}")]
    Missing {
        /// Last record that the head covers.
        covered_to: u64,
    },
    /// Belongs to another host's chain.
    #[error("belongs to host {found}, not {expected}")]
    WrongHost {
        /// Whose it says it is.
        found: String,
        /// Whose it must be.
        expected: String,
    },
    /// The records after it were signed over other contents of this one.
    #[error("altered; its hash {found} is not the one signed for, {signed}")]
    Altered {
        /// Hash of its bytes.
        found: Hash,
        /// Hash that the signed chain holds for it.
        signed: Hash,
    },
    /// Does not continue the record before it, which is sealed; the host signed two histories.
    #[error("forked; it continues another record {after} than the one that is sealed")]
    Forked {
        /// The last record that both histories claim.
        after: u64,
    },
    /// A head's signature is not the host's.
    #[error("the head under record {at} is not signed by the host's key")]
    BadSignature {
        /// The head's record.
        at: u64,
    },
    /// A head's bytes are no head.
    #[error("the head under record {at} is unreadable: {why}")]
    UnreadableHead {
        /// The last record before it.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// A head is missing, doubled or moved.
    #[error("not sealed; the next head covers {from_seq} to {seq}")]
    HeadMisplaced {
        /// First record of the head that was found.
        from_seq: u64,
        /// Last record of the head that was found.
        seq: u64,
    },
    /// No signed head covers it.
    #[error("not sealed; no signed head covers it")]
    Unsealed,
    /// The chain ends before it.
    #[error("missing; the chain was cut, it should end with record {end}")]
    Cut {
        /// The last record there should be.
        end: u64,
    },
    /// The chain goes on after its end.
    #[error("not expected; the chain should end with record {end}")]
    BeyondEnd {
        /// The last record there should be.
        end: u64,
    },
}

/// Verifies a chain as a stream of records and heads, in chain order, in constant memory.
///
/// A record passed to [`Verifier::record`] is only proven once [`Verifier::head`] accepts the head
/// that covers it.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: PublicKey,
    host: String,
    /// Last record under an accepted head.
    sealed: Link,
    /// Records since then, in order.
    open: Vec<Open>,
    /// Index in `open` of the first record whose `prev` is not the hash of the one before.
    mismatch: Option<usize>,
}

/// A record that no head covers yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    hash: Hash,
    prev: Hash,
}

impl Verifier {
    /// Verifies what follows `after`, which the caller trusts ([`Link::START`] for a whole chain).
    pub fn new(key: PublicKey, after: Link) -> Self {
        let host = key.host_id();
        Self {
            key,
            host,
            sealed: after,
            open: Vec::new(),
            mismatch: None,
        }
    }

    /// The last record that is proven.
    pub fn sealed(&self) -> Link {
        self.sealed
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// Names the first record found bad so far.
    pub fn record(&mut self, bytes: &[u8]) -> Result<Record, BadRecord> {
        let seq = self.next_seq();
        let bad = |why| BadRecord { seq, why };
        if self.open.len() >= BATCH_RECORDS_MAX {
            return Err(self.first(BadRecord {
                seq: self.sealed.seq + 1,
                why: Fault::Unsealed,
            }));
        }
        let record = canonical::decode(bytes).map_err(|error| self.first(bad(error.into())))?;
        if record.seq != seq {
            return Err(self.first(bad(Fault::Misplaced { found: record.seq })));
        }
        if record.host != self.host {
            let why = Fault::WrongHost {
                found: record.host.clone(),
                expected: self.host.clone(),
            };
            return Err(self.first(bad(why)));
        }
        let prev: Hash = record
            .prev
            .parse()
            .map_err(|why: String| self.first(bad(Fault::Unreadable(DecodeError::Json(why)))))?;
        if prev != self.tip_hash() && self.mismatch.is_none() {
            // Either this record or the one before it was altered: the head will tell.
            self.mismatch = Some(self.open.len());
        }
        self.open.push(Open {
            hash: Hash::of(bytes),
            prev,
        });
        Ok(record)
    }

    /// Takes the head that must follow here.
    ///
    /// # Errors
    /// Names the first bad record, or the one that is not sealed.
    pub fn head(&mut self, head: &Head) -> Result<(), BadRecord> {
        let first = self.sealed.seq + 1;
        let last = self.next_seq() - 1;
        let bad = |seq, why| BadRecord { seq, why };
        if let Err(why) = head.verify(&self.key) {
            return Err(self.first(bad(last.max(1), why)));
        }
        if head.from_seq == first && head.seq > last {
            return Err(self.first(bad(
                last + 1,
                Fault::Missing {
                    covered_to: head.seq,
                },
            )));
        }
        if head.from_seq != first || head.seq != last || self.open.is_empty() {
            let why = Fault::HeadMisplaced {
                from_seq: head.from_seq,
                seq: head.seq,
            };
            return Err(self.first(bad(first, why)));
        }
        let found = self.tip_hash();
        match self.mismatch {
            // The last record is itself the one that does not fit what was signed.
            _ if found != head.hash && self.mismatch.is_none_or(|at| at + 1 == self.open.len()) => {
                let why = Fault::Altered {
                    found,
                    signed: head.hash,
                };
                return Err(bad(last, why));
            }
            Some(at) => return Err(self.blame(at)),
            None => {}
        }
        self.sealed = head.link();
        self.open.clear();
        Ok(())
    }

    /// Ends the stream. `end` is where the chain must end, where that is known.
    ///
    /// # Errors
    /// Names the first record that is unsealed or missing.
    pub fn finish(self, end: Option<Link>) -> Result<Link, BadRecord> {
        let bad = |seq, why| Err(BadRecord { seq, why });
        if !self.open.is_empty() {
            return Err(self.first(BadRecord {
                seq: self.sealed.seq + 1,
                why: Fault::Unsealed,
            }));
        }
        match end {
            Some(end) if self.sealed.seq < end.seq => {
                bad(self.sealed.seq + 1, Fault::Cut { end: end.seq })
            }
            Some(end) if self.sealed.seq > end.seq => {
                bad(end.seq + 1, Fault::BeyondEnd { end: end.seq })
            }
            Some(end) if self.sealed.hash != end.hash => bad(
                end.seq,
                Fault::Altered {
                    found: self.sealed.hash,
                    signed: end.hash,
                },
            ),
            _ => Ok(self.sealed),
        }
    }

    /// A head that could not even be read stands after the last record.
    pub fn unreadable_head(&self, why: String) -> BadRecord {
        let at = self.next_seq() - 1;
        self.first(BadRecord {
            seq: at.max(1),
            why: Fault::UnreadableHead { at, why },
        })
    }

    /// What should come next cannot be read.
    pub fn lost(&self, why: String) -> BadRecord {
        self.first(BadRecord {
            seq: self.next_seq(),
            why: Fault::Lost(why),
        })
    }

    /// Number of the record that must come next.
    fn next_seq(&self) -> u64 {
        self.sealed.seq + 1 + self.open.len() as u64
    }

    /// Hash of the newest record.
    fn tip_hash(&self) -> Hash {
        self.open.last().map_or(self.sealed.hash, |open| open.hash)
    }

    /// `error`, unless an earlier record is already known to be bad.
    fn first(&self, error: BadRecord) -> BadRecord {
        match self.mismatch {
            Some(at) if self.seq_of(at) <= error.seq => self.blame(at),
            _ => error,
        }
    }

    /// Says whether the record at the mismatch or the one before it was altered: a record that
    /// the hashes of all later ones agree with is the one that was signed.
    fn blame(&self, at: usize) -> BadRecord {
        let later_agree = self.open[at..]
            .windows(2)
            .all(|pair| pair[1].prev == pair[0].hash);
        let signed = self.open[at].prev;
        let seq = self.seq_of(at);
        match at.checked_sub(1).map(|before| self.open[before].hash) {
            Some(found) if later_agree => BadRecord {
                seq: seq - 1,
                why: Fault::Altered { found, signed },
            },
            None if later_agree => BadRecord {
                seq,
                why: Fault::Forked { after: seq - 1 },
            },
            _ => {
                let found = self.open[at].hash;
                let signed = self.open.get(at + 1).map_or(found, |next| next.prev);
                BadRecord {
                    seq,
                    why: Fault::Altered { found, signed },
                }
            }
        }
    }

    fn seq_of(&self, open: usize) -> u64 {
        self.sealed.seq + 1 + open as u64
    }
}
