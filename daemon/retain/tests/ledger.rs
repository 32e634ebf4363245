//! The ledger on a real disk: what is appended is there, in order, and damage is named.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{fs, path::Path};

use hostmedic_model::{
    incident::IncidentId,
    record::Body,
    time::{At, BootId},
};
use hostmedic_retain::{
    canonical,
    chain::{Fault, Head, Link},
    export::{self, Export},
    keys::HostKey,
    ledger::{Ledger, LedgerError},
    store::Store,
    verify::{Verified, VerifyError, verify},
};
use rocksdb::{ColumnFamilyDescriptor, DB, Options};

const FAMILIES: [&str; 4] = ["records", "heads", "incidents", "meta"];

fn key() -> HostKey {
    HostKey::from_seed([7; 32])
}

fn open(dir: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(dir, key(), BootId("boot-1".into()))
}

fn at(wall_ms: i64) -> At {
    At {
        boot_ns: u64::MAX,
        wall_ms,
    }
}

fn note(text: &str) -> Body {
    Body::Stopped {
        reason: text.into(),
    }
}

fn about(incident: &str) -> Body {
    Body::Indeterminate {
        intent: hostmedic_model::intent::IntentId(format!("{incident}/1")),
        incident: IncidentId(incident.into()),
        reason: "killed".into(),
    }
}

/// A ledger of six records in batches of 1, 3 and 2, closed again.
fn six_records(dir: &Path) {
    let ledger = open(dir).unwrap();
    ledger.append(vec![note("r1")], at(1000)).unwrap();
    ledger
        .append(vec![about("inc_a"), note("r3"), about("inc_b")], at(2000))
        .unwrap();
    ledger
        .append(vec![about("inc_a"), note("r6")], at(3000))
        .unwrap();
}

fn check(dir: &Path) -> Result<Verified, VerifyError> {
    verify(
        &mut Store::open_read_only(dir).unwrap().source(),
        None,
        |_, _| {},
    )
}

/// Opens the database below the ledger's back.
fn raw(dir: &Path) -> DB {
    let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    DB::open_cf_descriptors(&Options::default(), dir.join("db"), families).unwrap()
}

#[test]
fn what_is_appended_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    six_records(dir.path());
    let ledger = open(dir.path()).unwrap();
    let store = ledger.store();
    let seqs = |records: Vec<hostmedic_model::record::Record>| -> Vec<u64> {
        records.iter().map(|record| record.seq).collect()
    };
    assert_eq!(store.tip().seq, 6);
    assert_eq!(seqs(store.records(1, 100).unwrap()), [1, 2, 3, 4, 5, 6]);
    assert_eq!(seqs(store.records(5, 1).unwrap()), [5]);
    assert_eq!(
        seqs(store.incident(&IncidentId("inc_a".into())).unwrap()),
        [2, 5]
    );
    assert_eq!(
        seqs(store.incident(&IncidentId("inc_".into())).unwrap()),
        [0_u64; 0]
    );
    assert_eq!(
        seqs(store.since(2000).unwrap().map(Result::unwrap).collect()),
        [2, 3, 4, 5, 6]
    );
    assert_eq!(store.since(3001).unwrap().count(), 0);
    assert_eq!(store.head().unwrap().unwrap().link(), store.tip());
    let first = store.read_raw(1).unwrap().unwrap();
    assert_eq!(canonical::decode(&first).unwrap().body, note("r1"));
    let sizes = |after, bytes| -> Vec<usize> {
        store
            .batches(after, bytes)
            .unwrap()
            .iter()
            .map(|batch| batch.records.len())
            .collect()
    };
    assert_eq!(sizes(0, usize::MAX), [1, 3, 2]);
    assert_eq!(sizes(0, 1), [1]);
    assert_eq!(sizes(2, 1), [3], "a batch comes whole");
    assert_eq!(sizes(6, usize::MAX), [0; 0]);

    let more = ledger.append(vec![note("r7")], at(4000)).unwrap();
    assert_eq!((more[0].seq, store.tip().seq), (7, 7));
    let files = || fs::read_dir(dir.path().join("db")).unwrap().count();
    let before = files();
    assert_eq!(
        check(dir.path()).unwrap().records,
        7,
        "beside an open ledger"
    );
    assert_eq!(files(), before, "reading left something behind");
    drop(ledger);
    assert_eq!(check(dir.path()).unwrap().records, 7, "without one");
}

#[test]
fn a_wrong_clock_does_not_hide_what_came_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    for wall_ms in [5000, 5001, 10, 11, 5002] {
        ledger.append(vec![note("x")], at(wall_ms)).unwrap();
    }
    let since = |wall_ms| ledger.store().since(wall_ms).unwrap().count();
    assert_eq!((since(5000), since(5002), since(9000)), (5, 1, 0));
}

#[test]
fn an_export_of_the_store_verifies_and_is_the_same_twice() {
    let dir = tempfile::tempdir().unwrap();
    six_records(dir.path());
    let write = || {
        let mut bytes = Vec::new();
        let store = Store::open_read_only(dir.path()).unwrap();
        assert_eq!(export::write(&mut store.source(), &mut bytes).unwrap(), 6);
        bytes
    };
    let bytes = write();
    assert_eq!(bytes, write());
    let verified = verify(
        &mut Export::open(&bytes[..]).unwrap(),
        Some(key().public()),
        |_, _| {},
    );
    assert_eq!(
        (verified.as_ref().unwrap().records, verified.unwrap().heads),
        (6, 3)
    );
}

#[test]
fn a_flip_in_any_record_of_the_store_names_it() {
    let dir = tempfile::tempdir().unwrap();
    six_records(dir.path());
    for seq in 1..=6_u64 {
        let db = raw(dir.path());
        let records = db.cf_handle("records").unwrap();
        let good = db.get_cf(records, seq.to_be_bytes()).unwrap().unwrap();
        let mut altered = good.clone();
        let digit = altered.iter().position(|byte| *byte == b'r').unwrap();
        altered[digit] = b'R';
        db.put_cf(records, seq.to_be_bytes(), altered).unwrap();
        drop(db);
        let named = match check(dir.path()) {
            Err(VerifyError::BadRecord(bad)) => bad.seq,
            other => panic!("record {seq}: {other:?}"),
        };
        assert_eq!(named, seq);
        assert!(
            matches!(open(dir.path()), Err(LedgerError::Tampered { bad, .. }) if bad.seq == seq)
        );
        let db = raw(dir.path());
        db.put_cf(db.cf_handle("records").unwrap(), seq.to_be_bytes(), good)
            .unwrap();
    }
    assert_eq!(check(dir.path()).unwrap().records, 6);
}

#[test]
fn damaged_table_files_name_the_first_record_that_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    six_records(dir.path());
    let db = raw(dir.path());
    for family in FAMILIES {
        db.flush_cf(db.cf_handle(family).unwrap()).unwrap();
    }
    let tables = db.live_files().unwrap();
    drop(db);
    let table = tables
        .iter()
        .find(|table| table.column_family_name == "records")
        .unwrap();
    let path = dir
        .path()
        .join("db")
        .join(table.name.trim_start_matches('/'));
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    match check(dir.path()) {
        Err(VerifyError::BadRecord(bad)) => {
            assert_eq!(bad.seq, 1);
            assert!(matches!(bad.why, Fault::Lost(_)), "{bad}");
        }
        other => panic!("{other:?}"),
    }
    assert!(open(dir.path()).is_err());
}

#[test]
fn records_cut_from_the_end_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    six_records(dir.path());
    let db = raw(dir.path());
    for seq in 5..=6_u64 {
        db.delete_cf(db.cf_handle("records").unwrap(), seq.to_be_bytes())
            .unwrap();
    }
    db.delete_cf(db.cf_handle("heads").unwrap(), 6_u64.to_be_bytes())
        .unwrap();
    drop(db);
    match check(dir.path()) {
        Err(VerifyError::BadRecord(bad)) => {
            assert_eq!((bad.seq, bad.why), (5, Fault::Cut { end: 6 }));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        open(dir.path()),
        Err(LedgerError::Truncated {
            found: 4,
            acknowledged: 6,
            ..
        })
    ));
}

#[test]
fn records_without_a_head_are_not_accepted() {
    let dir = tempfile::tempdir().unwrap();
    six_records(dir.path());
    let db = raw(dir.path());
    db.delete_cf(db.cf_handle("heads").unwrap(), 4_u64.to_be_bytes())
        .unwrap();
    drop(db);
    match check(dir.path()) {
        Err(VerifyError::BadRecord(bad)) => assert_eq!(bad.seq, 2, "{bad}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_head_file_is_needed_but_one_torn_slot_is_not() {
    let dir = tempfile::tempdir().unwrap();
    six_records(dir.path());
    let slots = ["head.0", "head.1"].map(|name| dir.path().join(name));
    for torn in &slots {
        let good = fs::read(torn).unwrap();
        fs::write(torn, &good[..100]).unwrap();
        let newest = fs::read(slots.iter().find(|slot| *slot != torn).unwrap()).unwrap();
        let head: Head = canonical::from_canonical(newest.trim_ascii_end()).unwrap();
        assert!(head.seq <= 6);
        assert_eq!(open(dir.path()).unwrap().store().tip().seq, 6);
        let healed = fs::read(torn).unwrap();
        assert_eq!(healed.len(), good.len());
    }
    for slot in &slots {
        fs::write(slot, "nonsense").unwrap();
    }
    assert!(matches!(open(dir.path()), Err(LedgerError::Open { .. })));
    for slot in &slots {
        fs::remove_file(slot).unwrap();
    }
    assert!(matches!(open(dir.path()), Err(LedgerError::Open { .. })));
    assert!(Store::open_read_only(dir.path()).is_err());
}

#[test]
fn a_death_before_the_first_record_does_not_lock_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    // As a kill leaves them between their making and their first writing.
    for name in ["head.0", "head.1"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    assert_eq!(open(dir.path()).unwrap().store().tip().seq, 0);
}

#[test]
fn another_key_does_not_open_it() {
    let dir = tempfile::tempdir().unwrap();
    six_records(dir.path());
    let other = HostKey::from_seed([8; 32]);
    assert!(matches!(
        Ledger::open(dir.path(), other.clone(), BootId::default()),
        Err(LedgerError::OtherHost { .. })
    ));
    let pinned = verify(
        &mut Store::open_read_only(dir.path()).unwrap().source(),
        Some(other.public()),
        |_, _| {},
    );
    assert!(matches!(pinned, Err(VerifyError::WrongKey { .. })));
}

#[test]
fn a_record_that_cannot_be_kept_spoils_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    let huge = note(&"x".repeat(canonical::RECORD_BYTES_MAX));
    assert!(matches!(
        ledger.append(vec![note("a"), huge], at(1)),
        Err(LedgerError::Encode { seq: 2, .. })
    ));
    let large = || note(&"x".repeat(canonical::RECORD_BYTES_MAX - 1000));
    assert!(matches!(
        ledger.append(vec![large(), large(), large()], at(1)),
        Err(LedgerError::TooMuch { records: 3, .. })
    ));
    assert_eq!(ledger.append(vec![], at(1)).unwrap(), []);
    assert_eq!(ledger.store().tip(), Link::START);
    assert_eq!(ledger.append(vec![note("a")], at(1)).unwrap()[0].seq, 1);
}

#[test]
fn everybody_who_waits_hears_of_new_records() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    let seen = ledger.store().subscribe();
    assert!(!seen.has_changed().unwrap());
    ledger.append(vec![note("a"), note("b")], at(1)).unwrap();
    assert!(seen.has_changed().unwrap());
    assert_eq!(seen.borrow().seq, 2);
}
