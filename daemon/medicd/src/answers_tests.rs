//! Questions about the past, against a real ledger and a real store of events.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use hostmedic_model::{
    loss::{Coverage, HookCounters, HookReport, QueueCounters},
    playbook::Phase,
    record::{CoverageRow, Started},
    signal::{Fact, Signal, SignalKind},
    subject::Subject,
    time::{At, BootId},
};
use hostmedic_retain::{events::Keep, keys::HostKey, ledger::Ledger};

use hostmedic_model::view::Budget;
use hostmedic_observe::subject::Subjects;

use super::*;
use crate::{attribute::Attribution, sink::EventSink};

const MIN: i64 = 60_000;

fn at(minute: i64) -> At {
    At {
        boot_ns: (minute * MIN * 1_000_000) as u64,
        wall_ms: minute * MIN,
    }
}

fn started() -> Body {
    Body::Started(Started {
        version: String::new(),
        kernel: String::new(),
        hostname: String::new(),
        hooks: vec![HookReport {
            hook: "oom_victim".to_owned(),
            attach_point: String::new(),
            coverage: Coverage::Captured,
            reason: String::new(),
        }],
        playbooks: Vec::new(),
        phase: Phase::Observe,
        blind: None,
    })
}

fn row(from: i64, seen: u64) -> Body {
    Body::Coverage(CoverageRow {
        from: at(from),
        to: At::default(),
        reduced: Vec::new(),
        hooks: vec![HookCounters {
            hook: "oom_victim".to_owned(),
            seen,
            delivered: seen,
            ..HookCounters::default()
        }],
        queues: QueueCounters::default(),
    })
}

/// Up since minute 1, a row each 15 minutes, and enough between them for several chunks.
fn ledger(dir: &std::path::Path) -> Ledger {
    let ledger = Ledger::open(dir, HostKey::from_seed([7; 32]), BootId("1".to_owned())).unwrap();
    ledger.append(vec![started()], at(1)).unwrap();
    for n in 0..10 {
        let noise = || Body::ReplicationRefused {
            reason: String::new(),
        };
        let noise = std::iter::repeat_with(noise).take(100).collect();
        ledger.append(noise, at(2 + n * 15)).unwrap();
        let seen = if n < 5 { 3 } else { 4 };
        ledger
            .append(vec![row(1 + n * 15, seen)], at(16 + n * 15))
            .unwrap();
    }
    ledger
}

fn api(ledger: &Ledger, events: Option<Events>) -> (Api, mpsc::Receiver<Question>) {
    let (questions, asked) = mpsc::channel(1);
    let budget = Budget {
        hook_ratio: 0.002,
        all_ratio: 0.01,
    };
    let sink = Arc::new(EventSink::without_store());
    let vitals = Vitals::new(budget, sink, Attribution::new(Subjects::new()));
    let records = broadcast::channel(1).0;
    (
        Api::new(questions, ledger.store(), records, events, Arc::new(vitals)),
        asked,
    )
}

#[tokio::test]
async fn coverage_is_told_from_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    let (api, _asked) = api(&ledger, None);
    let ask = async |hook: &str, since, until: Option<i64>| {
        api.coverage(CoverageQuery {
            hook: hook.to_owned(),
            since_ms: since * MIN,
            until_ms: until.map(|until| until * MIN),
        })
        .await
        .unwrap()
    };
    // The three kills lie before the span: the row before it tells them apart.
    let quiet = ask("oom_victim", 46, Some(76)).await.unwrap();
    assert_eq!((quiet.proven, quiet.seen), (true, 0), "{}", quiet.statement);
    let later = ask("oom_victim", 46, None).await.unwrap();
    assert_eq!((later.proven, later.seen), (true, 1), "{}", later.statement);
    assert_eq!(later.asked.to_ms, 151 * MIN);
    let whole = ask("oom_victim", 0, None).await.unwrap();
    assert_eq!(
        (whole.proven, whole.seen),
        (false, 4),
        "{}",
        whole.statement
    );
    assert_eq!(ask("nonsense", 46, None).await, None);
}

#[test]
fn an_account_begins_with_the_start_before_the_row_before_the_span() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path());
    let store = ledger.store();
    let second = store.tip().seq + 1;
    ledger.append(vec![started()], at(160)).unwrap();
    ledger.append(vec![row(160, 0)], at(175)).unwrap();
    // Before the second run's first row the first run's last one is needed.
    assert_eq!(account_begin(&store, 174 * MIN).unwrap(), 1);
    assert_eq!(account_begin(&store, 176 * MIN).unwrap(), second);
    assert_eq!(account_begin(&store, 0).unwrap(), 1);
}

#[tokio::test]
async fn events_come_from_their_store() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(&dir.path().join("ledger"));
    let (without, _asked) = api(&ledger, None);
    let query = EventQuery {
        kinds: vec![SignalKind::UnitRemoved],
        limit: 10,
        ..EventQuery::default()
    };
    assert!(matches!(
        without.events(query.clone()).await,
        Err(DaemonError::Unavailable { .. })
    ));
    let events = Events::open(&dir.path().join("events"), Keep::default()).unwrap();
    let signal = Signal {
        at: at(5),
        subject: Subject::Host,
        fact: Fact::UnitRemoved,
    };
    events
        .append(std::slice::from_ref(&signal), 5 * MIN)
        .unwrap();
    let (api, mut asked) = api(&ledger, Some(events));
    // The loop knows what became of events before the store.
    let (page, ()) = tokio::join!(api.events(query), async {
        if let Some(Question::Status(reply)) = asked.recv().await {
            reply.send(hostmedic_serve::testing::status()).unwrap();
        }
    });
    let page = page.unwrap();
    let rows: Vec<_> = page.events.into_iter().map(|row| row.signal).collect();
    assert_eq!((rows, page.kept_since), (vec![signal], Some(at(5))));
    assert_eq!(page.queues, hostmedic_serve::testing::status().queues);
}
