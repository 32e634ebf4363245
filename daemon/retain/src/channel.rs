//! The connection to the collector that replication and fleet questions both use.

use std::{io, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::{
    bundle::Bundle,
    proto::{MESSAGE_BYTES_MAX, collector_client::CollectorClient},
    tls::{self, TlsError},
};

/// How long connecting, with its handshake, may take.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// Load balancers drop idle connections from 60 s on; a dead one must be noticed before that.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The bundle is unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The collector cannot be reached, or one side refused the other's certificate.
    #[error("cannot connect to the collector {address}: {why}")]
    Unreachable {
        /// Its address.
        address: String,
        /// What happened.
        why: String,
    },
}

/// Connects. That the collector has accepted us shows with its first answer only: in TLS 1.3 a
/// client learns of a refused certificate after its own handshake is done.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(bundle: &Bundle) -> Result<CollectorClient<Channel>, ConnectError> {
    let (config, server_name) = tls::client(bundle)?;
    let tls = TlsConnector::from(config);
    let address = bundle.collector.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (tls, address, server_name) = (tls.clone(), address.clone(), server_name.clone());
        async move {
            let tcp = TcpStream::connect(&address).await?;
            tcp.set_nodelay(true)?;
            Ok::<_, io::Error>(TokioIo::new(tls.connect(server_name, tcp).await?))
        }
    });
    // The name is never looked up: our connector knows the address.
    let endpoint = Endpoint::from_static("http://collector")
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_WAIT_MAX)
        .keep_alive_while_idle(true);
    let connecting = endpoint.connect_with_connector(connector);
    let unreachable = |why: String| ConnectError::Unreachable {
        address: bundle.collector.clone(),
        why,
    };
    match tokio::time::timeout(CONNECT_WAIT_MAX, connecting).await {
        Ok(Ok(channel)) => Ok(CollectorClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)),
        Ok(Err(error)) => Err(unreachable(with_sources(&error))),
        Err(_) => Err(unreachable(format!(
            "no answer within {CONNECT_WAIT_MAX:?}"
        ))),
    }
}

/// An error and its causes in one line; tonic's own text says only "transport error".
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
