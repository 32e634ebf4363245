//! retain: keeps what must be kept, so that it cannot be changed unseen.
//!
//! Records become canonical bytes ([`canonical`]), are linked by their hashes and sealed by signed
//! heads ([`chain`], [`keys`]), lie durably on disk (`ledger`, `store`), can be checked by anybody
//! with the host's public key ([`verify`], [`export`]), and are copied to the collector
//! (`replicate`) that operators ask about the fleet (`fleet`). Beside them lie the newest events
//! (`events`), which prove nothing and are kept while there is room.
//!
//! Without features this crate is pure: RocksDB is behind `rocksdb`, the network behind `grpc`
//! (which reads what it sends from the store, and so needs both).

#[cfg(feature = "grpc")]
pub mod bundle;
pub mod canonical;
pub mod chain;
#[cfg(feature = "grpc")]
pub mod channel;
#[cfg(feature = "rocksdb")]
pub mod events;
pub mod export;
#[cfg(feature = "grpc")]
pub mod fleet;
#[cfg(feature = "rocksdb")]
mod head_file;
pub mod keys;
#[cfg(feature = "rocksdb")]
pub mod ledger;
#[cfg(feature = "grpc")]
pub mod proto;
#[cfg(feature = "grpc")]
pub mod replicate;
#[cfg(feature = "rocksdb")]
pub mod rocks;
#[cfg(test)]
mod samples;
#[cfg(feature = "rocksdb")]
pub mod store;
#[cfg(feature = "grpc")]
pub mod tls;
pub mod verify;
