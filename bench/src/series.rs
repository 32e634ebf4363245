//! The shipped detector of single series and its peers over the same rows, in one table.

mod cost;
mod events;
mod nab;
pub(crate) mod peers;
mod read;
mod table;

use std::{path::Path, time::Duration};

use hostmedic_reason::detect::series::SeriesDetector;

use self::{
    peers::Peer,
    read::{Labelled, Row},
};

/// What one detector said about one series, for each of its rows.
struct Said {
    scores: Vec<f32>,
    /// Rows at which its own rule would notify.
    notified: Vec<usize>,
}

/// Reads the sets below `data`, runs all detectors and prints the tables. `dump` is a folder for
/// the shipped detector's scores, in the form of the sets' own scorers.
///
/// # Errors
/// A set that cannot be read, or a folder that cannot be written; with its path.
pub(crate) fn run(data: &Path, dump: Option<&Path>) -> anyhow::Result<()> {
    let series = read::all(data)?;
    let ours: Vec<Said> = series.iter().map(shipped).collect();
    if let Some(folder) = dump {
        table::dump(folder, &series, &ours)?;
    }
    table::heading(&series);
    table::row("hostmedic", &series, &ours);
    for kind in &peers::KINDS {
        let said: Vec<Said> = series.iter().map(|one| peer(kind, one)).collect();
        table::row(kind.name, &series, &said);
    }
    table::own_rule_heading();
    table::own_rule("hostmedic", &series, &ours);
    for kind in &peers::KINDS {
        let said: Vec<Said> = series.iter().map(|one| peer(kind, one)).collect();
        table::own_rule(kind.name, &series, &said);
    }
    table::files(&series, &ours);
    cost::print();
    Ok(())
}

fn detector(interval_s: u32) -> SeriesDetector {
    SeriesDetector::new(Duration::from_secs(u64::from(interval_s)))
}

fn shipped(series: &Labelled) -> Said {
    let mut detector = detector(series.interval_s);
    let mut said = Said {
        scores: Vec::with_capacity(series.rows.len()),
        notified: Vec::new(),
    };
    for (row, (wall_s, value)) in series.rows.iter().enumerate() {
        let score = detector.observe(*wall_s, *value);
        said.scores.push(score.anomaly);
        if score.notify {
            said.notified.push(row);
        }
    }
    said
}

fn peer(kind: &peers::Kind, series: &Labelled) -> Said {
    let mut peer: Box<dyn Peer> = (kind.new)(series.interval_s);
    let scores: Vec<f32> = series
        .rows
        .iter()
        .map(|(wall_s, value)| peer.observe(*wall_s, *value))
        .collect();
    let notified = hourly(&series.rows, &scores, kind.rule);
    Said { scores, notified }
}

/// Rows at or above a threshold, none within an hour of another.
fn hourly(rows: &[Row], scores: &[f32], threshold: f32) -> Vec<usize> {
    let mut notified: Vec<usize> = Vec::new();
    for (row, score) in scores.iter().enumerate() {
        let rested = notified
            .last()
            .is_none_or(|last| rows[row].0 - rows[*last].0 >= 3600);
        if *score >= threshold && rested {
            notified.push(row);
        }
    }
    notified
}
