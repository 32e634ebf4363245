//! What the ledger survives: being killed at any moment, and a full disk.
//!
//! Each test starts itself again as the process that is to suffer; the environment variable
//! [`DIR`] says that it is the child, and where to write.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use hostmedic_model::{
    record::Body,
    time::{At, BootId},
};
use hostmedic_retain::{
    keys::HostKey,
    ledger::{Ledger, LedgerError},
    store::Store,
    verify::verify,
};

/// Set for a child: the directory it works in.
const DIR: &str = "HOSTMEDIC_LEDGER_CRASH_DIR";

fn open(dir: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open(dir, HostKey::from_seed([7; 32]), BootId("boot-1".into()))
}

fn note(text: String) -> Body {
    Body::Stopped { reason: text }
}

fn child_dir() -> Option<PathBuf> {
    env::var_os(DIR).map(PathBuf::from)
}

/// This very test, to be run again.
fn itself(test: &str) -> Vec<String> {
    let this = env::current_exe().unwrap();
    [this.to_str().unwrap(), "--exact", test, "--nocapture"]
        .map(str::to_owned)
        .to_vec()
}

/// Appends batches of 1 to 5 records and says each time what was acknowledged, until killed.
fn append_for_ever(dir: &Path) -> ! {
    let ledger = open(dir).unwrap();
    let mut out = std::io::stdout().lock();
    for round in 0_u64.. {
        let bodies = (0..=round % 5)
            .map(|n| note(format!("{round}.{n}{}", " ".repeat(200))))
            .collect();
        let records = ledger.append(bodies, At::default()).unwrap();
        writeln!(out, "acknowledged {}", records.last().unwrap().seq).unwrap();
        out.flush().unwrap();
    }
    unreachable!("there is no end of numbers");
}

/// Goal: a kill at any moment loses no acknowledged record and leaves a chain that verifies.
/// Method: 25 times a child appends, is killed after a time that differs each round, and the store
/// is opened again; the chain grows over all rounds.
#[test]
fn no_kill_loses_an_acknowledged_record() {
    const ROUNDS: u64 = 25;
    if let Some(dir) = child_dir() {
        append_for_ever(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mut last_tip = 0;
    for round in 0..ROUNDS {
        let command = itself("no_kill_loses_an_acknowledged_record");
        let mut child = Command::new(&command[0])
            .args(&command[1..])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = thread::spawn(move || {
            let acknowledged = lines.map_while(Result::ok).filter_map(|line| {
                // A line that the kill cut short could name a smaller number: only whole ones.
                line.split_once("acknowledged ")?.1.parse::<u64>().ok()
            });
            acknowledged.max().unwrap_or(0)
        });
        // From before the first append to well into them, at uneven distances.
        thread::sleep(Duration::from_micros(20_000 + round * round * 1_237));
        child.kill().unwrap();
        child.wait().unwrap();
        let acknowledged = reader.join().unwrap();

        let verified = verify(
            &mut Store::open_read_only(dir.path()).map_or_else(
                |_| {
                    // Killed before the very first head was kept: nothing was acknowledged.
                    assert_eq!((acknowledged, last_tip), (0, 0));
                    open(dir.path()).unwrap().store().source()
                },
                |store| store.source(),
            ),
            None,
            |_, _| {},
        )
        .unwrap_or_else(|error| panic!("round {round}: {error}"));
        let tip = open(dir.path())
            .unwrap_or_else(|error| panic!("round {round}: {error}"))
            .store()
            .tip();
        assert!(
            tip.seq >= acknowledged,
            "round {round}: {acknowledged} was acknowledged, {} is there",
            tip.seq
        );
        assert!(tip.seq >= last_tip, "round {round}: the chain got shorter");
        assert_eq!(verified.last, tip);
        last_tip = tip.seq;
    }
    assert!(last_tip > 0, "no round appended anything");
    eprintln!("{ROUNDS} kills, {last_tip} records, none lost");
}

/// Goal: a full disk refuses records, tears nothing, and is forgotten once there is room again.
/// Method: the ledger lies on a small tmpfs in a mount namespace of its own; a filler takes the
/// rest of the space and is removed again, three times over.
#[test]
fn a_full_disk_refuses_and_recovers() {
    if let Some(dir) = child_dir() {
        return fill_and_free(&dir);
    }
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            r#"mount -t tmpfs -o size=24m none "$0" && exec "$@""#,
        ])
        .arg(dir.path())
        .args(itself("a_full_disk_refuses_and_recovers"))
        .env(DIR, dir.path())
        .output();
    let mounted = mounted.unwrap();
    let stderr = String::from_utf8_lossy(&mounted.stderr);
    let not_allowed = ["unshare failed", "permission denied", "must be superuser"];
    if !mounted.status.success() && not_allowed.iter().any(|text| stderr.contains(text)) {
        eprintln!("skipped: a mount namespace of its own needs root: {stderr}");
        return;
    }
    assert!(
        mounted.status.success(),
        "{}{stderr}",
        String::from_utf8_lossy(&mounted.stdout)
    );
}

fn fill_and_free(dir: &Path) {
    let ledger = open(&dir.join("audit")).unwrap();
    let filler = dir.join("filler");
    let append = |text: &str| ledger.append(vec![note(text.repeat(1000))], At::default());
    let mut kept = 0;
    for round in 0..3 {
        append("before ").unwrap();
        kept += 1;
        let mut file = fs::File::create(&filler).unwrap();
        while file.write(&[0; 1 << 16]).is_ok() {}
        drop(file);
        // The log may have room left in its last page.
        let refused = (0..5000).find_map(|_| match append("full ") {
            Ok(_) => {
                kept += 1;
                None
            }
            Err(error) => Some(error),
        });
        let refused = refused.expect("a full disk took 5,000 records");
        assert!(matches!(refused, LedgerError::Write { .. }), "{refused}");
        assert_eq!(ledger.store().tip().seq, kept, "round {round}");
        assert_eq!(
            ledger.store().records(1, 1).unwrap().len(),
            1,
            "reading goes on"
        );
        fs::remove_file(&filler).unwrap();
        append("after ").unwrap_or_else(|error| panic!("round {round}: {error}"));
        kept += 1;
        // What a refused write left behind on the disk may be part of the chain now.
        kept = kept.max(ledger.store().tip().seq);
    }
    drop(ledger);
    let verified = verify(
        &mut Store::open_read_only(&dir.join("audit")).unwrap().source(),
        None,
        |_, _| {},
    );
    assert_eq!(verified.unwrap().last.seq, kept);
}
