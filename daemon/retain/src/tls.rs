//! TLS 1.3 between hosts, operators and the collector: both sides show a certificate of the
//! collector's own authority, and nothing older or weaker is spoken.
//!
//! Our own configurations, because tonic's cannot exclude TLS 1.2.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
    version::TLS13,
};

use crate::bundle::Bundle;

/// HTTP/2, which gRPC runs over.
const ALPN: &[u8] = b"h2";

/// Why no connection can be set up.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be used for TLS: {why}")]
pub struct TlsError {
    /// Which piece.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: String,
}

fn bad(what: &'static str) -> impl Fn(&dyn std::fmt::Display) -> TlsError {
    move |why| TlsError {
        what,
        why: why.to_string(),
    }
}

/// What a host or operator connects with, and the name the collector must have.
///
/// # Errors
/// Names the piece of the bundle that is unusable.
pub fn client(bundle: &Bundle) -> Result<(Arc<ClientConfig>, ServerName<'static>), TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| bad("TLS 1.3")(&error))?
        .with_root_certificates(roots(&bundle.ca)?)
        .with_client_auth_cert(chain(&bundle.certificate)?, key(&bundle.key)?)
        .map_err(|error| bad("the bundle's certificate")(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would not show its certificate again.
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from(bundle.server_name.clone())
        .map_err(|error| bad("the bundle's server_name")(&error))?;
    Ok((Arc::new(config), name))
}

/// What the collector listens with: its authority, certificate and key, all PEM.
///
/// # Errors
/// Names the piece that is unusable.
pub fn server(ca: &str, certificate: &str, key_pem: &str) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), Arc::clone(&provider))
            .build()
            .map_err(|error| bad("the authority's certificate")(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| bad("TLS 1.3")(&error))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain(certificate)?, key(key_pem)?)
        .map_err(|error| bad("the collector's certificate")(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // No tickets: every connection shows its certificate, so that a removed one is out at once.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn roots(ca: &str) -> Result<RootCertStore, TlsError> {
    let what = bad("the authority's certificate");
    let mut roots = RootCertStore::empty();
    for certificate in chain(ca)? {
        roots.add(certificate).map_err(|error| what(&error))?;
    }
    Ok(roots)
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = bad("a certificate in PEM");
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| what(&error))?;
    if chain.is_empty() {
        return Err(what(&"there is none"));
    }
    Ok(chain)
}

fn key(pem: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| bad("a private key")(&error))
}
