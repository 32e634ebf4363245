//! Who gets in: TLS 1.3 with an enrolled certificate of this authority, for its own purpose.

use std::sync::Arc;

use hostmedic_retain::{
    bundle::Bundle,
    fleet::{Fleet, FleetError},
    tls,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::TlsConnector;

use crate::stage::{Collector, Host, PATIENCE, acknowledged, failed};

/// Connects by hand and waits for the collector's first bytes, which it sends to nobody whose
/// certificate it refuses.
async fn knock(collector: &Collector, config: ClientConfig) -> Result<(), String> {
    let tcp = TcpStream::connect(collector.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect(name, tcp)
        .await
        .map_err(|error| error.to_string())?;
    match stream.read(&mut [0; 16]).await {
        Ok(0) => Err("closed".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn config(
    bundle: &Bundle,
    version: &'static rustls::SupportedProtocolVersion,
    with_certificate: bool,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(bundle.ca.as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = if with_certificate {
        let chain = vec![CertificateDer::from_pem_slice(bundle.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(bundle.key.as_bytes()).unwrap();
        builder.with_client_auth_cert(chain, key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn only_tls_13_with_a_certificate_of_ours_gets_in() {
    let collector = Collector::start();
    let stranger = Collector::start();
    let (ours, theirs) = (collector.enrol(&["web1"]), stranger.enrol(&["web1"]));
    let mut foreign = theirs.clone();
    foreign.ca = ours.ca.clone();
    assert_eq!(knock(&collector, config(&ours, &TLS13, true)).await, Ok(()));
    let check = async |what: &str, config, says: &str| {
        let refused = knock(&collector, config).await.expect_err(what);
        assert!(refused.contains(says), "{what}: {refused}");
    };
    check("TLS 1.2", config(&ours, &TLS12, true), "ProtocolVersion").await;
    check(
        "no certificate",
        config(&ours, &TLS13, false),
        "CertificateRequired",
    )
    .await;
    check(
        "another authority's certificate",
        config(&foreign, &TLS13, true),
        "alert",
    )
    .await;
    check(
        "a server of another authority",
        config(&theirs, &TLS13, true),
        "invalid peer certificate",
    )
    .await;
    // The collector is still there for the right ones.
    assert_eq!(knock(&collector, config(&ours, &TLS13, true)).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_does_not_talk_to_a_stranger() {
    let collector = Collector::start();
    let stranger = Collector::start();
    let mut bundle = collector.enrol(&["web1"]);
    bundle.collector = stranger.address.to_string();
    let host = Host::new(1);
    host.append(1, "secret");
    let mut replication = host.replicate(&bundle);
    let reason = failed(&mut replication).await;
    assert!(reason.contains("invalid peer certificate"), "{reason}");
    // Nor to our collector under a name that its certificate does not have.
    bundle.collector = collector.address.to_string();
    bundle.server_name = "other.example".into();
    let reason = failed(&mut host.replicate(&bundle)).await;
    assert!(reason.contains("not valid for name"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_certificate_is_for_its_own_purpose() {
    let collector = Collector::start();
    let (host, operator) = (
        collector.enrol(&["web1"]),
        collector.enrol(&["--operator", "ops"]),
    );
    let mut fleet = Fleet::connect(&host).await.unwrap();
    assert!(matches!(fleet.hosts().await, Err(FleetError::Forbidden(_))));
    assert!(matches!(
        fleet.verify("web1", |_, _| {}).await,
        Err(FleetError::Forbidden(_))
    ));
    let mut replication = Host::new(1).replicate(&operator);
    assert_eq!(
        replication.refusals.recv().await.unwrap().kind,
        "not_enrolled"
    );
    assert!(
        Fleet::connect(&operator)
            .await
            .unwrap()
            .hosts()
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_is_out_at_once_and_may_be_enrolled_again() {
    let collector = Collector::start();
    let bundle = collector.enrol(&["web1"]);
    let host = Host::new(1);
    host.append(2, "in");
    let mut replication = host.replicate(&bundle);
    acknowledged(&mut replication, host.seq()).await;
    let before = host.seq();
    collector.done(&["revoke", "web1"]);
    host.append(2, "out");
    assert_eq!(
        replication.refusals.recv().await.unwrap().kind,
        "not_enrolled"
    );
    replication.stop().await;
    assert_eq!(collector.only_host().await.accepted_seq, before);
    assert!(
        !collector.run(&["revoke", "web1"]).status.success(),
        "there is nobody left to revoke"
    );

    let mut replication = host.replicate(&collector.enrol(&["web1"]));
    acknowledged(&mut replication, host.seq()).await;
}

/// Goal: somebody who connects and says nothing does not keep a place.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_closed() {
    let collector = Collector::start();
    let mut silent = TcpStream::connect(collector.address).await.unwrap();
    let read = tokio::time::timeout(PATIENCE, silent.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "{read:?}");
}

#[test]
fn a_bundle_with_something_else_in_it_is_named() {
    let collector = Collector::start();
    let bundle = collector.enrol(&["web1"]);
    let spoil = |change: fn(&mut Bundle)| {
        let mut bundle = bundle.clone();
        change(&mut bundle);
        tls::client(&bundle).expect_err("it was used").to_string()
    };
    assert!(spoil(|bundle| bundle.ca = "x".into()).contains("PEM"));
    assert!(spoil(|bundle| bundle.key = "x".into()).contains("a private key"));
    assert!(spoil(|bundle| bundle.certificate = bundle.key.clone()).contains("certificate"));
    assert!(spoil(|bundle| bundle.server_name = "a b".into()).contains("server_name"));
}
