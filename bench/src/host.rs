//! The shipped detector of hosts and its peers over the same rows, in one table.
//!
//! Every detector reads a host's `train` rows first, unlabelled, and is scored on its `test` rows.

mod blame;
mod cost;
mod npz;
mod peers;
mod score;
mod set;
mod table;

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use hostmedic_reason::detect::host::HostDetector;

use self::{
    npz::Array,
    set::{Host, Set},
};

/// What one detector said about the test rows of one host.
pub(crate) struct Said {
    pub(crate) scores: Vec<f64>,
    /// Rows at which the shipped detector would notify; `None`: it has no rule of its own here.
    pub(crate) notified: Option<Vec<usize>>,
    /// How much each metric is to blame, row by row; empty where the detector cannot say.
    pub(crate) blame: Vec<f32>,
}

/// Reads the sets below `data`, runs all detectors and prints the tables. `dump` is a folder for
/// the shipped detector's scores: `<set>/<host>.csv`, one a line.
///
/// # Errors
/// A set that cannot be read, or a folder that cannot be written; with its path.
pub(crate) fn run(data: &Path, dump: Option<&Path>) -> anyhow::Result<()> {
    let sets = set::read(data)?;
    table::heading(&sets);
    let ours = over(&sets, |host, set| shipped(host, set, true));
    if let Some(folder) = dump {
        write(folder, &sets, &ours)?;
    }
    table::rows("hostmedic", &sets, &ours, None);
    blame::keep("hostmedic", &sets, &ours);
    let cold = over(&sets, |host, set| shipped(host, set, false));
    table::rows("hostmedic, cold start", &sets, &cold, None);
    for kind in &peers::KINDS {
        let said = over(&sets, |host, set| peers::run(kind, host, set.step_s));
        table::rows(kind.name, &sets, &said, kind.rule);
        blame::keep(kind.name, &sets, &said);
    }
    cost::print();
    Ok(())
}

/// What `detect` says of each host of each set.
fn over(sets: &[Set], mut detect: impl FnMut(&Host, &Set) -> Said) -> Vec<Vec<Said>> {
    sets.iter()
        .map(|set| set.hosts.iter().map(|host| detect(host, set)).collect())
        .collect()
}

/// The shipped detector, with or without the rows before the labelled ones.
fn shipped(host: &Host, set: &Set, warm: bool) -> Said {
    let interval = Duration::from_secs(set.step_s.unsigned_abs());
    let mut detector = HostDetector::new(host.test.columns, interval);
    let mut wall_s = 0;
    let mut said = Said {
        scores: Vec::new(),
        notified: Some(Vec::new()),
        blame: Vec::new(),
    };
    let before: &[&Array] = if warm { &[&host.train] } else { &[] };
    for row in before.iter().flat_map(|part| part.lines()) {
        detector.observe(wall_s, &values(row));
        wall_s += set.step_s;
    }
    for (number, row) in host.test.lines().enumerate() {
        let score = detector.observe(wall_s, &values(row));
        wall_s += set.step_s;
        said.scores.push(f64::from(score.anomaly));
        if let (true, Some(notified)) = (score.notify, &mut said.notified) {
            notified.push(number);
        }
        let at = said.blame.len();
        said.blame.resize(at + row.len(), 0.0);
        for blame in detector.blame(row.len()) {
            said.blame[at + blame.metric] = blame.evidence;
        }
    }
    said
}

fn values(row: &[f32]) -> Vec<Option<f64>> {
    row.iter().map(|value| Some(f64::from(*value))).collect()
}

fn write(folder: &Path, sets: &[Set], said: &[Vec<Said>]) -> anyhow::Result<()> {
    for (set, said) in sets.iter().zip(said) {
        let folder = folder.join(set.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (host, said) in set.hosts.iter().zip(said) {
            let path = folder.join(format!("{}.csv", host.name));
            let lines: String = said
                .scores
                .iter()
                .map(|score| format!("{score}\n"))
                .collect();
            fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}
