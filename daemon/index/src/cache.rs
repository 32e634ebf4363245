//! Vectors by the hash of their text, as bytes: embedding a library takes seconds, reading it
//! from here a few milliseconds.
//!
//! The bytes may be cut short, damaged or made by another model: what cannot be trusted is not
//! used, and the worst that follows is that a text is embedded again.
//!
//! Layout: `HMVC0001`, SHA-256 of the model, number of vectors as u32, then each vector as SHA-256
//! of its text and 384 f32, all little endian; last SHA-256 of everything before it.

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

/// Vectors of one model by the hash of their text.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    model: Hash,
    vectors: BTreeMap<Hash, Vector>,
}

impl Cache {
    /// An empty one for the model with this hash.
    pub fn new(model: [u8; 32]) -> Self {
        Self {
            model,
            vectors: BTreeMap::new(),
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
        let entries = entries.iter().map(|entry| {
            let (hash, values) = entry.split_at(HASH_BYTES);
            let mut vector = [0.0; DIMENSIONS];
            for (value, bytes) in vector.iter_mut().zip(values.as_chunks::<4>().0) {
                *value = f32::from_le_bytes(*bytes);
            }
            let hash = hash.try_into().map_err(|_| CacheError::Damaged)?;
            let vector = Vector::of_unit(&vector).ok_or(CacheError::Damaged)?;
            Ok((hash, vector))
        });
        Ok(Self {
            model,
            vectors: entries.collect::<Result<_, _>>()?,
        })
    }

    /// The bytes to keep.
    pub fn encode(&self) -> Vec<u8> {
        let count = self.vectors.len().min(ENTRIES_MAX);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + count * ENTRY_BYTES + HASH_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(self.model);
        bytes.extend((count as u32).to_le_bytes());
        for (hash, vector) in self.vectors.iter().take(count) {
            bytes.extend(hash);
            for value in vector.values() {
                bytes.extend(value.to_le_bytes());
            }
        }
        let checksum = Sha256::digest(&bytes);
        bytes.extend(checksum);
        bytes
    }

    /// The vector of `text`, made by `embed` if it is not there.
    pub fn vector(&mut self, text: &str, embed: impl FnOnce(&str) -> Vector) -> Vector {
        let hash = Sha256::digest(text.as_bytes()).into();
        let entry = self.vectors.entry(hash);
        entry.or_insert_with(|| embed(text)).clone()
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
        let missing: BTreeMap<_, _> = all
            .filter(|(hash, _)| !self.vectors.contains_key(hash))
            .collect();
        let (hashes, texts): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
        let part = texts.len().div_ceil(threads.get()).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = texts
                .chunks(part)
                .map(|texts| scope.spawn(|| embed(texts)))
                .collect();
            for (hashes, part) in hashes.chunks(part).zip(parts) {
                let vectors = part.join().unwrap_or_default();
                self.vectors.extend(hashes.iter().copied().zip(vectors));
            }
        });
    }

    /// Drops the vectors of all other texts: those of playbooks that have gone.
    pub fn retain(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        let texts = texts.into_iter();
        let kept: std::collections::BTreeSet<Hash> = texts
            .map(|text| Sha256::digest(text.as_ref().as_bytes()).into())
            .collect();
        self.vectors.retain(|hash, _| kept.contains(hash));
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.vectors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }
}
