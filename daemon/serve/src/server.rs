//! The connections: bounded in number, in what they may send and in how long they may take.
//!
//! One user alone can never take every place, and root always finds one: at 3 a.m. `medic pause`
//! must get through, whatever else talks to the socket.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{auth::Peer, socket::BoundSocket};

/// Bounds of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections of all users but root.
    pub connections_max: usize,
    /// Connections of one user that is not root.
    pub connections_per_user_max: usize,
    /// Connections kept free for root, beside the others.
    pub connections_root_max: usize,
    /// Time for a request's head to arrive.
    pub head_max: Duration,
    /// Time from a request's head to the beginning of its answer.
    pub request_max: Duration,
    /// Time for open connections to end when the daemon stops.
    pub stop_max: Duration,
}

impl Default for Limits {
    /// Far more than people and their tools need; far less than would hurt the daemon.
    fn default() -> Self {
        Self {
            connections_max: 48,
            connections_per_user_max: 16,
            connections_root_max: 16,
            head_max: Duration::from_secs(5),
            request_max: Duration::from_secs(10),
            stop_max: Duration::from_secs(2),
        }
    }
}

/// A request has few headers; a client with more is none of ours.
const HEADERS_MAX: usize = 32;

/// Bytes of a request's head, at most. hyper's own lower bound is 8 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Pause after a failed accept: a lack of file descriptors does not go away by asking faster.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Peers that are being told at one time that there is no place.
const REFUSALS_MAX: usize = 16;

/// Time for such a peer to ask and to hear it.
const REFUSAL_MAX: Duration = Duration::from_secs(1);

/// What a peer hears when there is no place for it.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/json\r\nconnection: close\r\ncontent-length: 126\r\n\r\n\
{\"error\":{\"code\":\"busy\",\"message\":\"too many connections are open\",\
\"hint\":\"end a `medic watch` and try again, or ask as root\"}}";

/// Serves `router` on `socket` until `stop` ends, then ends the connections and removes the
/// socket's file.
pub async fn serve(
    socket: BoundSocket,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Places::new(limits));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            stream = accept(&socket.listener) => stream,
            // Ended ones are collected as they end, or the set would grow for ever.
            Some(_) = connections.join_next() => continue,
        };
        let Some((stream, peer)) = stream else {
            continue;
        };
        let Some(place) = Places::take(&places, peer.uid) else {
            tracing::warn!(
                uid = peer.uid,
                pid = peer.pid,
                "Refused a connection: too many are open."
            );
            // Without a permit it is dropped in silence: there are too many even to be told.
            if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                connections.spawn(async move {
                    turn_away(stream).await;
                    drop(permit);
                });
            }
            continue;
        };
        let router = router.clone();
        let stopped = stopped.clone();
        connections.spawn(async move {
            talk(stream, peer, router, limits, stopped).await;
            drop(place);
        });
    }
    drop(socket);
    // Only fails when no connection listens any more, which is what it is for.
    let _ = stopping.send(true);
    let ended = timeout(limits.stop_max, async {
        while connections.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        // Watchers never end by themselves.
        connections.shutdown().await;
    }
}

/// The next connection and who made it; `None` after a failure, which is logged.
async fn accept(listener: &UnixListener) -> Option<(UnixStream, Peer)> {
    let (stream, _) = match listener.accept().await {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::warn!(%error, "Could not accept a connection.");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            return None;
        }
    };
    match stream.peer_cred() {
        Ok(credentials) => {
            let peer = Peer {
                uid: credentials.uid(),
                gid: credentials.gid(),
                pid: credentials.pid(),
            };
            Some((stream, peer))
        }
        Err(error) => {
            tracing::warn!(%error, "Dropped a connection whose peer the kernel would not name.");
            None
        }
    }
}

/// Says that there is no place, once the peer has asked: a client takes an answer that comes
/// before its question for noise.
async fn turn_away(mut stream: UnixStream) {
    let answer = async {
        // The first byte will do: what is asked changes nothing.
        stream.read_exact(&mut [0; 1]).await?;
        stream.write_all(FULL).await
    };
    // A peer that does not ask, or has gone, need not know.
    let _ = timeout(REFUSAL_MAX, answer).await;
}

/// Answers the requests of one connection, until it ends or the daemon stops.
async fn talk(
    stream: UnixStream,
    peer: Peer,
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) {
    let service = TowerToHyperService::new(router.layer(Extension(peer)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_max)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, uid = peer.uid, "A connection ended badly.");
    }
}

/// How many connections each user has.
struct Places {
    limits: Limits,
    taken: Mutex<HashMap<u32, usize>>,
}

impl Places {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Mutex::new(HashMap::new()),
        }
    }

    /// A place for `uid`, given back when it is dropped; `None` when there is none.
    fn take(places: &Arc<Self>, uid: u32) -> Option<Place> {
        let mut taken = places.lock();
        let own = taken.get(&uid).copied().unwrap_or(0);
        let others: usize = taken
            .iter()
            .filter(|(user, _)| **user != 0)
            .map(|(_, count)| count)
            .sum();
        let free = if uid == 0 {
            own < places.limits.connections_root_max
        } else {
            own < places.limits.connections_per_user_max && others < places.limits.connections_max
        };
        if !free {
            return None;
        }
        taken.insert(uid, own + 1);
        Some(Place {
            places: Arc::clone(places),
            uid,
        })
    }

    /// The counts stay right even if a thread died while it held the lock: each change is one
    /// insert or remove.
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One taken place.
struct Place {
    places: Arc<Places>,
    uid: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    fn places() -> Arc<Places> {
        Arc::new(Places::new(Limits {
            connections_max: 3,
            connections_per_user_max: 2,
            connections_root_max: 1,
            ..Limits::default()
        }))
    }

    #[test]
    fn one_user_cannot_take_every_place() {
        let places = places();
        let held: Vec<_> = (0..2)
            .map(|_| Places::take(&places, 1000).unwrap())
            .collect();
        assert!(Places::take(&places, 1000).is_none());
        assert!(Places::take(&places, 1001).is_some());
        drop(held);
        assert!(Places::take(&places, 1000).is_some());
    }

    #[test]
    fn root_finds_a_place_when_all_are_taken() {
        let places = places();
        let held = [
            Places::take(&places, 1000).unwrap(),
            Places::take(&places, 1000).unwrap(),
            Places::take(&places, 1001).unwrap(),
        ];
        assert!(Places::take(&places, 1002).is_none());
        let root = Places::take(&places, 0).unwrap();
        assert!(Places::take(&places, 0).is_none(), "root is bounded, too");
        drop(held);
        drop(root);
        assert!(places.lock().is_empty());
    }

    #[test]
    fn busy_answer_is_well_formed() {
        let text = std::str::from_utf8(FULL).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
        let failure: hostmedic_model::view::Failure = serde_json::from_str(body).unwrap();
        assert_eq!(failure.error.code, "busy");
    }
}
