//! The index of meanings: finds the nearest of many vectors.
//!
//! Without this crate a large library would be scanned for each incident. Apart from
//! `hostmedic-reason`, because it links C++ (usearch).

mod graph;

pub use graph::{Graph, GraphError};
