//! Text in, meaning out: the embedding by which a playbook is found for an incident.
//!
//! Without this crate only a playbook that uses an incident's own words would be found. No I/O and no
//! clock; the model is compiled in. The same text gives the same vector on every
//! processor, bit for bit: whole numbers are summed exactly, others always in the same order.
//!
//! Modules stand in the order a text meets them.

mod clean;
mod tokens;

mod file;
mod kernel;
mod math;
mod model;
mod transformer;

mod cache;

pub use cache::{Cache, CacheError};
pub use clean::clean;
pub use file::ModelError;
pub use kernel::Kernel;
pub use model::{Model, SHIPPED_SHA256, TOKENS_MAX};
