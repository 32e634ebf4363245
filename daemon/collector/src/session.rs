//! One host's link after its welcome: batches in, acknowledgements out.

use std::sync::Arc;

use hostmedic_retain::proto::{Accepted, Batch, FromHost, ToHost, from_host, to_host};
use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};

use crate::{
    answer::{blocking, find, now_wall_ms, refuse},
    enrolled::{Directory, Fingerprint},
    ingest::{self, Guest},
    links::Link,
    store::Store,
};

/// A host's link after its welcome.
pub(crate) struct Session {
    pub(crate) store: Arc<Store>,
    pub(crate) enrolled: Directory,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) guest: Guest,
    pub(crate) link: Link,
    pub(crate) stop: watch::Receiver<bool>,
}

impl Session {
    /// Takes what the host sends until either side ends it.
    pub(crate) async fn run(
        mut self,
        mut up: Streaming<FromHost>,
        down: mpsc::Sender<Result<ToHost, Status>>,
    ) {
        let end = loop {
            let message = tokio::select! {
                message = up.message() => message,
                () = self.link.replaced() => break Some(Status::aborted("the host connected again")),
                _ = self.stop.wait_for(|stop| *stop) => {
                    break Some(Status::unavailable("the collector stops"));
                }
            };
            let answer = match message {
                Ok(Some(FromHost {
                    message: Some(from_host::Message::Append(append)),
                })) => self.take(append.batches).await,
                Ok(Some(_)) => Err(Status::invalid_argument("expected an append")),
                Ok(None) => break None,
                // A message that is too large, or a link that broke: then nobody hears it.
                Err(status) => break Some(status),
            };
            match answer {
                // Waits for a slow host, which thereby is not read from any more.
                Ok(accepted) => {
                    if down.send(Ok(accepted)).await.is_err() {
                        break None;
                    }
                }
                Err(status) => break Some(status),
            }
        };
        tracing::info!(host = self.guest.id, end = ?end.as_ref().map(Status::message), "Host disconnected.");
        if let Some(status) = end {
            // The host may be gone already.
            let _ = down.send(Err(status)).await;
        }
    }

    async fn take(&self, batches: Vec<Batch>) -> Result<ToHost, Status> {
        find(&self.enrolled, &self.fingerprint)?;
        let (store, guest) = (Arc::clone(&self.store), self.guest.clone());
        let taken = blocking(move || {
            ingest::take(&store, &guest, batches, now_wall_ms())
                .map_err(|refused| refuse(&store, refused))
        });
        let accepted = taken.await??;
        let accepted = Accepted {
            seq: accepted.seq,
            hash: accepted.hash.0.to_vec(),
        };
        Ok(ToHost {
            message: Some(to_host::Message::Accepted(accepted)),
        })
    }
}
