//! retain: keeps what must be kept, so that it cannot be changed unseen.
//!
//! Records become canonical bytes ([`canonical`]), are linked by their hashes and sealed by signed
//! heads ([`chain`], [`keys`]), lie durably on disk (`ledger`, `store`), can be checked by anybody
//! with the host's public key ([`verify`], [`export`]), and are copied to the collector
//! (`replicate`) that operators ask about the fleet (`fleet`).
//!
//! Without features this crate is pure: RocksDB is behind `rocksdb`, the network behind `grpc`.

pub mod canonical;
pub mod chain;
pub mod export;
#[cfg(feature = "rocksdb")]
mod head_file;
pub mod keys;
#[cfg(feature = "rocksdb")]
pub mod ledger;
#[cfg(feature = "rocksdb")]
pub mod rocks;
#[cfg(test)]
mod samples;
#[cfg(feature = "rocksdb")]
pub mod store;
pub mod verify;
