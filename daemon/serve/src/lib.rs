//! The local API: HTTP and JSON on a Unix socket, where the peer's credentials decide.
//!
//! Without this crate nobody could ask a running daemon what it does, or stop it. Modules stand
//! in the order a request meets them: the socket, the connection, who asks, the routes, the
//! daemon behind its port.

pub mod socket;

pub mod server;

pub mod auth;

pub mod api;

mod failure;
mod query;
mod watch;

pub mod port;

#[cfg(feature = "testing")]
pub mod testing;

pub use api::{OPENAPI, Route, router, routes};
pub use auth::{Access, Peer, Role};
pub use port::{CommandRefused, Daemon, DaemonError};
pub use server::{Limits, serve};
pub use socket::{BoundSocket, SocketError, SocketOptions};
