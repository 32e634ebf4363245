//! Scene 4: a copy that verifies, and one byte of it that does not stay unseen.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::demo::{install::OPERATOR, report::Scene, stage::Stage};

/// Where the collector keeps its copies.
const STORE: &str = "/var/lib/hostmedic-collector/store";

/// A copy of them, to be damaged.
const DAMAGED: &str = "/var/tmp/hostmedic-demo-store";

/// Plays the scene.
pub(crate) fn scene(stage: &Stage, scene: &mut Scene) -> Result<()> {
    let status = stage.status()?;
    let host = &status.host;
    let online = stage
        .system
        .sh(&format!("medic fleet --bundle {OPERATOR} verify {host}"))?;
    scene.expect(
        "the collector verifies its copy for an operator",
        true,
        first_line(&online),
    );

    stage.system.sh("systemctl stop medic-collector.service")?;
    let offline = stage.system.sh("medic-collector verify")?;
    let whole = offline.contains(&format!("of host {host}"));
    scene.expect(
        "its store verifies on disk, with nothing running",
        whole,
        first_line(&offline),
    );

    // In the middle of the chain, so that there is something before and after it.
    let target = status.replication.acknowledged_seq / 2;
    stage
        .system
        .sh(&format!("rm -rf {DAMAGED}; cp -a {STORE} {DAMAGED}"))?;
    let file = flip(
        &stage.system.root().join(DAMAGED.trim_start_matches('/')),
        target,
    )?;
    println!("  one byte of record {target} is flipped in a copy of the store, in {file}");
    let verify = format!("medic-collector verify --store {DAMAGED}");
    let (code, said) = stage.run(&verify)?;
    let named = named_record(&said);
    scene.expect(
        "the verifier refuses it, and names the first record that is not what it was",
        code == Some(3) && named.is_some_and(|named| named <= target && named + 16 > target),
        first_line(&said),
    );

    // The same with a forger who knows how the store is written: the record itself is changed.
    let export = "/var/tmp/hostmedic-demo-export";
    stage.system.sh(&format!(
        "rm -f {export}; medic audit export --store /var/lib/hostmedic/ledger --out {export}"
    ))?;
    let path = stage.system.root().join(export.trim_start_matches('/'));
    forge(&path, target)?;
    println!(
        "  one byte of record {target} is changed in an export of the chain, checksums and all"
    );
    let (code, said) = stage.run(&format!("medic audit verify --export {export}"))?;
    scene.expect(
        format!("the verifier names record {target}"),
        code == Some(1) && named_record(&said) == Some(target),
        first_line(&said),
    );
    stage
        .system
        .sh("systemctl start medic-collector.service")
        .map(drop)
}

/// Flips one bit of record `seq` in whichever file of the store holds it; gives the file's name.
fn flip(store: &Path, seq: u64) -> Result<String> {
    let needle = format!("\"seq\":{seq},");
    for file in files(store)? {
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let Some(at) = bytes
            .windows(needle.len())
            .position(|part| part == needle.as_bytes())
        else {
            continue;
        };
        // Its first digit.
        let at = at + needle.len() - 1 - seq.to_string().len();
        let flipped = bytes
            .get(at)
            .map(|byte| byte ^ 1)
            .context("the file became shorter")?;
        OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|opened| opened.write_all_at(&[flipped], at as u64))
            .with_context(|| format!("cannot write {}", file.display()))?;
        return Ok(file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned());
    }
    bail!(
        "no file of {} holds record {seq} in the clear",
        store.display()
    )
}

/// Changes the moment at which record `seq` of an export was written, by its last digit.
fn forge(export: &Path, seq: u64) -> Result<()> {
    let text = fs::read_to_string(export).context("cannot read the export")?;
    let mine = format!("\"seq\":{seq},");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let record = lines
        .iter_mut()
        .find(|line| line.starts_with("{\"at\":") && line.contains(&mine))
        .with_context(|| format!("the export has no record {seq}"))?;
    let digit = record
        .find(|c: char| c.is_ascii_digit())
        .context("a record without a number")?;
    let other = if record[digit..].starts_with('1') {
        "2"
    } else {
        "1"
    };
    record.replace_range(digit..=digit, other);
    fs::write(export, lines.join("\n") + "\n").context("cannot write the export")
}

/// The number after `bad record`.
fn named_record(said: &str) -> Option<u64> {
    said.split_once("bad record ")?
        .1
        .split_once(':')?
        .0
        .parse()
        .ok()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut files: Vec<_> = listed.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

fn first_line(text: &str) -> &str {
    text.lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_changes_one_bit_of_the_record_it_names() {
        let store = tempfile::tempdir().unwrap();
        let log = store.path().join("000004.log");
        fs::write(&log, "{\"seq\":1,}{\"seq\":12,}{\"seq\":2,}").unwrap();
        assert_eq!(flip(store.path(), 12).unwrap(), "000004.log");
        assert_eq!(
            fs::read_to_string(&log).unwrap(),
            "{\"seq\":1,}{\"seq\":02,}{\"seq\":2,}"
        );
        assert!(flip(store.path(), 7).is_err());
    }

    #[test]
    fn the_named_record_is_read_from_what_a_verifier_says() {
        assert_eq!(named_record("BAD x: bad record 17: altered"), Some(17));
        assert_eq!(named_record("ok   23 records"), None);
    }
}
