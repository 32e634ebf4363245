//! Carries out one step at a time, through systemd, and says how it ended.
//!
//! This is the only crate that changes a host. It holds no ledger and makes no decision: it is
//! given an intent that is already durable, makes that one call, and never a second.

pub mod capture;
pub mod crash;
#[cfg(feature = "dbus")]
pub mod systemd;
