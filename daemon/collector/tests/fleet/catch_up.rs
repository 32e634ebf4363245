//! Nothing is lost, whatever happens to the link or the collector.

use std::time::Duration;

use hostmedic_model::{
    incident::{IncidentId, IncidentStatus},
    record::Body,
    time::At,
};
use hostmedic_retain::fleet::IncidentFilter;

use crate::stage::{Collector, Host, acknowledged, failed, opened};

/// Goal: a host that outlives its collector catches up, and the copy is the chain.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_catches_up_after_the_collector_was_killed() {
    let collector = Collector::start();
    let bundle = collector.enrol(&["web1"]);
    let host = Host::new(1);
    host.append(20, "before");
    let mut replication = host.replicate(&bundle);
    acknowledged(&mut replication, host.seq()).await;
    host.append(20, "while up");
    acknowledged(&mut replication, host.seq()).await;

    let collector = collector.kill();
    let reason = failed(&mut replication).await;
    assert!(!replication.status.borrow().connected, "{reason}");
    host.append(200, "while down");
    let collector = collector.serve();
    acknowledged(&mut replication, host.seq()).await;
    assert!(replication.status.borrow().connected);

    let shown = collector.only_host().await;
    let tip = host.ledger.store().tip();
    assert_eq!(
        (shown.name.as_str(), shown.hostname.as_str()),
        ("web1", "web1.example")
    );
    assert_eq!(
        (shown.accepted_seq, shown.accepted_hash),
        (tip.seq, tip.hash.to_string())
    );
    assert_eq!((shown.connected, shown.disputes), (true, vec![]));
    let mut steps = Vec::new();
    let mut fleet = collector.fleet().await;
    let verdict = fleet
        .verify("web1", |done, all| steps.push((done, all)))
        .await
        .unwrap();
    assert_eq!(
        (verdict.bad, verdict.records, verdict.last_seq),
        (None, tip.seq, tip.seq)
    );
    assert_eq!(
        steps.last(),
        Some(&(tip.seq, tip.seq)),
        "progress ends at the end"
    );

    let said = collector.done(&["verify"]);
    assert!(said.starts_with("ok   web1 "), "{said}");
    replication.stop().await;
    let (collector, code) = collector.terminate();
    assert_eq!(code, Some(0));
    let said = collector.done(&["verify", "--host", "web1"]);
    assert!(
        said.contains(&format!("up to record {} {}", tip.seq, tip.hash)),
        "{said}"
    );
}

/// Goal: what was acknowledged is on the collector's disk, at whatever moment it is killed.
/// Method: ten times it is killed while records stream in; each time its copy, read from the
/// disk, verifies and reaches at least to what the host was told.
#[tokio::test(flavor = "multi_thread")]
async fn no_kill_of_the_collector_loses_what_it_acknowledged() {
    let mut collector = Collector::start();
    let bundle = collector.enrol(&["web1"]);
    let host = Host::new(1);
    let mut replication = host.replicate(&bundle);
    for round in 0..10_u64 {
        host.append(30, "stream");
        // From before the first acknowledgement of the round to after the last.
        tokio::time::sleep(Duration::from_millis(round * 9)).await;
        collector = collector.kill();
        let told = replication.status.borrow().acknowledged_seq;
        if told > 0 {
            let said = collector.done(&["verify"]);
            let kept = said
                .split("up to record ")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap();
            assert!(
                kept.parse::<u64>().unwrap() >= told,
                "round {round}: {told} told, {said}"
            );
        }
        collector = collector.serve();
    }
    acknowledged(&mut replication, host.seq()).await;
    let verdict = collector
        .fleet()
        .await
        .verify("web1", |_, _| {})
        .await
        .unwrap();
    assert_eq!((verdict.bad, verdict.last_seq), (None, host.seq()));
}

/// Goal: a host without its collector works, and one that comes late gets everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_comes_late_gets_everything() {
    let collector = Collector::start();
    let bundle = collector.enrol(&["web1"]);
    let collector = collector.kill();
    let host = Host::new(1);
    let mut replication = host.replicate(&bundle);
    failed(&mut replication).await;
    host.append(500, "alone");
    let collector = collector.serve();
    acknowledged(&mut replication, host.seq()).await;
    assert_eq!(collector.only_host().await.accepted_seq, host.seq());
}

/// Goal: the fleet's incident list says what the records say.
#[tokio::test(flavor = "multi_thread")]
async fn incidents_of_the_fleet_are_listed_newest_first() {
    let collector = Collector::start();
    let (one, two) = (Host::new(1), Host::new(2));
    let closed = |id: &str, status| Body::IncidentClosed {
        incident: IncidentId(id.into()),
        status,
        reason: "because".into(),
    };
    let at = At {
        boot_ns: 1,
        wall_ms: 5_000,
    };
    one.ledger
        .append(vec![opened("inc_1", 1_000), opened("inc_3", 3_000)], at)
        .unwrap();
    one.ledger
        .append(vec![closed("inc_1", IncidentStatus::Resolved)], at)
        .unwrap();
    one.ledger
        .append(vec![closed("inc_3", IncidentStatus::Escalated)], at)
        .unwrap();
    two.ledger.append(vec![opened("inc_2", 2_000)], at).unwrap();
    let mut links = [
        one.replicate(&collector.enrol(&["web1"])),
        two.replicate(&collector.enrol(&["web2"])),
    ];
    acknowledged(&mut links[0], 4).await;
    acknowledged(&mut links[1], 1).await;

    let mut fleet = collector.fleet().await;
    let mut list = async |host: Option<&str>, open_only, limit| -> Vec<(String, String, String)> {
        let filter = IncidentFilter {
            host: host.map(str::to_owned),
            open_only,
            limit,
        };
        let rows = fleet.incidents(filter).await.unwrap();
        rows.into_iter()
            .map(|row| (row.incident, row.name, row.status))
            .collect()
    };
    let row =
        |id: &str, name: &str, status: &str| (id.to_owned(), name.to_owned(), status.to_owned());
    let all = [
        row("inc_3", "web1", "escalated"),
        row("inc_2", "web2", "open"),
        row("inc_1", "web1", "resolved"),
    ];
    assert_eq!(list(None, false, 0).await, all);
    assert_eq!(list(None, false, 2).await, all[..2]);
    assert_eq!(list(None, true, 0).await, all[..2]);
    assert_eq!(list(Some("web2"), false, 0).await, all[1..2]);
    assert_eq!(
        list(Some(&one.ledger.store().host()), true, 0).await,
        all[..1]
    );
}
