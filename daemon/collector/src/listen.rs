//! The door: accepts TCP, does the TLS handshake in bounded time, passes connections on.

use std::{io, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a handshake may take.
const HANDSHAKE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Handshakes at one time. Each costs about a millisecond of CPU, so more would only queue up.
const HANDSHAKES_MAX: usize = 256;
/// Pause after a failed accept: without free file descriptors it fails at once and again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection whose peer has shown a certificate of our authority.
pub(crate) type Connection = TlsStream<TcpStream>;

/// Accepts connections for as long as somebody takes them.
pub(crate) fn accept(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
) -> mpsc::Receiver<Result<Connection, io::Error>> {
    let (connections, taken) = mpsc::channel(HANDSHAKES_MAX);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let acceptor = TlsAcceptor::from(tls);
    tokio::spawn(async move {
        while !connections.is_closed() {
            let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else {
                return;
            };
            let (tcp, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "Cannot accept a connection.");
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
                () = connections.closed() => return,
            };
            let (acceptor, connections) = (acceptor.clone(), connections.clone());
            tokio::spawn(async move {
                let _permit = permit;
                match timeout(HANDSHAKE_WAIT_MAX, handshake(&acceptor, tcp)).await {
                    // Nobody takes it only while the collector stops.
                    Ok(Ok(connection)) => drop(connections.send(Ok(connection)).await),
                    Ok(Err(error)) => tracing::info!(%peer, %error, "Refused a connection."),
                    Err(_) => tracing::info!(%peer, "Gave up on a slow handshake."),
                }
            });
        }
    });
    taken
}

async fn handshake(acceptor: &TlsAcceptor, tcp: TcpStream) -> io::Result<Connection> {
    tcp.set_nodelay(true)?;
    acceptor.accept(tcp).await
}
