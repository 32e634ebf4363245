//! An isolation forest (Liu, Ting, Zhou 2008) over a stream: how few random cuts part this row from
//! the rows of the last days.
//!
//! It eats deviations, not raw values, each squeezed to one byte. Rows enter a reservoir at random,
//! and every day each tree is grown anew from it, one at a time, so the forest follows the host and
//! no row pays for more than one tree.

use serde::{Deserialize, Serialize};

use super::window::DEVIATION_MAX;

/// Trees; more change nothing measurable (Liu et al., figure 8).
pub(super) const TREES: usize = 100;
/// Rows a tree is grown from.
const SAMPLE: usize = 128;
/// Rows to draw from.
const RESERVOIR: usize = 256;
/// Cuts from the root, at most: log2 of `SAMPLE`.
const DEPTH: usize = 7;
/// Inner nodes of a full tree.
const NODES: usize = (1 << DEPTH) - 1;
/// Marks a node that cuts nothing.
const LEAF: u16 = u16::MAX;
/// Features that are tried for a cut before a node is left uncut.
const TRIES: usize = 8;
/// Rows stay this long in the reservoir, on average.
const DAYS: usize = 7;

/// The forest and the rows it is grown from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Forest {
    features: usize,
    /// Features that were ever other than zero in the reservoir. Cuts are drawn from these alone:
    /// metrics that stand still must not use up the tries.
    cuttable: Vec<bool>,
    rows_a_day: usize,
    /// `RESERVOIR` rows of `features`, once full.
    reservoir: Vec<i8>,
    /// `NODES` a tree, the children of `n` at `2n + 1` and `2n + 2`.
    nodes: Vec<Node>,
    /// Path lengths below the inner nodes, in sixteenths, for those that end early too.
    ends: Vec<u8>,
    /// Trees grown so far, and the one to be grown next.
    grown: usize,
    next: usize,
    /// Rows towards the next growth and the next entry into the reservoir.
    rows: usize,
    random: Random,
}

/// Goes left where the feature is at most `most`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Node {
    feature: u16,
    most: i8,
}

/// `SplitMix64` (Steele, Lea, Flood 2014): the same rows always give the same forest.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0..bound`; the bias is below `bound` / 2^32.
    fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }
}

/// A deviation in one byte: its sign and twelve steps per doubling.
#[expect(clippy::cast_possible_truncation, reason = "within ±120")]
pub(super) fn squeeze(deviation: f64) -> i8 {
    let size = 12.0 * (1.0 + deviation.abs().min(DEVIATION_MAX) as f32).log2();
    size.copysign(deviation as f32) as i8
}

/// Mean path length of a search for nothing in a tree of `rows` (Liu et al., equation 1).
#[expect(clippy::cast_precision_loss, reason = "at most `SAMPLE`")]
fn search(rows: usize) -> f32 {
    match rows {
        0 | 1 => 0.0,
        2 => 1.0,
        _ => {
            let rows = rows as f32;
            2.0 * ((rows - 1.0).ln() + 0.577_215_7) - 2.0 * (rows - 1.0) / rows
        }
    }
}

impl Forest {
    /// An empty forest; a day has `rows_a_day` rows.
    #[must_use]
    pub fn new(rows_a_day: u32) -> Self {
        Self {
            features: 0,
            cuttable: Vec::new(),
            rows_a_day: rows_a_day.max(1) as usize,
            reservoir: Vec::new(),
            nodes: Vec::new(),
            ends: Vec::new(),
            grown: 0,
            next: 0,
            rows: 0,
            random: Random(0x686f_7374_6d65_6469),
        }
    }

    /// Makes rows `features` long; those held so far are zero in the new ones.
    pub fn widen(&mut self, features: usize) {
        let before = std::mem::replace(&mut self.features, features);
        self.cuttable.resize(features, false);
        if before > 0 && !self.reservoir.is_empty() {
            let held = std::mem::take(&mut self.reservoir);
            for row in held.chunks_exact(before) {
                self.reservoir.extend_from_slice(row);
                self.reservoir
                    .resize(self.reservoir.len() + features - before, 0);
            }
        }
    }

    /// Whether a forest that was read back eats rows of `features` and all its parts fit.
    pub(super) fn is_sound(&self, features: usize) -> bool {
        let (nodes, ends) = if self.grown == 0 {
            (0, 0)
        } else {
            (TREES * NODES, TREES * (2 * NODES + 1))
        };
        let fits = |node: &Node| node.feature == LEAF || usize::from(node.feature) < features;
        self.features == features
            && self.cuttable.len() == features
            && (1..=86_400).contains(&self.rows_a_day)
            && self.rows <= self.rows_a_day
            && self.reservoir.len() <= RESERVOIR * features
            && self.reservoir.len().is_multiple_of(features.max(1))
            && (self.grown == 0 || self.grown == TREES)
            && self.next < TREES
            && self.nodes.len() == nodes
            && self.ends.len() == ends
            && self.nodes.iter().all(fits)
    }

    /// Bytes held.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.cuttable.capacity()
            + self.reservoir.capacity()
            + self.nodes.capacity() * size_of::<Node>()
            + self.ends.capacity()
    }

    /// Isolation of `row`, from 0 to 1; about 0.5 for most. `None` until all trees are grown.
    #[must_use]
    pub fn score(&self, row: &[i8]) -> Option<f32> {
        if self.grown < TREES || row.len() != self.features {
            return None;
        }
        let mut paths: u32 = 0;
        for (nodes, ends) in self
            .nodes
            .chunks_exact(NODES)
            .zip(self.ends.chunks_exact(2 * NODES + 1))
        {
            let mut at = 0;
            while at < NODES && nodes[at].feature != LEAF {
                let node = nodes[at];
                at = 2 * at + 1 + usize::from(row[usize::from(node.feature)] > node.most);
            }
            paths += u32::from(ends[at]);
        }
        let mean = to_f32(paths) / (16.0 * to_f32(TREES as u32));
        Some((-mean / search(SAMPLE)).exp2())
    }

    /// Takes `row` in, and grows a tree when one is due.
    pub fn learn(&mut self, row: &[i8]) {
        if row.len() != self.features || row.is_empty() {
            return;
        }
        let held = self.reservoir.len() / self.features;
        if held < RESERVOIR {
            // One day fills it; thereafter a row is replaced after a week on average.
            if self.random.below(self.rows_a_day) < RESERVOIR {
                self.reservoir.extend_from_slice(row);
                self.mark(row);
            }
        } else if self.random.below(self.rows_a_day * DAYS) < RESERVOIR {
            let at = self.random.below(RESERVOIR) * self.features;
            self.reservoir[at..at + self.features].copy_from_slice(row);
            self.mark(row);
        }
        self.rows += TREES;
        if self.rows >= self.rows_a_day {
            self.rows = self
                .rows
                .saturating_sub(self.rows_a_day)
                .min(self.rows_a_day);
            if held >= RESERVOIR || self.grown > 0 {
                self.grow();
            }
        }
    }

    /// Knows what can be cut, now that `row` is in the reservoir.
    fn mark(&mut self, row: &[i8]) {
        for (cuttable, value) in self.cuttable.iter_mut().zip(row) {
            *cuttable |= *value != 0;
        }
    }

    /// Grows the tree whose turn it is; all of them the first time.
    fn grow(&mut self) {
        let first = self.grown == 0;
        if first {
            self.nodes = vec![
                Node {
                    feature: LEAF,
                    most: 0
                };
                TREES * NODES
            ];
            self.ends = vec![0; TREES * (2 * NODES + 1)];
        }
        let cuttable: Vec<u16> = (0..LEAF)
            .zip(&self.cuttable)
            .filter_map(|(feature, cuttable)| cuttable.then_some(feature))
            .collect();
        for _ in 0..if first { TREES } else { 1 } {
            self.grow_one(&cuttable);
        }
    }

    fn grow_one(&mut self, cuttable: &[u16]) {
        let held = self.reservoir.len() / self.features;
        let mut rows: Vec<usize> = (0..held).collect();
        let sample = SAMPLE.min(held);
        for at in 0..sample {
            let other = at + self.random.below(held - at);
            rows.swap(at, other);
        }
        rows.truncate(sample);
        let tree = self.next;
        for node in &mut self.nodes[tree * NODES..(tree + 1) * NODES] {
            node.feature = LEAF;
        }
        self.cut(cuttable, tree, (0, 0), &mut rows);
        self.next = (tree + 1) % TREES;
        self.grown = (self.grown + 1).min(TREES);
    }

    /// Cuts `rows` at the node `at`, `depth` cuts below the root, and what is left below it.
    fn cut(
        &mut self,
        cuttable: &[u16],
        tree: usize,
        (at, depth): (usize, usize),
        rows: &mut [usize],
    ) {
        let chosen = if at < NODES && rows.len() > 1 {
            self.choose(cuttable, rows)
        } else {
            None
        };
        let Some(node) = chosen else {
            let path = to_f32(depth as u32) + search(rows.len());
            self.ends[tree * (2 * NODES + 1) + at] = (path * 16.0).min(255.0) as u8;
            return;
        };
        self.nodes[tree * NODES + at] = node;
        let mut left = 0;
        for row in 0..rows.len() {
            if self.reservoir[rows[row] * self.features + usize::from(node.feature)] <= node.most {
                rows.swap(left, row);
                left += 1;
            }
        }
        let (low, high) = rows.split_at_mut(left);
        self.cut(cuttable, tree, (2 * at + 1, depth + 1), low);
        self.cut(cuttable, tree, (2 * at + 2, depth + 1), high);
    }

    /// A random one of the `cuttable` features in which `rows` differ, and a random cut between its extremes.
    fn choose(&mut self, cuttable: &[u16], rows: &[usize]) -> Option<Node> {
        for _ in 0..TRIES {
            let feature = *cuttable.get(self.random.below(cuttable.len()))?;
            let values = rows
                .iter()
                .map(|row| self.reservoir[row * self.features + usize::from(feature)]);
            let (low, high) = values.fold((i8::MAX, i8::MIN), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            if low < high {
                let span = usize::from(high.abs_diff(low));
                let most = i16::from(low) + self.random.below(span) as i16;
                return Some(Node {
                    feature,
                    most: most as i8,
                });
            }
        }
        None
    }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^24")]
fn to_f32(number: u32) -> f32 {
    number as f32
}
