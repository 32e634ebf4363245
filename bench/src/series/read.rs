//! Readers of the labelled single series: the Numenta benchmark and Microsoft's monitoring set.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use jiff::{civil::DateTime, tz::TimeZone};
use sha2::{Digest, Sha256};

/// Which of the sets a series is from; they are scored by different rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Set {
    /// Numenta's benchmark: windows around each event, scored by a weighted sum.
    Nab,
    /// Microsoft's cloud monitoring: rows labelled one by one, scored by events caught.
    Ms,
}

/// Which part of the development files a series is in; settings were chosen on `Fit` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Fit,
    Check,
}

/// Seconds since the epoch, and the value unless it is missing.
pub(crate) type Row = (i64, Option<f64>);

/// One labelled series.
pub(crate) struct Labelled {
    pub(crate) set: Set,
    pub(crate) part: Part,
    /// Folder and file, as in the labels.
    pub(crate) name: String,
    /// Usual seconds between rows.
    pub(crate) interval_s: u32,
    pub(crate) rows: Vec<Row>,
    /// Rows before this one are for learning and never scored.
    pub(crate) scored_from: usize,
    /// First and last row of each event, in order.
    pub(crate) events: Vec<(usize, usize)>,
}

/// Microsoft's series are scored after two days.
const MS_LEARNING_S: i64 = 2 * 86_400;
/// Share of a Numenta file that is for learning.
const PROBATION_RATIO: f64 = 0.15;
/// Rows of a Numenta file that are for learning, at most.
const PROBATION_ROWS_MAX: usize = 750;

/// Reads both sets below `data`, each in the order of its names.
///
/// # Errors
/// A file that is missing, or not of the expected form; with its path.
pub(crate) fn all(data: &Path) -> anyhow::Result<Vec<Labelled>> {
    let mut series = nab(&data.join("nab"))?;
    series.extend(ms(&data.join("ms"))?);
    split(&mut series);
    Ok(series)
}

fn nab(folder: &Path) -> anyhow::Result<Vec<Labelled>> {
    let path = folder.join("labels/combined_windows.json");
    let windows: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(&text(&path)?)
        .with_context(|| format!("{}: not a list of windows", path.display()))?;
    windows
        .into_iter()
        .map(|(name, windows)| {
            let path = folder.join("data").join(&name);
            let (rows, _) = rows(&path)?;
            let events = windows
                .iter()
                .map(|(from, to)| Ok((row_at(&rows, from)?, row_at(&rows, to)?)))
                .collect::<anyhow::Result<_>>()
                .with_context(|| format!("windows of {name}"))?;
            Ok(Labelled {
                set: Set::Nab,
                part: Part::Fit,
                name,
                interval_s: interval_s(&rows),
                scored_from: probation_rows(rows.len()).min(PROBATION_ROWS_MAX),
                rows,
                events,
            })
        })
        .collect()
}

fn ms(folder: &Path) -> anyhow::Result<Vec<Labelled>> {
    let mut all = Vec::new();
    for folder_of_kind in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        for path in entries(&folder_of_kind)? {
            if path.extension().is_none_or(|extension| extension != "csv") {
                continue;
            }
            let (rows, labels) = rows(&path)?;
            let scored_from = rows
                .iter()
                .take_while(|row| row.0 < rows[0].0 + MS_LEARNING_S)
                .count();
            all.push(Labelled {
                set: Set::Ms,
                part: Part::Fit,
                name: path
                    .strip_prefix(folder)
                    .unwrap_or(&path)
                    .display()
                    .to_string(),
                interval_s: interval_s(&rows),
                events: runs(&labels, scored_from),
                scored_from,
                rows,
            });
        }
    }
    Ok(all)
}

fn text(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .with_context(|| format!("cannot list {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

/// Rows of a file with a heading, then time, value and perhaps a label; and the labels.
fn rows(path: &Path) -> anyhow::Result<(Vec<Row>, Vec<bool>)> {
    let mut rows = Vec::new();
    let mut labels = Vec::new();
    for (number, line) in text(path)?.lines().enumerate().skip(1) {
        let (at, value, labelled) =
            row(line).with_context(|| format!("{}: row {}: {line}", path.display(), number + 1))?;
        rows.push((at, value));
        labels.push(labelled);
    }
    anyhow::ensure!(!rows.is_empty(), "{}: no rows", path.display());
    Ok((rows, labels))
}

fn row(line: &str) -> anyhow::Result<(i64, Option<f64>, bool)> {
    let mut cells = line.split(',');
    let at = time(cells.next().unwrap_or_default())?;
    let value = match cells.next().context("no value")? {
        "" => None,
        value => Some(value.parse()?),
    };
    let labelled = cells.next().is_some_and(|label| label.trim() == "1");
    Ok((at, value, labelled))
}

/// Seconds since the epoch of a time of the sets, all of which are meant as UTC.
fn time(cell: &str) -> anyhow::Result<i64> {
    let civil: DateTime = cell.trim_matches('"').trim_end_matches('Z').parse()?;
    Ok(civil.to_zoned(TimeZone::UTC)?.timestamp().as_second())
}

fn row_at(rows: &[Row], edge: &str) -> anyhow::Result<usize> {
    let at = time(edge)?;
    rows.iter()
        .position(|row| row.0 == at)
        .with_context(|| format!("window edge {edge} is not a row of the file"))
}

/// The most frequent distance between rows.
fn interval_s(rows: &[Row]) -> u32 {
    let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
    for pair in rows.windows(2) {
        *seen.entry(pair[1].0 - pair[0].0).or_default() += 1;
    }
    seen.into_iter()
        .max_by_key(|(_, times)| *times)
        .and_then(|(interval_s, _)| u32::try_from(interval_s).ok())
        .filter(|interval_s| *interval_s > 0)
        .unwrap_or(60)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a small count"
)]
fn probation_rows(rows: usize) -> usize {
    (rows as f64 * PROBATION_RATIO).floor() as usize
}

/// Runs of labelled rows from `scored_from` on.
fn runs(labels: &[bool], scored_from: usize) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let labelled = labels.iter().enumerate().skip(scored_from);
    for (row, _) in labelled.filter(|(_, is_labelled)| **is_labelled) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == row => *last = row,
            _ => runs.push((row, row)),
        }
    }
    runs
}

/// Every second series of a folder, by the hash of its name, is kept for checking.
fn split(series: &mut [Labelled]) {
    let mut order: Vec<(String, Vec<u8>, usize)> = series
        .iter()
        .enumerate()
        .map(|(place, one)| {
            let folder = one.name.split('/').next().unwrap_or_default().to_owned();
            let hash = Sha256::digest(one.name.as_bytes()).to_vec();
            (folder, hash, place)
        })
        .collect();
    order.sort();
    // Numbered through, so that folders with one series do not all fall on one side.
    for (number, (_, _, place)) in order.into_iter().enumerate() {
        series[place].part = if number % 2 == 0 {
            Part::Fit
        } else {
            Part::Check
        };
    }
}
