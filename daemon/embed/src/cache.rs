//! Vectors by the hash of their text, as bytes: embedding a library takes seconds, reading it
//! from here a few milliseconds.
//!
//! The bytes may be cut short, damaged or made by another model: what cannot be trusted is not
//! used, and the worst that follows is that a text is embedded again.
//!
//! Layout: `HMVC0001`, SHA-256 of the model, number of vectors as u32, then each vector as SHA-256
//! of its text and 384 f32, all little endian, by ascending hash; last SHA-256 of everything before it.

use std::{collections::BTreeMap, num::NonZeroUsize, thread};

use hostmedic_model::vector::{DIMENSIONS, Vector};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"HMVC0001";
const HASH_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + HASH_BYTES + 4;
const ENTRY_BYTES: usize = HASH_BYTES + 4 * DIMENSIONS;
/// More than a library of 10,000 playbooks needs. The file is at most 160 MB.
const ENTRIES_MAX: usize = 100_000;

/// Why bytes were not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// Not a file of this kind and version.
    #[error("the cache of vectors does not begin with HMVC0001; it is made anew")]
    Magic,
    /// Cut short, too long or changed.
    #[error("the cache of vectors is damaged; it is made anew")]
    Damaged,
    /// Made by another model: its vectors mean something else.
    #[error("the cache of vectors is of another model; it is made anew")]
    OtherModel,
}

type Hash = [u8; HASH_BYTES];

/// One vector as bytes, behind its hash.
type Entry = [u8; ENTRY_BYTES];

/// Vectors of one model by the hash of their text.
#[derive(Clone, Debug)]
pub struct Cache {
    model: Hash,
    /// Those that were read, by ascending hash. They stay bytes in one piece, which the system gets
    /// back as a whole; thousands of small ones would leave holes.
    read: Vec<Entry>,
    /// Those that were made since; none of them is in `read`.
    made: BTreeMap<Hash, Vector>,
}

impl Cache {
    /// An empty one for the model with this hash.
    pub fn new(model: [u8; 32]) -> Self {
        Self {
            model,
            read: Vec::new(),
            made: BTreeMap::new(),
        }
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// Any deviation, because a wrong vector would make a wrong match.
    pub fn decode(bytes: &[u8], model: [u8; 32]) -> Result<Self, CacheError> {
        if !bytes.starts_with(MAGIC) {
            return Err(CacheError::Magic);
        }
        let at = bytes.len().saturating_sub(HASH_BYTES);
        let (body, checksum) = bytes.split_at(at);
        if body.len() < HEADER_BYTES || Sha256::digest(body).as_slice() != checksum {
            return Err(CacheError::Damaged);
        }
        let (header, entries) = body.split_at(HEADER_BYTES);
        if header[MAGIC.len()..][..HASH_BYTES] != model {
            return Err(CacheError::OtherModel);
        }
        let mut count = [0; 4];
        count.copy_from_slice(&header[MAGIC.len() + HASH_BYTES..]);
        let (entries, rest) = entries.as_chunks::<ENTRY_BYTES>();
        if u32::from_le_bytes(count) as usize != entries.len()
            || entries.len() > ENTRIES_MAX
            || !rest.is_empty()
        {
            return Err(CacheError::Damaged);
        }
        let is_sorted = entries.is_sorted_by(|before, entry| hash_of(before) < hash_of(entry));
        if !is_sorted || !entries.iter().all(|entry| vector_of(entry).is_some()) {
            return Err(CacheError::Damaged);
        }
        Ok(Self {
            model,
            read: entries.to_vec(),
            made: BTreeMap::new(),
        })
    }

    /// The bytes to keep.
    pub fn encode(&self) -> Vec<u8> {
        let made: Vec<_> = self.made.iter().map(entry_of).collect();
        let mut entries: Vec<&Entry> = self.read.iter().chain(&made).collect();
        entries.sort_by_key(|entry| hash_of(entry));
        entries.truncate(ENTRIES_MAX);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() * ENTRY_BYTES + HASH_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.model);
        bytes.extend((entries.len() as u32).to_le_bytes());
        for entry in entries {
            bytes.extend(entry);
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        bytes
    }

    /// The vector of the text with this hash.
    fn get(&self, hash: &Hash) -> Option<Vector> {
        let read = || {
            let at = self.read.binary_search_by_key(hash, hash_of).ok()?;
            vector_of(&self.read[at])
        };
        self.made.get(hash).cloned().or_else(read)
    }

    /// The vector of `text`, made by `embed` if it is not there.
    pub fn vector(&mut self, text: &str, embed: impl FnOnce(&str) -> Vector) -> Vector {
        let hash = Sha256::digest(text.as_bytes()).into();
        self.get(&hash).unwrap_or_else(|| {
            let vector = embed(text);
            self.made.insert(hash, vector.clone());
            vector
        })
    }

    /// Lets `embed` make the vectors of those of `texts` that are not there, each text once, on up to
    /// `threads` threads. A part whose thread breaks is left for [`Self::vector`] to make.
    pub fn learn(
        &mut self,
        texts: impl IntoIterator<Item = String>,
        threads: NonZeroUsize,
        embed: impl Fn(&[String]) -> Vec<Vector> + Sync,
    ) {
        let hash = |text: String| (Hash::from(Sha256::digest(text.as_bytes())), text);
        let all = texts.into_iter().map(hash);
        let missing: BTreeMap<_, _> = all.filter(|(hash, _)| self.get(hash).is_none()).collect();
        let (hashes, texts): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
        let part = texts.len().div_ceil(threads.get()).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = texts
                .chunks(part)
                .map(|texts| scope.spawn(|| embed(texts)))
                .collect();
            for (hashes, part) in hashes.chunks(part).zip(parts) {
                let vectors = part.join().unwrap_or_default();
                self.made.extend(hashes.iter().copied().zip(vectors));
            }
        });
    }

    /// Drops the vectors of all other texts: those of playbooks that have gone.
    pub fn retain(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        let texts = texts.into_iter();
        let kept: std::collections::BTreeSet<Hash> = texts
            .map(|text| Sha256::digest(text.as_ref().as_bytes()).into())
            .collect();
        self.made.retain(|hash, _| kept.contains(hash));
        self.read.retain(|entry| kept.contains(&hash_of(entry)));
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.read.len() + self.made.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn hash_of(entry: &Entry) -> Hash {
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&entry[..HASH_BYTES]);
    hash
}

/// The vector behind the hash; `None` if the numbers are no direction.
fn vector_of(entry: &Entry) -> Option<Vector> {
    let mut values = [0.0; DIMENSIONS];
    let numbers = entry[HASH_BYTES..].as_chunks::<4>().0;
    for (value, bytes) in values.iter_mut().zip(numbers) {
        *value = f32::from_le_bytes(*bytes);
    }
    Vector::of_unit(&values)
}

fn entry_of((hash, vector): (&Hash, &Vector)) -> Entry {
    let mut entry = [0; ENTRY_BYTES];
    entry[..HASH_BYTES].copy_from_slice(hash);
    let numbers = entry[HASH_BYTES..].as_chunks_mut::<4>().0;
    for (bytes, value) in numbers.iter_mut().zip(vector.values()) {
        *bytes = value.to_le_bytes();
    }
    entry
}
