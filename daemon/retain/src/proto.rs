//! Messages of `proto/collector.proto`, and the conversions to the chain's own types.

#![allow(
    missing_docs,
    clippy::doc_markdown,
    clippy::missing_errors_doc,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code; proto/collector.proto says what things mean"
)]

use crate::{
    chain::{self, Hash},
    store,
};

tonic::include_proto!("hostmedic.collector.v1");

/// Version of the protocol: both sides refuse another.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest message in bytes: a batch at its largest and its framing.
pub const MESSAGE_BYTES_MAX: usize = crate::ledger::BATCH_BYTES_MAX + (1 << 20);

impl From<&chain::Head> for Head {
    fn from(head: &chain::Head) -> Self {
        Self {
            host: head.host.clone(),
            from_seq: head.from_seq,
            seq: head.seq,
            hash: head.hash.0.to_vec(),
            at_wall_ms: head.at_wall_ms,
            signature: hex::decode(&head.signature).unwrap_or_default(),
        }
    }
}

impl TryFrom<Head> for chain::Head {
    type Error = String;

    fn try_from(head: Head) -> Result<Self, Self::Error> {
        Ok(Self {
            host: head.host,
            from_seq: head.from_seq,
            seq: head.seq,
            hash: hash(&head.hash)?,
            at_wall_ms: head.at_wall_ms,
            signature: hex::encode(head.signature),
        })
    }
}

impl From<store::Batch> for Batch {
    fn from(batch: store::Batch) -> Self {
        Self {
            head: Some(Head::from(&batch.head)),
            records: batch.records,
        }
    }
}

/// A hash from its bytes.
///
/// # Errors
/// When there are not 32 of them.
pub fn hash(bytes: &[u8]) -> Result<Hash, String> {
    bytes
        .try_into()
        .map(Hash)
        .map_err(|_| format!("a hash has 32 bytes, not {}", bytes.len()))
}
