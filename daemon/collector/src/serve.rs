//! Runs the collector until it is told to stop.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use hostmedic_retain::{
    proto::{MESSAGE_BYTES_MAX, collector_server::CollectorServer},
    tls,
};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::{config::Config, enrolled::Directory, files, listen, service::Service, store::Store};

/// A dead peer must be noticed before its place is missed.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(30);
const KEEPALIVE_WAIT_MAX: Duration = Duration::from_secs(20);
/// One for replication or one a question, and room for a few more.
const STREAMS_MAX: u32 = 8;
/// How long links may take to end once the collector stops.
const STOP_WAIT_MAX: Duration = Duration::from_secs(10);

/// Serves until `stop` is ready. `ready` is called with the address once hosts can connect.
///
/// # Errors
/// When it cannot start; names what is missing.
pub async fn serve(
    config: &Config,
    ready: impl FnOnce(std::net::SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let read = |path: PathBuf| files::read(&path).context("run `medic-collector init` first");
    let tls = tls::server(
        &read(config.ca())?,
        &read(config.certificate())?,
        &read(config.key())?,
    )?;
    let copies = config.copies();
    let store = tokio::task::spawn_blocking(move || Store::open(&copies)).await??;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener
        .local_addr()
        .context("the listener has no address")?;

    let (stopping, stopped) = watch::channel(false);
    let enrolled = Directory::new(config.enrolled());
    let service = Service::new(Arc::new(store), enrolled, config.links_max, stopped.clone());
    let service = CollectorServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let connections = ReceiverStream::new(listen::accept(listener, tls));
    let mut ended = stopped.clone();
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_EVERY))
        .http2_keepalive_timeout(Some(KEEPALIVE_WAIT_MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_pending_accept_reset_streams(Some(STREAMS_MAX as usize))
        .add_service(service)
        .serve_with_incoming_shutdown(connections, async move {
            // The sender lives as long as this function.
            let _ = ended.wait_for(|stop| *stop).await;
        });
    tracing::info!(%address, "Collector is ready.");
    ready(address);

    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => served.context("serving ended")?,
        () = stop => {
            stopping.send_replace(true);
            tracing::info!("Collector stops.");
            match tokio::time::timeout(STOP_WAIT_MAX, serving).await {
                Ok(served) => served.context("serving ended badly")?,
                Err(_) => tracing::warn!("Some links did not end in time."),
            }
        }
    }
    Ok(())
}
