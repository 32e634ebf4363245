//! The real binary on a real store: verify, export, and what it says when a byte was changed.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::{fs, path::PathBuf};

use hostmedic_model::time::BootId;
use hostmedic_retain::{keys::HostKey, ledger::Ledger};
use hostmedic_serve::testing;
use support::{Ended, medic};
use tempfile::TempDir;

/// A ledger with the night's records, closed.
struct Night {
    dir: TempDir,
    store: PathBuf,
    key: String,
}

impl Night {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("ledger");
        let key = HostKey::from_seed([7; 32]);
        let public = key.public().to_string();
        let ledger = Ledger::open(&store, key, BootId("a boot".to_owned())).unwrap();
        for record in testing::records() {
            ledger.append(vec![record.body], record.at).unwrap();
        }
        drop(ledger);
        Self {
            dir,
            store,
            key: public,
        }
    }

    /// Runs `medic` where no daemon is; `STORE`, `FILE` and `KEY` stand for this night's.
    fn medic(&self, args: &str) -> Ended {
        let args = args
            .replace("STORE", self.store.to_str().unwrap())
            .replace("FILE", self.file().to_str().unwrap())
            .replace("KEY", &self.key);
        medic(&self.dir.path().join("none.sock"), &args)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("night.jsonl")
    }
}

#[test]
fn store_and_export_verify_without_a_daemon() {
    let night = Night::new();
    night
        .medic("audit verify --store STORE")
        .code(0)
        .says("verified")
        .says("16 records of host")
        .says("give --key to be sure");
    let pinned = night.medic("audit verify --store STORE --key KEY").code(0);
    assert!(!pinned.out.contains("give --key"), "{pinned:?}");
    night
        .medic("audit export --store STORE --out FILE")
        .code(0)
        .says("wrote 16 records");
    let found = night
        .medic("--json audit verify --export FILE --key KEY")
        .code(0)
        .json();
    assert_eq!(found["verified"], true);
    assert_eq!(found["records"], 16);
    assert_eq!(found["last"]["seq"], 16);
    assert_eq!(found["key_was_given"], true);
    // Two files at most: the store and the one export, nothing half written.
    assert_eq!(fs::read_dir(night.dir.path()).unwrap().count(), 2);
}

#[test]
fn changed_byte_names_its_record() {
    let night = Night::new();
    night.medic("audit export --store STORE --out FILE").code(0);
    let text = fs::read_to_string(night.file()).unwrap();
    assert_eq!(text.matches("cache grows to 190 MiB").count(), 1);
    fs::write(
        night.file(),
        text.replace("cache grows to 190 MiB", "cache grows to 191 MiB"),
    )
    .unwrap();
    // The journal was captured in record 6.
    night
        .medic("audit verify --export FILE")
        .code(1)
        .says("NOT VERIFIED")
        .says("record 6");
    let found = night
        .medic("--json audit verify --export FILE")
        .code(1)
        .json();
    assert_eq!(
        (&found["verified"], &found["bad_record"]),
        (&false.into(), &6.into())
    );
}

#[test]
fn cut_and_foreign_chains_do_not_verify() {
    let night = Night::new();
    night.medic("audit export --store STORE --out FILE").code(0);
    let other = HostKey::from_seed([8; 32]).public().to_string();
    night
        .medic(&format!("audit verify --export FILE --key {other}"))
        .code(1)
        .says("NOT VERIFIED")
        .says("was asked for");
    let text = fs::read_to_string(night.file()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(night.file(), lines[..lines.len() - 4].join("\n") + "\n").unwrap();
    night
        .medic("audit verify --export FILE")
        .code(1)
        .says("NOT VERIFIED");
    fs::write(night.file(), "no export\n").unwrap();
    night
        .medic("audit verify --export FILE")
        .code(1)
        .says("NOT VERIFIED");
}

#[test]
fn mistakes_are_told_from_findings() {
    let night = Night::new();
    fs::write(night.file(), "precious").unwrap();
    for (args, code, complains) in [
        ("audit export --store STORE --out FILE", 2, "exists already"),
        (
            "audit verify --store STORE --export FILE",
            2,
            "cannot be used with",
        ),
        (
            "audit verify --store STORE --key 12",
            2,
            "--key 12 is no public key",
        ),
        ("audit verify --store /nowhere/ledger", 5, "/nowhere/ledger"),
        ("audit verify --export /nowhere/file", 5, "/nowhere/file"),
        (
            "fleet --bundle /nowhere/bundle.toml hosts",
            5,
            "/nowhere/bundle.toml",
        ),
    ] {
        night.medic(args).code(code).complains(complains);
    }
    assert_eq!(fs::read_to_string(night.file()).unwrap(), "precious");
}

/// A running daemon holds the store's lock; verification must not need it.
#[test]
fn running_daemon_is_not_disturbed() {
    let night = Night::new();
    let key = HostKey::from_seed([7; 32]);
    let ledger = Ledger::open(&night.store, key, BootId("a boot".to_owned())).unwrap();
    night
        .medic("audit verify --store STORE")
        .code(0)
        .says("16 records");
    let record = testing::records().remove(0);
    ledger.append(vec![record.body], record.at).unwrap();
    night
        .medic("audit verify --store STORE")
        .code(0)
        .says("17 records");
}
