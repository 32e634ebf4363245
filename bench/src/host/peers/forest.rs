//! The isolation forest as textbooks have it: grown once on the rows before, on raw values.
//!
//! Source: Liu, Ting, Zhou, "Isolation Forest", 2008: 100 trees of 256 rows.

use super::{
    super::{npz::Array, score::to_f64},
    Peer,
};

const TREES: usize = 100;
const SAMPLE: usize = 256;
const DEPTH_MAX: usize = 8;

/// The trees.
pub(super) struct Forest {
    trees: Vec<Tree>,
}

enum Tree {
    Leaf {
        path: f64,
    },
    Cut {
        column: usize,
        at: f32,
        low: Box<Tree>,
        high: Box<Tree>,
    },
}

/// A fixed sequence (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        let part = u16::try_from(self.below(1 << 16)).unwrap_or(0);
        low + (high - low) * (f32::from(part) / 65_536.0)
    }
}

impl Forest {
    pub(super) fn grow(train: &Array) -> Self {
        let mut random = Random(0x5DEE_CE66_D1CE_4E5B);
        let trees = (0..TREES)
            .map(|_| {
                let rows: Vec<&[f32]> = (0..SAMPLE.min(train.rows))
                    .map(|_| {
                        let at = random.below(train.rows) * train.columns;
                        &train.values[at..at + train.columns]
                    })
                    .collect();
                Tree::grow(&rows, 0, &mut random)
            })
            .collect();
        Self { trees }
    }
}

impl Tree {
    fn grow(rows: &[&[f32]], depth: usize, random: &mut Random) -> Self {
        let columns = rows.first().map_or(0, |row| row.len());
        let differ: Vec<(usize, f32, f32)> = (0..columns)
            .map(|column| {
                rows.iter().map(|row| row[column]).fold(
                    (column, f32::INFINITY, f32::NEG_INFINITY),
                    |(column, low, high), value| (column, low.min(value), high.max(value)),
                )
            })
            .filter(|(_, low, high)| low < high)
            .collect();
        if depth >= DEPTH_MAX || rows.len() < 2 || differ.is_empty() {
            let path = to_f64(depth) + search(rows.len());
            return Self::Leaf { path };
        }
        let (column, low, high) = differ[random.below(differ.len())];
        let at = random.between(low, high);
        let (less, more): (Vec<&[f32]>, Vec<&[f32]>) =
            rows.iter().partition(|row| row[column] <= at);
        Self::Cut {
            column,
            at,
            low: Box::new(Self::grow(&less, depth + 1, random)),
            high: Box::new(Self::grow(&more, depth + 1, random)),
        }
    }

    fn path(&self, row: &[f32]) -> f64 {
        match self {
            Self::Leaf { path } => *path,
            Self::Cut {
                column,
                at,
                low,
                high,
            } => if row[*column] <= *at { low } else { high }.path(row),
        }
    }
}

/// Mean path of a search for nothing in a tree of `rows`.
fn search(rows: usize) -> f64 {
    let count = to_f64(rows);
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => 2.0 * ((count - 1.0).ln() + 0.577_215_664_9) - 2.0 * (count - 1.0) / count,
    }
}

impl Peer for Forest {
    fn observe(&mut self, _: i64, row: &[f32], _: &mut Vec<f32>) -> f64 {
        let paths: f64 = self.trees.iter().map(|tree| tree.path(row)).sum();
        (-paths / to_f64(self.trees.len()) / search(SAMPLE)).exp2()
    }
}
