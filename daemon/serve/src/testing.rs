//! A made-up daemon with a believable night behind it, for the tests of the API and of `medic`.

mod fake;
mod server;
mod story;

pub use fake::{FakeDaemon, Fault};
pub use server::{TestServer, own_access};
pub use story::{
    HELD, HOST, RESOLVED, T0, WAITING, at, baselines, calendar, coverage, events, incidents,
    playbooks, probes, records, series, status, top,
};
