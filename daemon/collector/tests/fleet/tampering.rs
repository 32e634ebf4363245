//! Somebody who can write to the collector's disk is found out.

use hostmedic_retain::chain::Head;
use rocksdb::{ColumnFamilyDescriptor, DB, Options};

use crate::stage::{Collector, Host, acknowledged};

const FAMILIES: [&str; 6] = [
    "records",
    "heads",
    "hosts",
    "names",
    "incidents",
    "disputes",
];

/// Goal: one changed byte of the collector's store names the record, offline and over the network.
/// Method: seven records; of each in turn one byte is changed behind the collector's back.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_of_a_copy_names_the_record() {
    let mut collector = Collector::start();
    let host = Host::new(1);
    host.append(4, "true");
    let mut replication = host.replicate(&collector.enrol(&["web1"]));
    acknowledged(&mut replication, host.seq()).await;
    replication.stop().await;
    let id = host.ledger.store().host();
    collector = collector.kill();
    for seq in 1..=host.seq() {
        let key = [id.as_bytes(), &seq.to_be_bytes()].concat();
        let good = change(&collector, "records", &key, |bytes| {
            let at = bytes
                .windows(4)
                .position(|window| window == b"true")
                .unwrap();
            bytes[at] ^= 1;
        });
        let output = collector.run(&["verify"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains(&format!("bad record {seq}: altered")),
            "{seq}: {said}"
        );
        if seq == 3 {
            collector = collector.serve();
            let verdict = collector
                .fleet()
                .await
                .verify("web1", |_, _| {})
                .await
                .unwrap();
            let bad = verdict.bad.unwrap();
            assert_eq!((bad.seq, verdict.last_seq), (3, 2), "{bad:?}");
            collector = collector.kill();
        }
        change(&collector, "records", &key, |bytes| bytes.clone_from(&good));
    }
    assert!(collector.run(&["verify"]).status.success());
}

/// Goal: a byte changed in the files themselves is not taken for a shorter chain.
/// Method: in the log's middle and near its end, one byte of a record's text is flipped.
#[tokio::test(flavor = "multi_thread")]
async fn a_byte_flipped_in_the_log_names_the_record() {
    let collector = Collector::start();
    let host = Host::new(1);
    host.append(6, "true");
    let mut replication = host.replicate(&collector.enrol(&["web1"]));
    acknowledged(&mut replication, host.seq()).await;
    replication.stop().await;
    let collector = collector.kill();
    let log = std::fs::read_dir(collector.copies())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|kind| kind == "log"))
        .expect("the store has a log");
    let good = std::fs::read(&log).unwrap();
    for seq in [2, host.seq() / 2, host.seq() - 1] {
        let text = format!("\"seq\":{seq},");
        let at = good
            .windows(text.len())
            .position(|window| window == text.as_bytes())
            .unwrap();
        let mut bad = good.clone();
        bad[at + 6] ^= 1;
        std::fs::write(&log, bad).unwrap();
        let output = collector.run(&["verify"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{seq}: {said}");
        // What was sent together is lost together, from its first record on.
        let named: u64 = said
            .split_once("bad record ")
            .and_then(|(_, rest)| rest.split_once(':')?.0.parse().ok())
            .unwrap_or_else(|| panic!("{seq}: {said}"));
        assert!(
            named <= seq && said.contains("cannot be read"),
            "{seq}: {said}"
        );
    }
    std::fs::write(&log, good).unwrap();
    assert!(collector.run(&["verify"]).status.success());
}

/// Goal: records that are taken away are missed, heads and all.
#[tokio::test(flavor = "multi_thread")]
async fn records_taken_from_a_copy_are_missed() {
    let collector = Collector::start();
    let host = Host::new(1);
    host.append(3, "true");
    let mut replication = host.replicate(&collector.enrol(&["web1"]));
    acknowledged(&mut replication, host.seq()).await;
    replication.stop().await;
    let collector = collector.kill();
    let newest: Head = host.ledger.store().head().unwrap().unwrap();
    let db = open(&collector);
    let id = host.ledger.store().host();
    for seq in newest.from_seq..=newest.seq {
        let key = [id.as_bytes(), &seq.to_be_bytes()].concat();
        for family in ["records", "heads"] {
            db.delete_cf(db.cf_handle(family).unwrap(), &key).unwrap();
        }
    }
    drop(db);
    let output = collector.run(&["verify"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let expected = format!("bad record {}: missing; the chain was cut", newest.from_seq);
    assert!(said.contains(&expected), "{said}");
}

/// Changes a value behind the collector's back; gives what it was.
fn change(
    collector: &Collector,
    family: &str,
    key: &[u8],
    edit: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let db = open(collector);
    let family = db.cf_handle(family).unwrap();
    let good = db.get_cf(family, key).unwrap().unwrap();
    let mut changed = good.clone();
    edit(&mut changed);
    db.put_cf(family, key, changed).unwrap();
    good
}

fn open(collector: &Collector) -> DB {
    let families = FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
    DB::open_cf_descriptors(&Options::default(), collector.copies(), families).unwrap()
}
