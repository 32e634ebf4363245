//! What tests and the demo share: things of the real world that they set up and take down.
//!
//! Without this library each test would boot its own systemd in its own way. It stays light
//! (no async, no D-Bus) because the demo depends on it too.

mod cgroup;
#[cfg(feature = "crash")]
pub mod daemon;
#[cfg(feature = "kernel")]
pub mod host;
#[cfg(feature = "kernel")]
pub mod kernel;
pub mod machine;
#[cfg(feature = "kernel")]
pub mod net;
pub mod nspawn;
pub mod rootfs;
#[cfg(feature = "kernel")]
pub mod storage;
#[cfg(feature = "vm")]
pub mod vm;
