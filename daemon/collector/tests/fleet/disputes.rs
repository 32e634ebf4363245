//! Chains that must not be taken, and how that is shown.

use hostmedic_model::time::At;
use hostmedic_retain::{
    channel,
    keys::HostKey,
    proto::{self, Append, Batch, FromHost, Hello, from_host},
    replicate::{REFUSAL_KEY, Refusal},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::stage::{Collector, Host, PATIENCE, acknowledged, note};

/// A collector that has a host's whole chain of seed 1, and the host's bundle.
async fn collector_with(host: &Host) -> (Collector, hostmedic_retain::bundle::Bundle) {
    let collector = Collector::start();
    let bundle = collector.enrol(&["web1"]);
    let mut replication = host.replicate(&bundle);
    acknowledged(&mut replication, host.seq()).await;
    replication.stop().await;
    (collector, bundle)
}

/// Replicates `other`, which must be refused as `kind`; the copy stays as it was.
async fn refused(host: &Host, other: &Host, kind: &str) {
    let (collector, bundle) = collector_with(host).await;
    let mut replication = other.replicate(&bundle);
    let refusal: Refusal = tokio::time::timeout(PATIENCE, replication.refusals.recv())
        .await
        .unwrap_or_else(|_| panic!("not refused: {:?}", replication.status.borrow()))
        .unwrap();
    assert_eq!(refusal.kind, kind, "{refusal:?}");
    // It goes on trying, is refused again, and says it once.
    let failed = replication
        .status
        .wait_for(|status| status.last_error.contains(&refusal.kind));
    assert!(!failed.await.unwrap().connected);
    let shown = loop {
        let shown = collector.only_host().await;
        if shown.disputes.iter().any(|dispute| dispute.times >= 2) {
            break shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(replication.refusals.try_recv().is_err(), "told twice");
    assert_eq!(shown.disputes.len(), 1, "{shown:?}");
    assert_eq!(
        (shown.disputes[0].kind.as_str(), &shown.disputes[0].reason),
        (kind, &refusal.reason)
    );
    assert_eq!(shown.accepted_seq, host.seq(), "the copy was touched");
    let verdict = collector
        .fleet()
        .await
        .verify("web1", |_, _| {})
        .await
        .unwrap();
    assert_eq!((verdict.bad, verdict.last_seq), (None, host.seq()));

    // The right chain is still welcome.
    replication.stop().await;
    host.append(3, "goes on");
    let mut replication = host.replicate(&bundle);
    acknowledged(&mut replication, host.seq()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_chain_is_refused() {
    let (host, other) = (Host::new(1), Host::new(1));
    host.append(10, "same");
    other.append(6, "same");
    refused(&host, &other, "truncated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_chain_after_records_is_refused() {
    let (host, other) = (Host::new(1), Host::new(1));
    host.append(2, "same");
    refused(&host, &other, "truncated").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_chain_of_the_same_length_is_refused() {
    let (host, other) = (Host::new(1), Host::new(1));
    host.append(10, "as it was");
    other.append(10, "rewritten");
    refused(&host, &other, "forked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_and_longer_chain_is_refused() {
    let (host, other) = (Host::new(1), Host::new(1));
    host.append(10, "as it was");
    other.append(30, "rewritten");
    refused(&host, &other, "forked").await;
}

/// A snapshot of the host is restored and lives on: same beginning, other continuation.
#[tokio::test(flavor = "multi_thread")]
async fn a_fork_after_a_common_beginning_is_refused() {
    let (host, other) = (Host::new(1), Host::new(1));
    host.append(5, "common");
    other.append(5, "common");
    host.append(3, "one way");
    other.append(9, "another way");
    refused(&host, &other, "forked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_speaks_for_one_audit_key() {
    let (host, other) = (Host::new(1), Host::new(2));
    host.append(2, "ours");
    other.append(5, "another host's");
    refused(&host, &other, "other_key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_given_at_enrolment_counts_from_the_start() {
    let collector = Collector::start();
    let (host, other) = (Host::new(1), Host::new(2));
    host.append(1, "a");
    other.append(1, "b");
    let key = host.ledger.public_key().to_string();
    let bundle = collector.enrol(&["web1", "--key", &key]);
    let mut replication = other.replicate(&bundle);
    let refusal = replication.refusals.recv().await.unwrap();
    assert_eq!(refusal.kind, "other_key");
    replication.stop().await;
    assert_eq!(collector.fleet().await.hosts().await.unwrap(), []);

    let mut replication = host.replicate(&bundle);
    acknowledged(&mut replication, 1).await;
    replication.stop().await;

    // Set up anew with another key: its operator says so, and both chains are kept.
    let bundle = collector.enrol(&["web1", "--key", &other.ledger.public_key().to_string()]);
    let mut replication = other.replicate(&bundle);
    acknowledged(&mut replication, 1).await;
    assert_eq!(collector.fleet().await.hosts().await.unwrap().len(), 2);
}

/// What a host that lies can send: says hello as it should, then this.
async fn send(
    bundle: &hostmedic_retain::bundle::Bundle,
    hello: Hello,
    batches: Vec<Batch>,
) -> Result<u64, Status> {
    let (up, outgoing) = tokio::sync::mpsc::channel(2);
    let message = |message| FromHost {
        message: Some(message),
    };
    up.send(message(from_host::Message::Hello(hello)))
        .await
        .unwrap();
    up.send(message(from_host::Message::Append(Append { batches })))
        .await
        .unwrap();
    let client = channel::connect(bundle).await.unwrap();
    let mut client = client.max_encoding_message_size(usize::MAX);
    let mut down = client
        .replicate(ReceiverStream::new(outgoing))
        .await?
        .into_inner();
    down.message().await?;
    match down.message().await?.and_then(|answer| answer.message) {
        Some(proto::to_host::Message::Accepted(accepted)) => Ok(accepted.seq),
        other => panic!("{other:?}"),
    }
}

/// Goal: nothing that does not verify is stored, whatever is wrong with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_is_not_stored() {
    let collector = Collector::start();
    let bundle = collector.enrol(&["web1"]);
    let host = Host::new(1);
    host.append(4, "true");
    let store = host.ledger.store();
    let hello = || Hello {
        version: proto::PROTOCOL_VERSION,
        hostname: "web1".into(),
        public_key: store.public_key().to_bytes().to_vec(),
        head: store.head().unwrap().as_ref().map(proto::Head::from),
    };
    let good = || -> Vec<Batch> {
        store
            .batches(0, usize::MAX)
            .unwrap()
            .into_iter()
            .map(Batch::from)
            .collect()
    };
    let forged = |batches: &mut Vec<Batch>| {
        let mut head = store.batches(0, 1).unwrap().remove(0).head;
        let thief = HostKey::from_seed([9; 32]);
        head.signature = hex::encode(thief.sign(head.signed_text().as_bytes()));
        batches[0].head = Some(proto::Head::from(&head));
    };
    type Lie<'a> = &'a dyn Fn(&mut Vec<Batch>);
    let lies: [(&str, Lie<'_>); 8] = [
        ("a byte of a record", &|batches| {
            batches[0].records[0][20] ^= 1;
        }),
        ("a head by another key", &forged),
        ("a head without a signature", &|batches| {
            batches[0].head.as_mut().unwrap().signature.clear();
        }),
        ("a head without a hash", &|batches| {
            batches[0].head.as_mut().unwrap().hash.clear();
        }),
        ("no head", &|batches| batches[0].head = None),
        ("a missing batch", &|batches| drop(batches.remove(0))),
        ("a missing record", &|batches| {
            batches[0].records.clear();
        }),
        ("an extra record", &|batches| {
            let extra = batches[0].records[0].clone();
            batches[0].records.push(extra);
        }),
    ];
    for (what, lie) in lies {
        let mut batches = good();
        lie(&mut batches);
        let refused = send(&bundle, hello(), batches).await.unwrap_err();
        let kind = refused
            .metadata()
            .get(REFUSAL_KEY)
            .and_then(|kind| kind.to_str().ok());
        assert_eq!(kind, Some("invalid"), "{what}: {refused:?}");
        assert_eq!(
            collector.only_host().await.accepted_seq,
            0,
            "{what} was stored"
        );
    }
    let mut huge = good();
    huge[0].records[0] = vec![b' '; proto::MESSAGE_BYTES_MAX];
    let refused = send(&bundle, hello(), huge).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::OutOfRange, "{refused:?}");
    // Good batches before a bad one are kept; sending them again is fine.
    let mut batches = good();
    batches[2].records[0][20] ^= 1;
    assert!(send(&bundle, hello(), batches).await.is_err());
    let kept = collector.only_host().await.accepted_seq;
    assert_eq!(kept, store.batches(0, usize::MAX).unwrap()[1].head.seq);
    assert_eq!(send(&bundle, hello(), good()).await.unwrap(), host.seq());
    assert_eq!(send(&bundle, hello(), good()).await.unwrap(), host.seq());

    // A head under a known record, though signed, that says something else: two histories.
    let twin = Host::new(1);
    twin.ledger
        .append(vec![note("twin")], At::default())
        .unwrap();
    let batches = twin.ledger.store().batches(0, usize::MAX).unwrap();
    let refused = send(
        &bundle,
        hello(),
        batches.into_iter().map(Batch::from).collect(),
    )
    .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.metadata().get(REFUSAL_KEY).unwrap(), "forked");
}

/// Goal: two histories that arrive at the same time do not both get in.
/// Method: a host and its restored snapshot replicate at once, each appending; whichever history
/// was first, the copy is one chain that verifies, and the other is disputed.
#[tokio::test(flavor = "multi_thread")]
async fn two_histories_at_once_do_not_mix() {
    let collector = Collector::start();
    let bundle = collector.enrol(&["web1"]);
    let (one, other) = (Host::new(1), Host::new(1));
    let links = [one.replicate(&bundle), other.replicate(&bundle)];
    for round in 0..20 {
        one.append(5, &format!("one way {round}"));
        other.append(5, &format!("another way {round}"));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let shown = loop {
        let shown = collector.only_host().await;
        if !shown.disputes.is_empty() && shown.accepted_seq == one.seq() {
            break shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(
        shown
            .disputes
            .iter()
            .all(|dispute| dispute.kind != "invalid"),
        "{shown:?}"
    );
    let tips = [&one, &other].map(|host| host.ledger.store().tip().hash.to_string());
    assert!(tips.contains(&shown.accepted_hash), "{shown:?}");
    let verdict = collector
        .fleet()
        .await
        .verify("web1", |_, _| {})
        .await
        .unwrap();
    assert_eq!(
        (verdict.bad, verdict.last_hash),
        (None, shown.accepted_hash)
    );
    for link in links {
        link.stop().await;
    }
}
