//! A real server on a real socket in front of the made-up daemon, on a thread of its own, so
//! that a test may also run programs that talk to it.

use std::{path::PathBuf, sync::Arc, thread::JoinHandle};

use nix::unistd::{Gid, Group};
use tokio::sync::oneshot;

use super::FakeDaemon;
use crate::{Access, BoundSocket, Limits, SocketOptions, router, serve};

/// A running server; it stops when it is dropped.
#[derive(Debug)]
pub struct TestServer {
    /// The daemon behind it.
    pub daemon: Arc<FakeDaemon>,
    /// Its socket.
    pub socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Serves on `socket`, for those whom `access` admits.
    ///
    /// # Panics
    /// When the socket cannot be made.
    pub fn start(socket: impl Into<PathBuf>, access: Access, limits: Limits) -> Self {
        let daemon = Arc::new(FakeDaemon::default());
        let options = SocketOptions {
            // The tests are about the door, not about the file.
            mode: 0o666,
            ..SocketOptions::at(socket)
        };
        let socket = options.path.clone();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let behind = Arc::clone(&daemon);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap_or_else(|error| panic!("no runtime: {error}"));
            runtime.block_on(async {
                let bound = BoundSocket::bind(&options).unwrap_or_else(|error| panic!("{error}"));
                let router = router(behind, access, limits.request_max);
                ready.send(()).ok();
                serve(bound, router, limits, async {
                    stopped.await.ok();
                })
                .await;
            });
        });
        assert!(is_ready.recv().is_ok(), "the server did not start");
        Self {
            daemon,
            socket,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Stops it and waits for its end.
    pub fn stop(&mut self) {
        // Each fails only when the server has ended already.
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Access for whoever runs the tests: the own primary group may command.
///
/// # Panics
/// When that group has no name.
pub fn own_access() -> Access {
    let group = Group::from_gid(Gid::current()).ok().flatten();
    let name = group.map_or_else(|| panic!("own group has no name"), |group| group.name);
    Access {
        reader_group: name.clone(),
        operator_group: name,
    }
}
