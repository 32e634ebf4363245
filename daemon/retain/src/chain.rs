//! The hash chain: how a record is linked to the one before it, how a batch is sealed, and how
//! both are verified. Pure: bytes in, verdict out.
//!
//! A record's hash is the SHA-256 of its canonical bytes; the next record holds it as `prev`. A
//! signed [`Head`] seals every append batch and says which records it covers, so that neither a
//! record nor a head can be changed, left out, doubled or moved unseen. What the chain alone
//! cannot show is that its newest batches were cut off: for that the verifier is told where the
//! chain must end.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::keys::{HostKey, PublicKey};

mod verifier;

pub use verifier::{BATCH_RECORDS_MAX, BadRecord, Fault, Verifier};

/// SHA-256 of a record's bytes; written as 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first record has as `prev`.
    pub const ZERO: Self = Self([0; 32]);

    /// Hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|error| format!("`{text}` is no SHA-256 in hex: {error}"))?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// A place in the chain: a record's number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Number of the record; 0 stands before the first.
    #[serde(with = "hostmedic_model::wide")]
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Link {
    /// Before the first record.
    pub const START: Self = Self {
        seq: 0,
        hash: Hash::ZERO,
    };
}

/// The host's signature under a batch of records and so under all before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Whose chain.
    pub host: String,
    /// First record that this head covers: the one after the head before.
    #[serde(with = "hostmedic_model::wide")]
    pub from_seq: u64,
    /// Last record that it covers.
    #[serde(with = "hostmedic_model::wide")]
    pub seq: u64,
    /// Hash of that record.
    pub hash: Hash,
    /// When it was signed, Unix milliseconds.
    #[serde(with = "hostmedic_model::wide")]
    pub at_wall_ms: i64,
    /// Ed25519 (RFC 8032) over [`Head::signed_text`], hex.
    pub signature: String,
}

impl Head {
    /// Seals the records from `from_seq` to `last`.
    pub fn sign(key: &HostKey, from_seq: u64, last: Link, at_wall_ms: i64) -> Self {
        let mut head = Self {
            host: key.public().host_id(),
            from_seq,
            seq: last.seq,
            hash: last.hash,
            at_wall_ms,
            signature: String::new(),
        };
        head.signature = hex::encode(key.sign(head.signed_text().as_bytes()));
        head
    }

    /// The last record it covers.
    pub fn link(&self) -> Link {
        Link {
            seq: self.seq,
            hash: self.hash,
        }
    }

    /// What is signed. Its first line keeps the signature from meaning anything else.
    pub fn signed_text(&self) -> String {
        format!(
            "hostmedic audit head v1\nhost {}\nrecords {} to {}\nhash {}\nat {}\n",
            self.host, self.from_seq, self.seq, self.hash, self.at_wall_ms
        )
    }

    /// Holds the signature and the host against `key`.
    ///
    /// # Errors
    /// [`Fault::WrongHost`] and [`Fault::BadSignature`].
    pub fn verify(&self, key: &PublicKey) -> Result<(), Fault> {
        if self.host != key.host_id() {
            return Err(Fault::WrongHost {
                found: self.host.clone(),
                expected: key.host_id(),
            });
        }
        let mut signature = [0; 64];
        let decoded = hex::decode_to_slice(&self.signature, &mut signature);
        // Upper-case digits would decode too: one signature must have one spelling.
        let spelled_right = decoded.is_ok() && hex::encode(signature) == self.signature;
        if spelled_right && key.verifies(self.signed_text().as_bytes(), &signature) {
            return Ok(());
        }
        Err(Fault::BadSignature { at: self.seq })
    }
}

#[cfg(test)]
mod tests;
