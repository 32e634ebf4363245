//! The collector and its hosts, over real TLS on the loopback address, with the real program.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod catch_up;
mod disputes;
mod doors;
mod stage;
mod tampering;
