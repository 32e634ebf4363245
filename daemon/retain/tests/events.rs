//! The store of events on a real disk: what is kept, what goes, and what damage costs.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{fs, path::Path, time::Duration};

use hostmedic_model::{
    loss::QueueCounters,
    signal::{Fact, OomKill, Signal, SignalKind},
    subject::{Subject, UnitName},
    time::At,
    view::{EventQuery, EventRow},
};
use hostmedic_retain::events::{
    Events, Keep,
    writer::{EventWriter, Pace},
};

const NOW: i64 = 1_786_673_823_412;

fn open(dir: &Path) -> Events {
    Events::open(dir, Keep::default()).unwrap()
}

fn unit(name: &str) -> Subject {
    Subject::Unit(UnitName::new(name).unwrap())
}

/// The `n`th event, `n` seconds after [`NOW`]; every tenth is a kill of `web.service`.
fn signal(n: i64) -> Signal {
    Signal {
        at: At {
            boot_ns: n as u64,
            wall_ms: NOW + n * 1000,
        },
        subject: if n % 10 == 0 {
            unit("web.service")
        } else {
            unit("db.service")
        },
        fact: if n % 10 == 0 {
            Fact::OomKill(OomKill {
                pid: n as u32,
                ..OomKill::default()
            })
        } else {
            Fact::UnitRemoved
        },
    }
}

fn fill(events: &Events, range: std::ops::Range<i64>) {
    let signals: Vec<Signal> = range.map(signal).collect();
    for batch in signals.chunks(100) {
        events.append(batch, NOW).unwrap();
    }
}

fn all() -> EventQuery {
    EventQuery {
        limit: u32::MAX,
        ..EventQuery::default()
    }
}

fn ask(events: &Events, query: &EventQuery) -> Vec<u64> {
    let found = events.query(query).unwrap();
    found.events.into_iter().map(|row| row.seq).collect()
}

#[test]
fn events_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let events = open(dir.path());
    assert_eq!(events.query(&all()).unwrap().events, []);
    assert_eq!(events.kept_since().unwrap(), None);
    fill(&events, 0..3);
    let rows: Vec<EventRow> = (1..)
        .zip(0..3)
        .map(|(seq, n)| EventRow {
            seq,
            signal: signal(n),
        })
        .collect();
    assert_eq!(events.query(&all()).unwrap().events, rows);
    assert_eq!(events.kept_since().unwrap(), Some(signal(0).at));
}

#[test]
fn a_query_gives_the_newest_or_goes_on_from_a_number() {
    let dir = tempfile::tempdir().unwrap();
    let events = open(dir.path());
    fill(&events, 0..1000);
    let few = EventQuery { limit: 3, ..all() };
    assert_eq!(ask(&events, &few), [998, 999, 1000]);
    let after = |after| EventQuery {
        after: Some(after),
        ..few.clone()
    };
    let page = events.query(&after(5)).unwrap();
    assert_eq!(ask(&events, &after(5)), [6, 7, 8]);
    assert_eq!(page.next_after, Some(8));
    let last = events.query(&after(997)).unwrap();
    assert_eq!((last.events.len(), last.next_after), (3, None));
    assert_eq!(ask(&events, &after(1000)), [0; 0]);
    assert_eq!(ask(&events, &after(u64::MAX)), [0; 0]);

    // A span of time, from either side.
    let span = EventQuery {
        since_ms: Some(NOW + 10_000),
        until_ms: Some(NOW + 13_000),
        ..all()
    };
    assert_eq!(ask(&events, &span), [11, 12, 13]);
    let forth = EventQuery {
        after: Some(0),
        ..span
    };
    assert_eq!(ask(&events, &forth), [11, 12, 13]);

    // Subject and kind.
    let kills = EventQuery {
        subject: Some(unit("web.service")),
        kinds: vec![SignalKind::OomKill, SignalKind::FatalSignal],
        limit: 2,
        ..all()
    };
    assert_eq!(ask(&events, &kills), [981, 991]);
    let none = EventQuery {
        kinds: vec![SignalKind::HungTask],
        ..all()
    };
    assert_eq!(ask(&events, &none), [0; 0]);
    let from_the_start = EventQuery {
        after: Some(0),
        ..kills
    };
    assert_eq!(ask(&events, &from_the_start), [1, 11]);
}

#[test]
fn a_clock_that_was_set_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let events = open(dir.path());
    fill(&events, 0..10);
    // An hour back for a while, then right again.
    fill(&events, -3600..-3590);
    fill(&events, 10..20);
    let since = EventQuery {
        since_ms: Some(NOW),
        ..all()
    };
    let expected: Vec<u64> = (1..=10).chain(21..=30).collect();
    assert_eq!(ask(&events, &since), expected);
    let forth = EventQuery {
        after: Some(0),
        ..since
    };
    assert_eq!(ask(&events, &forth), expected);
}

#[test]
fn numbers_rise_across_restarts_and_even_without_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let mut newest = 0;
    for n in 0..4 {
        let events = open(dir.path());
        fill(&events, n * 10..n * 10 + 10);
        let seqs = ask(&events, &all());
        assert_eq!(seqs.len() as i64, if n == 3 { 10 } else { n * 10 + 10 });
        assert!(seqs.is_sorted());
        let last = *seqs.last().unwrap();
        assert!(last > newest);
        newest = last;
        drop(events);
        if n == 2 {
            fs::remove_dir_all(dir.path().join("db")).unwrap();
        }
    }
}

#[test]
fn too_many_and_too_old_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let keep = Keep {
        events_max: 1000,
        age_max: Duration::from_secs(3600),
    };
    let events = Events::open(dir.path(), keep).unwrap();
    fill(&events, 0..5050);
    let kept = ask(&events, &all());
    assert!((400..=1000).contains(&kept.len()), "{}", kept.len());
    assert_eq!(*kept.last().unwrap(), 5050);
    assert!(kept.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    drop(events);

    // The bound counts events, not numbers, of which a restart skips many.
    let events = Events::open(dir.path(), keep).unwrap();
    fill(&events, 5050..5060);
    assert_eq!(ask(&events, &all()).len(), kept.len() + 10);

    // An hour after the last but five.
    let now = NOW + 5055 * 1000 + 3_600_000;
    events.append(&[signal(9000)], now).unwrap();
    assert_eq!(ask(&events, &all()).len(), 6);
    assert_eq!(events.kept_since().unwrap(), Some(signal(5055).at));
}

/// Tables of the database, largest first.
fn tables(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut tables: Vec<_> = fs::read_dir(dir.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .collect();
    tables.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    tables
}

/// A store whose events lie in a table: opening it a second time moves them there.
fn settled(dir: &Path) {
    let events = open(dir);
    fill(&events, 0..5000);
    drop(events);
    drop(open(dir));
    assert!(!tables(dir).is_empty());
}

#[test]
fn a_damaged_block_costs_its_events_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    settled(dir.path());
    let table = tables(dir.path()).remove(0);
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xa5);
    fs::write(&table, bytes).unwrap();

    let events = open(dir.path());
    fill(&events, 5000..5001);
    for after in [None, Some(0)] {
        let query = EventQuery { after, ..all() };
        let found = events.query(&query).unwrap();
        assert!(found.unreadable > 0);
        let read = found.events.len() as u64;
        assert!(read > 4000, "{read} of 5001");
        assert!(
            read + found.unreadable >= 5001,
            "{read} + {}",
            found.unreadable
        );
        assert!(found.events.is_sorted_by_key(|row| row.seq));
        assert_eq!(found.events[0].seq, 1);
        assert_eq!(found.events.last().unwrap().signal, signal(5000));
    }
}

#[test]
fn lost_tables_and_torn_logs_do_not_keep_it_from_opening() {
    let dir = tempfile::tempdir().unwrap();
    settled(dir.path());
    fs::remove_file(tables(dir.path()).remove(0)).unwrap();
    let events = open(dir.path());
    fill(&events, 0..10);
    assert_eq!(ask(&events, &all()).len(), 10);
    drop(events);

    // Everything is nonsense, the list of tables too.
    for entry in fs::read_dir(dir.path().join("db")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with("LOCK") {
            fs::write(&path, b"nonsense").unwrap();
        }
    }
    let events = open(dir.path());
    let before = ask(&events, &all()).last().copied().unwrap_or(5010);
    fill(&events, 0..10);
    let seqs = ask(&events, &all());
    assert!(seqs.len() >= 10 && *seqs.last().unwrap() > before);
}

#[test]
fn a_row_that_is_no_event_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let events = open(dir.path());
    fill(&events, 0..3);
    drop(events);
    let raw = rocksdb::DB::open_default(dir.path().join("db")).unwrap();
    raw.put(2_u64.to_be_bytes(), b"short").unwrap();
    raw.put(b"odd", b"key").unwrap();
    drop(raw);
    let found = open(dir.path()).query(&all()).unwrap();
    let seqs: Vec<u64> = found.events.iter().map(|row| row.seq).collect();
    assert_eq!((seqs, found.unreadable), (vec![1, 3], 1));
}

#[test]
fn the_writer_stores_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let events = open(dir.path());
    let writer = EventWriter::start(events.clone(), Pace::default()).unwrap();
    // Recent, or they would be too old to be kept.
    let mut recent = signal(1);
    recent.at.wall_ms = i64::MAX;
    for _ in 0..2000 {
        writer.offer(recent.clone());
    }
    let mut counters = QueueCounters::default();
    writer.stop(&mut counters);
    assert_eq!(counters.taken, 2000);
    assert_eq!(counters.stored + counters.not_stored, 2000);
    assert_eq!(ask(&events, &all()).len() as u64, counters.stored);
}
