//! Sources of facts: what the kernel's hooks and the host's own files and buses tell.

#[cfg(feature = "dbus")]
pub mod bus;
pub mod host;
pub mod journal;
#[cfg(feature = "kernel")]
pub mod kernel;
pub mod subject;
