//! The labelled hosts: their rows, their events, the metrics to blame, and how they are split.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use super::npz::{Array, Npz};

/// The sets, and the seconds between their rows.
const SETS: [(&str, i64); 3] = [("smd", 60), ("asd", 300), ("svc2", 300)];

/// Hosts of one origin.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) step_s: i64,
    pub(crate) hosts: Vec<Host>,
}

/// One host: rows to warm up on, then rows with labels.
pub(crate) struct Host {
    pub(crate) name: String,
    /// Whether variants may be chosen by it; the others only check the choice.
    pub(crate) fit: bool,
    pub(crate) train: Array,
    pub(crate) test: Array,
    /// First and last row of each event, by row of `test`.
    pub(crate) events: Vec<(usize, usize)>,
    pub(crate) causes: Vec<Cause>,
}

/// Which metrics took part in an event.
pub(crate) struct Cause {
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// Numbered from 0.
    pub(crate) metrics: Vec<usize>,
}

/// Reads every set that lies in `data`.
///
/// # Errors
/// When a file cannot be read, or none is there.
pub(crate) fn read(data: &Path) -> anyhow::Result<Vec<Set>> {
    let mut sets = Vec::new();
    for (name, step_s) in SETS {
        let folder = data.join(name);
        if folder.is_dir() {
            let hosts = hosts(&folder)?;
            sets.push(Set {
                name,
                step_s,
                hosts,
            });
        }
    }
    ensure!(!sets.is_empty(), "{}: no set of hosts", data.display());
    Ok(sets)
}

fn hosts(folder: &Path) -> anyhow::Result<Vec<Host>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot list {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "npz"));
    // Every other host by the hash of its name: a split that nobody chose.
    paths.sort_by_key(|path| Sha256::digest(name(path)));
    let mut hosts = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        hosts.push(host(path, number % 2 == 0)?);
    }
    hosts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(hosts)
}

fn name(path: &Path) -> String {
    path.file_stem()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn host(path: &Path, fit: bool) -> anyhow::Result<Host> {
    let mut npz = Npz::open(path)?;
    let (train, test) = (npz.array("train")?, npz.array("test")?);
    let label = npz.array("label")?;
    ensure!(
        label.rows == test.rows && train.columns == test.columns,
        "{}: train, test and label do not fit together",
        path.display()
    );
    Ok(Host {
        name: name(path),
        fit,
        train,
        test,
        events: events(&label.values),
        causes: causes(&path.with_extension("causes.txt"))?,
    })
}

/// Runs of label 1.
fn events(label: &[f32]) -> Vec<(usize, usize)> {
    let mut events: Vec<(usize, usize)> = Vec::new();
    for (row, _) in label.iter().enumerate().filter(|(_, label)| **label > 0.0) {
        match events.last_mut() {
            Some((_, last)) if *last + 1 == row => *last = row,
            _ => events.push((row, row)),
        }
    }
    events
}

/// Lines `first-last:metric,metric`, metrics from 1; some sets have none.
fn causes(path: &Path) -> anyhow::Result<Vec<Cause>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| cause(line).with_context(|| format!("{}: line {line:?}", path.display())))
        .collect()
}

fn cause(line: &str) -> anyhow::Result<Cause> {
    let (rows, metrics) = line.trim().split_once(':').context("no colon")?;
    let (first, last) = rows.split_once('-').context("no range of rows")?;
    let metrics: Result<Vec<usize>, _> = metrics.split(',').map(str::parse).collect();
    Ok(Cause {
        first: first.parse()?,
        last: last.parse()?,
        metrics: metrics?
            .into_iter()
            .filter_map(|metric| metric.checked_sub(1))
            .collect(),
    })
}
