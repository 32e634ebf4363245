//! What was learned as bytes that say what they are: one line with their kind and the SHA-256 of the
//! rest, then JSON.
//!
//! The checksum finds damage, not malice: whoever may write the daemon's files may do worse.

use hex::encode;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The longest first line.
const HEAD_MAX: usize = 256;

/// `body` as bytes of this kind.
pub(crate) fn seal(kind: &str, body: &impl Serialize) -> Vec<u8> {
    // Maps with keys that are no strings are the only thing that JSON refuses, and nobody has them.
    seal_bytes(kind, &serde_json::to_vec(body).unwrap_or_default())
}

/// Bytes of this kind around a body that is JSON already.
pub(crate) fn seal_bytes(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{kind} {}\n", encode(Sha256::digest(body))).into_bytes();
    bytes.extend(body);
    bytes
}

/// The kind and the body of bytes that were sealed as one of `kinds`, the newest first; `what` names
/// them for people.
///
/// # Errors
/// When the bytes are damaged, of another kind or something else.
pub(crate) fn open<'kind, 'bytes>(
    bytes: &'bytes [u8],
    what: &str,
    kinds: &[&'kind str],
) -> Result<(&'kind str, &'bytes [u8]), String> {
    let end = bytes.iter().take(HEAD_MAX).position(|byte| *byte == b'\n');
    let (head, body) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => return Err(format!("these are no {what}: the first line is missing")),
    };
    let head = std::str::from_utf8(head).unwrap_or_default();
    let Some((kind, checksum)) = head.rsplit_once(' ') else {
        return Err(format!(
            "these are no {what}: the first line says something else"
        ));
    };
    let Some(kind) = kinds.iter().find(|known| **known == kind) else {
        let newest = kinds.first().copied().unwrap_or_default();
        return Err(format!(
            "these are no {what} of this version: `{newest}` is expected"
        ));
    };
    if checksum != encode(Sha256::digest(body)) {
        return Err(format!("the {what} are damaged: their checksum is another"));
    }
    Ok((kind, body))
}
