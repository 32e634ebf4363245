//! Verification of a whole chain from wherever it lies: a store, an export, the collector's copy.
//!
//! Needs no daemon, no network and no secret: the records, the heads and the host's public key.

use std::{collections::VecDeque, fmt};

use crate::{
    canonical,
    chain::{BadRecord, Head, Link, Verifier},
    keys::PublicKey,
};

/// A piece of a chain, as its bytes stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record.
    Record(Vec<u8>),
    /// The head under the records before it.
    Head(Vec<u8>),
}

/// Somewhere a chain lies.
pub trait ChainSource {
    /// The key that the place names. Not yet trusted: see [`verify`].
    fn public_key(&self) -> PublicKey;

    /// The record before the first one that is there.
    fn start(&self) -> Link;

    /// The record that the chain must end with.
    fn end(&self) -> Link;

    /// The next piece in chain order, `None` after the last.
    ///
    /// # Errors
    /// Says what could not be read.
    fn next(&mut self) -> Result<Option<Entry>, SourceError>;
}

/// Which part of a stored chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Records, each under its number.
    Records,
    /// Heads, each under the number of its last record.
    Heads,
}

/// A chain that lies in two sorted parts, read a page at a time.
pub trait Pages {
    /// The next rows of a part, in order, from number `from` on; none at its end.
    ///
    /// # Errors
    /// Says what could not be read; rows before it came in earlier pages.
    fn page(&self, part: Part, from: u64) -> Result<Vec<(u64, Vec<u8>)>, SourceError>;
}

/// Merges the two parts of [`Pages`] into chain order.
#[derive(Debug)]
pub struct Paged<P> {
    pages: P,
    key: PublicKey,
    end: Link,
    /// The chain may grow while it is read: what comes after `end` is left to the next reader.
    growing: bool,
    records: Rows,
    heads: Rows,
}

/// One part being read.
#[derive(Debug, Default)]
struct Rows {
    from: u64,
    page: VecDeque<(u64, Vec<u8>)>,
}

impl Rows {
    /// Number of the next row.
    fn peek(&mut self, pages: &impl Pages, part: Part) -> Result<Option<u64>, SourceError> {
        if self.page.is_empty() {
            self.page.extend(pages.page(part, self.from)?);
            if let Some((last, _)) = self.page.back() {
                self.from = last.saturating_add(1);
            }
        }
        Ok(self.page.front().map(|(seq, _)| *seq))
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        self.page.pop_front().map(|(_, bytes)| bytes)
    }
}

impl<P: Pages> Paged<P> {
    /// The chain in `pages` from its first record to `end`. `growing` says that a writer is at
    /// work; otherwise anything beyond `end` is part of what is verified, and found.
    pub fn new(pages: P, key: PublicKey, end: Link, growing: bool) -> Self {
        Self {
            pages,
            key,
            end,
            growing,
            records: Rows::default(),
            heads: Rows::default(),
        }
    }
}

impl<P: Pages> ChainSource for Paged<P> {
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
        let record = self.records.peek(&self.pages, Part::Records)?;
        let head = self.heads.peek(&self.pages, Part::Heads)?;
        let beyond = |seq: u64| self.growing && seq > self.end.seq;
        if record.is_none_or(beyond) && head.is_none_or(beyond) {
            return Ok(None);
        }
        // A record stands before the head with its number.
        Ok(match (record, head) {
            (Some(record), Some(head)) if record <= head => self.records.pop().map(Entry::Record),
            (Some(_), None) => self.records.pop().map(Entry::Record),
            _ => self.heads.pop().map(Entry::Head),
        })
    }
}

/// A place could not be read; nothing is said about the chain.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {place}: {why}")]
pub struct SourceError {
    /// Where.
    pub place: String,
    /// What the system said.
    pub why: String,
}

/// Why a chain does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The first bad record.
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
    /// The chain is another host's than the one asked for.
    #[error("the chain is signed with key {found}, but {pinned} was asked for")]
    WrongKey {
        /// Key that the place names.
        found: String,
        /// Key that was asked for.
        pinned: String,
    },
    /// It could not be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whose chain.
    pub host: String,
    /// The key that all heads are signed with.
    pub public_key: PublicKey,
    /// Records.
    pub records: u64,
    /// Heads.
    pub heads: u64,
    /// The last record.
    pub last: Link,
    /// When the last head was signed, Unix milliseconds; `None` for an empty chain.
    pub sealed_at_wall_ms: Option<i64>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records of host {} under {} signed heads, up to record {} {}",
            self.records, self.host, self.heads, self.last.seq, self.last.hash
        )
    }
}

/// Verifies the chain in `source` from its first record to its last.
///
/// `pinned` is the key that the caller knows from elsewhere; without it a chain that was replaced
/// as a whole, key and all, verifies. `progress` is called with (records done, records in all).
///
/// # Errors
/// See [`VerifyError`].
pub fn verify(
    source: &mut impl ChainSource,
    pinned: Option<PublicKey>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Verified, VerifyError> {
    let key = source.public_key();
    if let Some(pinned) = pinned
        && pinned != key
    {
        return Err(VerifyError::WrongKey {
            found: key.to_string(),
            pinned: pinned.to_string(),
        });
    }
    let (start, end) = (source.start(), source.end());
    let total = end.seq.saturating_sub(start.seq);
    let mut verifier = Verifier::new(key, start);
    let (mut records, mut heads, mut sealed_at_wall_ms) = (0, 0, None);
    while let Some(entry) = source
        .next()
        .map_err(|error| verifier.lost(error.to_string()))?
    {
        match entry {
            Entry::Record(bytes) => {
                verifier.record(&bytes)?;
                records += 1;
                if records % 256 == 0 {
                    progress(records, total.max(records));
                }
            }
            Entry::Head(bytes) => {
                let head: Head = canonical::from_canonical(&bytes)
                    .map_err(|error| verifier.unreadable_head(error.to_string()))?;
                verifier.head(&head)?;
                heads += 1;
                sealed_at_wall_ms = Some(head.at_wall_ms);
            }
        }
    }
    let last = verifier.finish(Some(end))?;
    progress(records, total.max(records));
    Ok(Verified {
        host: key.host_id(),
        public_key: key,
        records,
        heads,
        last,
        sealed_at_wall_ms,
    })
}
