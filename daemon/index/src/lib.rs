//! The index of meanings: finds the nearest of many vectors, and keeps vectors between starts.
//!
//! Without this crate a large library would be scanned for each incident and embedded anew at each
//! start. Apart from `hostmedic-reason`, because it links C++ (usearch).

mod cache;
mod graph;

pub use cache::{Cache, CacheError};
pub use graph::{Graph, GraphError};
