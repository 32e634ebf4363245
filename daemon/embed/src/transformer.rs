//! The six layers of all-MiniLM-L6-v2: token ids in, the mean of their final states out.
//!
//! BERT (Devlin et al., 2018) with activations rounded to whole numbers per row before each
//! matrix. Nothing here can fail: `file.rs` has checked the shapes and the sizes of the numbers.

use std::array;

use hostmedic_model::vector::DIMENSIONS;

use crate::{
    file::{HEADS, Layer, Linear, Norm, Weights},
    kernel::{Kernel, Quads, Scalar, TILE_OUT, TILE_ROWS, Tiles},
    math::{self, LANES},
};

/// Numbers of a token's state that belong to one head of the attention.
const HEAD: usize = DIMENSIONS / HEADS;
/// Rows that pass through the two wide matrices together: few enough to stay in the cache.
const FFN_ROWS: usize = 32;

/// Runs `ids`, at least one and at most as many as there are positions, on `kernel`.
pub(crate) fn run(weights: &Weights<'_>, ids: &[u16], kernel: Kernel) -> [f32; DIMENSIONS] {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::kernel::x86::{Avx2, Vnni};
        if kernel == Kernel::Vnni
            && let Some(vnni) = Vnni::detect()
        {
            return vnni.run(weights, ids);
        }
        if kernel == Kernel::Avx2
            && let Some(avx2) = Avx2::detect()
        {
            return avx2.run(weights, ids);
        }
    }
    let _ = kernel;
    forward(weights, ids, Scalar)
}

/// The computation. Inlined into functions that may use more instructions than this one.
#[inline(always)]
pub(crate) fn forward(weights: &Weights<'_>, ids: &[u16], tiles: impl Tiles) -> [f32; DIMENSIONS] {
    let count = ids.len();
    let rows = count.next_multiple_of(TILE_ROWS);
    let mut states = vec![0.0; rows * DIMENSIONS];
    for (at, (id, row)) in ids
        .iter()
        .zip(states.chunks_exact_mut(DIMENSIONS))
        .enumerate()
    {
        weights.token(*id, at, row);
    }
    normalise(&mut states, &weights.norm);
    let mut scratch = Scratch::new(count, rows, weights.ffn);
    for layer in &weights.layers {
        attend(layer, &mut states, &mut scratch, count, tiles);
        feed_forward(layer, &mut states, &mut scratch, tiles);
    }
    let mut mean = [0.0; DIMENSIONS];
    for row in states.chunks_exact(DIMENSIONS).take(count) {
        for (mean, value) in mean.iter_mut().zip(row) {
            *mean += value;
        }
    }
    mean
}

/// Memory that every layer uses anew.
struct Scratch {
    quantised: Quantised,
    qkv: Vec<f32>,
    context: Vec<f32>,
    wide: Vec<f32>,
    narrow: Vec<f32>,
    /// Keys of one head, turned: per number of the head, per token.
    keys: Vec<f32>,
    attention: Vec<f32>,
}

impl Scratch {
    fn new(count: usize, rows: usize, ffn: usize) -> Self {
        let columns = count.next_multiple_of(LANES);
        Self {
            quantised: Quantised::default(),
            qkv: vec![0.0; rows * 3 * DIMENSIONS],
            context: vec![0.0; rows * DIMENSIONS],
            wide: vec![0.0; FFN_ROWS.min(rows) * ffn],
            narrow: vec![0.0; rows * DIMENSIONS],
            keys: vec![0.0; HEAD * columns],
            attention: vec![0.0; columns],
        }
    }
}

/// Each token's state takes from every other's what it asks for.
#[inline(always)]
fn attend(
    layer: &Layer<'_>,
    states: &mut [f32],
    scratch: &mut Scratch,
    count: usize,
    tiles: impl Tiles,
) {
    const STRIDE: usize = 3 * DIMENSIONS;
    scratch.quantised.fill(states, DIMENSIONS);
    apply(&layer.qkv, &scratch.quantised, &mut scratch.qkv, tiles);
    let columns = scratch.attention.len();
    for head in 0..HEADS {
        let at = head * HEAD;
        for (token, row) in scratch.qkv.chunks_exact(STRIDE).take(count).enumerate() {
            let key = &row[DIMENSIONS + at..][..HEAD];
            for (key, keys) in key.iter().zip(scratch.keys.chunks_exact_mut(columns)) {
                keys[token] = *key;
            }
        }
        for token in 0..count {
            let query = &scratch.qkv[token * STRIDE + at..][..HEAD];
            score(query, &scratch.keys, &mut scratch.attention, count);
            let context = &mut scratch.context[token * DIMENSIONS + at..][..HEAD];
            for (block, context) in context.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                let values = &scratch.qkv[2 * DIMENSIONS + at + block * LANES..];
                *context = mixed(&scratch.attention[..count], values, STRIDE);
            }
        }
    }
    scratch.quantised.fill(&scratch.context, DIMENSIONS);
    apply(&layer.out, &scratch.quantised, &mut scratch.narrow, tiles);
    add(states, &scratch.narrow);
    normalise(states, &layer.after_attention);
}

/// The sum of the first numbers of each row, each row times its share.
#[inline(always)]
fn mixed(shares: &[f32], rows: &[f32], stride: usize) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    for (share, row) in shares.iter().zip(rows.chunks(stride)) {
        if let Some(values) = row.first_chunk::<LANES>() {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += share * value;
            }
        }
    }
    sums
}

/// How much a token takes from each of `count` others: shares that sum to one.
#[inline(always)]
fn score(query: &[f32], keys: &[f32], attention: &mut [f32], count: usize) {
    const SCALE: f32 = 0.176_776_7; // One over the root of HEAD.
    const { assert!(HEAD == 32) };
    let columns = attention.len();
    for (block, attention) in attention.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let mut sums = [0.0; LANES];
        for (query, keys) in query.iter().zip(keys.chunks_exact(columns)) {
            let keys = &keys.as_chunks::<LANES>().0[block];
            for (sum, key) in sums.iter_mut().zip(keys) {
                *sum += query * key;
            }
        }
        *attention = sums.map(|sum| sum * SCALE);
    }
    attention[count..].fill(f32::MIN);
    let most = math::most(attention);
    for share in attention.iter_mut() {
        *share = math::exp(*share - most);
    }
    attention[count..].fill(0.0);
    let scale = 1.0 / math::sum(attention);
    for share in attention {
        *share *= scale;
    }
}

/// Two matrices with an activation between them, some rows at a time.
#[inline(always)]
fn feed_forward(layer: &Layer<'_>, states: &mut [f32], scratch: &mut Scratch, tiles: impl Tiles) {
    let ffn = layer.up.n_out;
    let blocks = states.chunks(FFN_ROWS * DIMENSIONS);
    for (states, narrow) in blocks.zip(scratch.narrow.chunks_mut(FFN_ROWS * DIMENSIONS)) {
        let wide = &mut scratch.wide[..states.len() / DIMENSIONS * ffn];
        scratch.quantised.fill(states, DIMENSIONS);
        apply(&layer.up, &scratch.quantised, wide, tiles);
        for value in wide.iter_mut() {
            *value = math::gelu(*value);
        }
        scratch.quantised.fill(wide, ffn);
        apply(&layer.down, &scratch.quantised, narrow, tiles);
    }
    add(states, &scratch.narrow);
    normalise(states, &layer.after_ffn);
}

#[inline(always)]
fn add(states: &mut [f32], more: &[f32]) {
    for (state, more) in states.iter_mut().zip(more) {
        *state += more;
    }
}

#[inline(always)]
fn normalise(states: &mut [f32], norm: &Norm) {
    for row in states.chunks_exact_mut(DIMENSIONS) {
        math::normalise(row, &norm.gain, &norm.bias);
    }
}

/// Rows of activations as whole numbers, in tiles.
#[derive(Default)]
struct Quantised {
    /// Per tile of rows, per four columns.
    quads: Vec<Quads>,
    /// Per tile: what one step of the whole numbers is worth, a row.
    scales: Vec<[f32; TILE_ROWS]>,
    /// Per tile: the sum of each row's whole numbers.
    totals: Vec<[i32; TILE_ROWS]>,
    row: Vec<i8>,
}

impl Quantised {
    /// Rounds rows of `n_in` numbers to -127..127 by their largest.
    #[inline(always)]
    fn fill(&mut self, values: &[f32], n_in: usize) {
        let count = values.len() / n_in / TILE_ROWS;
        self.quads.resize(count * n_in / 4, [[0; 4]; TILE_ROWS]);
        self.scales.resize(count, [0.0; TILE_ROWS]);
        self.totals.resize(count, [0; TILE_ROWS]);
        self.row.resize(n_in, 0);
        let tiles = self.quads.chunks_exact_mut(n_in / 4);
        let rests = self.scales.iter_mut().zip(&mut self.totals);
        for ((values, quads), (scales, totals)) in
            values.chunks_exact(TILE_ROWS * n_in).zip(tiles).zip(rests)
        {
            for (row, values) in values.chunks_exact(n_in).enumerate() {
                let peak = math::peak(values);
                let factor = if peak > 0.0 { 127.0 / peak } else { 0.0 };
                scales[row] = peak / 127.0;
                for (rounded, value) in self.row.iter_mut().zip(values) {
                    *rounded = math::round(value * factor) as i8;
                }
                totals[row] = self.row.iter().map(|value| i32::from(*value)).sum();
                for (quad, quads) in self.row.as_chunks::<4>().0.iter().zip(&mut *quads) {
                    quads[row] = *quad;
                }
            }
        }
    }
}

/// Multiplies every row by a matrix: `out` is rows by `n_out`.
#[inline(always)]
fn apply(linear: &Linear<'_>, rows: &Quantised, out: &mut [f32], tiles: impl Tiles) {
    let quads = linear.n_in / 4;
    let scales = linear.scale.as_chunks::<TILE_OUT>().0;
    let biases = linear.bias.as_chunks::<TILE_OUT>().0;
    let blocks = linear
        .tiles
        .chunks_exact(quads)
        .zip(scales.iter().zip(biases));
    for (block, (weights, (scale, bias))) in blocks.enumerate() {
        let groups = rows
            .quads
            .chunks_exact(quads)
            .zip(rows.scales.iter().zip(&rows.totals));
        for (activations, (steps, totals), out) in groups
            .zip(out.chunks_exact_mut(TILE_ROWS * linear.n_out))
            .map(|((activations, rest), out)| (activations, rest, out))
        {
            let sums = tiles.dot(activations, totals, weights);
            for ((sums, step), out) in sums
                .iter()
                .zip(steps)
                .zip(out.chunks_exact_mut(linear.n_out))
            {
                let out = &mut out.as_chunks_mut::<TILE_OUT>().0[block];
                *out = array::from_fn(|at| sums[at] as f32 * (step * scale[at]) + bias[at]);
            }
        }
    }
}
