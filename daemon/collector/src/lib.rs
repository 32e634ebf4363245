//! The collector: takes the audit chains of many hosts, verifies each record before it
//! acknowledges it, keeps them durably, and answers operators.
//!
//! `authority` and `enrolled` decide who may speak; `listen` and `service` speak; `ingest`
//! decides what is taken; `store` keeps it; `serve` joins them.

mod answer;
pub mod authority;
pub mod config;
pub mod enrolled;
pub mod files;
mod incidents;
mod ingest;
mod links;
mod listen;
pub mod serve;
mod service;
mod session;
pub mod store;
pub mod verify;
