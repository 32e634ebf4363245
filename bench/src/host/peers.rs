//! What people use today for a host: one rule for each series, joined; and two that see all at once.

mod forest;

use super::{Said, npz::Array, set::Host};
use crate::series::peers::{self, Peer as SeriesPeer};

/// Spreads that count, at most, in the mean square.
const SPREADS_MAX: f32 = 30.0;

/// A detector to compare with.
pub(super) trait Peer {
    /// Takes one row, larger is more anomalous. Writes into `blame` what each metric adds, where
    /// it can tell.
    fn observe(&mut self, wall_s: i64, row: &[f32], blame: &mut Vec<f32>) -> f64;
}

/// A peer's name, the threshold of its own rule if it has one, and how to make it out of the rows
/// before and the seconds between them.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) rule: Option<f64>,
    new: fn(&Array, u32) -> Box<dyn Peer>,
}

/// All peers, in the order of the table.
pub(super) const KINDS: [Kind; 6] = [
    Kind {
        name: "3-sigma over 7 days, any metric",
        rule: Some(3.0),
        new: |train, step_s| joined("3-sigma", train, step_s, most),
    },
    Kind {
        name: "3-sigma over 7 days, mean square",
        rule: None,
        new: |train, step_s| joined("3-sigma", train, step_s, mean_square),
    },
    Kind {
        name: "static: past the range so far",
        rule: Some(1e-9),
        new: |train, _| Box::new(Range::new(train)),
    },
    Kind {
        name: "Netdata-like vote, share of metrics",
        rule: Some(0.010_001),
        new: |train, step_s| joined("Netdata", train, step_s, |all| share(all, 0.99)),
    },
    Kind {
        name: "Grafana-like bands, share of metrics",
        rule: None,
        new: |train, step_s| joined("Grafana", train, step_s, |all| share(all, 1.0)),
    },
    Kind {
        name: "isolation forest on raw values",
        rule: None,
        new: |train, _| Box::new(forest::Forest::grow(train)),
    },
];

/// Runs `kind` over the rows of `host`, `step_s` apart.
pub(super) fn run(kind: &Kind, host: &Host, step_s: i64) -> Said {
    let mut peer = (kind.new)(&host.train, u32::try_from(step_s).unwrap_or(60));
    let mut said = Said {
        scores: Vec::new(),
        notified: None,
        blame: Vec::new(),
    };
    let mut wall_s = 0;
    let mut unread = Vec::new();
    for row in host.train.lines() {
        unread.clear();
        peer.observe(wall_s, row, &mut unread);
        wall_s += step_s;
    }
    for row in host.test.lines() {
        said.scores.push(peer.observe(wall_s, row, &mut said.blame));
        wall_s += step_s;
    }
    said
}

/// One peer of single series for each metric, and one number out of theirs.
struct Joined {
    metrics: Vec<Box<dyn SeriesPeer>>,
    join: fn(&[f32]) -> f64,
    /// Whether the single scores are fit to rank metrics by.
    blames: bool,
    scores: Vec<f32>,
}

fn joined(name: &str, train: &Array, step_s: u32, join: fn(&[f32]) -> f64) -> Box<dyn Peer> {
    let metrics = (0..train.columns)
        .filter_map(|_| peers::KINDS.iter().find(|kind| kind.name.starts_with(name)))
        .map(|kind| (kind.new)(step_s))
        .collect();
    Box::new(Joined {
        metrics,
        join,
        blames: name == "3-sigma",
        scores: Vec::new(),
    })
}

impl Peer for Joined {
    fn observe(&mut self, wall_s: i64, row: &[f32], blame: &mut Vec<f32>) -> f64 {
        self.scores.clear();
        for (metric, value) in self.metrics.iter_mut().zip(row) {
            self.scores
                .push(metric.observe(wall_s, Some(f64::from(*value))));
        }
        if self.blames {
            blame.extend_from_slice(&self.scores);
        }
        (self.join)(&self.scores)
    }
}

fn most(scores: &[f32]) -> f64 {
    f64::from(scores.iter().copied().fold(0.0, f32::max))
}

fn mean_square(scores: &[f32]) -> f64 {
    let squares = scores
        .iter()
        .map(|score| f64::from(score.min(SPREADS_MAX).powi(2)));
    squares.sum::<f64>() / super::score::to_f64(scores.len().max(1))
}

fn share(scores: &[f32], from: f32) -> f64 {
    let over = scores.iter().filter(|score| **score >= from).count();
    super::score::to_f64(over) / super::score::to_f64(scores.len().max(1))
}

/// How far past the range of the rows before, in units of that range; the worst metric counts.
struct Range {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Range {
    fn new(train: &Array) -> Self {
        let mut range = Self {
            low: vec![f32::INFINITY; train.columns],
            high: vec![f32::NEG_INFINITY; train.columns],
        };
        for row in train.lines() {
            for ((low, high), value) in range.low.iter_mut().zip(&mut range.high).zip(row) {
                *low = low.min(*value);
                *high = high.max(*value);
            }
        }
        range
    }
}

impl Peer for Range {
    fn observe(&mut self, _: i64, row: &[f32], _: &mut Vec<f32>) -> f64 {
        let past = |((low, high), value): ((&f32, &f32), &f32)| {
            let past = (value - high).max(low - value).max(0.0);
            f64::from(past / (high - low).max(1e-6 * high.abs()).max(1e-12))
        };
        self.low
            .iter()
            .zip(&self.high)
            .zip(row)
            .map(past)
            .fold(0.0, f64::max)
    }
}
