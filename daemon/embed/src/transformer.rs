//! The six layers of all-MiniLM-L6-v2: token ids in, the mean of their final states out.
//!
//! Several texts go through the matrices together, since reading the weights takes as long as
//! multiplying by them. Each token's numbers are the same in any company; only in `attend` tokens
//! meet, and there each text is by itself.
//!
//! BERT (Devlin et al., 2018) with activations rounded to whole numbers per row before each
//! matrix. Nothing here can fail: `file.rs` has checked the shapes and the sizes of the numbers.

use std::{array, ops::Range};

use hostmedic_model::vector::DIMENSIONS;

use crate::{
    file::{HEADS, Layer, Linear, Norm, Weights},
    kernel::{Kernel, Quads, Scalar, TILE_OUT, TILE_ROWS, Tiles},
    math::{self, LANES},
};

/// Numbers of a token's state that belong to one head of the attention.
const HEAD: usize = DIMENSIONS / HEADS;
/// Tokens that ask at once: one sum by itself would wait for each of its additions.
const QUERIES: usize = 4;
/// Rows that pass through the two wide matrices together: few enough to stay in the cache.
const FFN_ROWS: usize = 32;

/// The mean of a text's final states.
pub(crate) type Mean = [f32; DIMENSIONS];

/// Runs `texts` on `kernel`; each has at least one token id and at most as many as there are
/// positions.
pub(crate) fn run(weights: &Weights<'_>, texts: &[&[u16]], kernel: Kernel) -> Vec<Mean> {
    #[cfg(target_arch = "x86_64")]
    {
        use crate::kernel::x86::{Avx2, Vnni};
        if kernel == Kernel::Vnni
            && let Some(vnni) = Vnni::detect()
        {
            return vnni.run(weights, texts);
        }
        if kernel == Kernel::Avx2
            && let Some(avx2) = Avx2::detect()
        {
            return avx2.run(weights, texts);
        }
    }
    let _ = kernel;
    forward(weights, texts, Scalar)
}

/// The computation. Inlined into functions that may use more instructions than this one.
#[inline(always)]
pub(crate) fn forward(weights: &Weights<'_>, texts: &[&[u16]], tiles: impl Tiles) -> Vec<Mean> {
    let spans = spans(texts);
    let count = spans.last().map_or(0, |span| span.end);
    let rows = count.next_multiple_of(TILE_ROWS);
    let mut states = vec![0.0; rows * DIMENSIONS];
    let ids = texts.iter().flat_map(|ids| ids.iter().enumerate());
    for ((at, id), row) in ids.zip(states.chunks_exact_mut(DIMENSIONS)) {
        weights.token(*id, at, row);
    }
    normalise(&mut states, &weights.norm);
    let mut scratch = Scratch::new(rows, weights.ffn);
    for layer in &weights.layers {
        attend(layer, &mut states, &mut scratch, &spans, tiles);
        feed_forward(layer, &mut states, &mut scratch, tiles);
    }
    let of_text = |span: &Range<usize>| {
        let mut mean = [0.0; DIMENSIONS];
        for row in states[span.start * DIMENSIONS..span.end * DIMENSIONS].chunks_exact(DIMENSIONS) {
            for (mean, value) in mean.iter_mut().zip(row) {
                *mean += value;
            }
        }
        mean
    };
    spans.iter().map(of_text).collect()
}

/// Which rows belong to each text.
fn spans(texts: &[&[u16]]) -> Vec<Range<usize>> {
    let mut end = 0;
    let mut next = |ids: &&[u16]| {
        let start = end;
        end += ids.len();
        start..end
    };
    texts.iter().map(&mut next).collect()
}

/// Memory that every layer uses anew.
struct Scratch {
    quantised: Quantised,
    qkv: Vec<f32>,
    context: Vec<f32>,
    wide: Vec<f32>,
    narrow: Vec<f32>,
    /// Keys of one head of one text, turned: per number of the head, per token.
    keys: Vec<f32>,
    /// Shares, per query, per token.
    attention: Vec<f32>,
}

impl Scratch {
    fn new(rows: usize, ffn: usize) -> Self {
        Self {
            quantised: Quantised::default(),
            qkv: vec![0.0; rows * 3 * DIMENSIONS],
            context: vec![0.0; rows * DIMENSIONS],
            wide: vec![0.0; FFN_ROWS.min(rows) * ffn],
            narrow: vec![0.0; rows * DIMENSIONS],
            keys: Vec::new(),
            attention: Vec::new(),
        }
    }
}

/// Each token's state takes from every other's of its text what it asks for.
#[inline(always)]
fn attend(
    layer: &Layer<'_>,
    states: &mut [f32],
    scratch: &mut Scratch,
    texts: &[Range<usize>],
    tiles: impl Tiles,
) {
    scratch.quantised.fill(states, DIMENSIONS);
    apply(&layer.qkv, &scratch.quantised, &mut scratch.qkv, tiles);
    for text in texts {
        attend_text(scratch, text);
    }
    scratch.quantised.fill(&scratch.context, DIMENSIONS);
    apply(&layer.out, &scratch.quantised, &mut scratch.narrow, tiles);
    add(states, &scratch.narrow);
    normalise(states, &layer.after_attention);
}

/// The attention within one text, from `qkv` to `context`.
#[inline(always)]
fn attend_text(scratch: &mut Scratch, text: &Range<usize>) {
    const STRIDE: usize = 3 * DIMENSIONS;
    let count = text.len();
    let columns = count.next_multiple_of(LANES);
    let qkv = &scratch.qkv[text.start * STRIDE..text.end * STRIDE];
    let context = &mut scratch.context[text.start * DIMENSIONS..text.end * DIMENSIONS];
    scratch.keys.resize(HEAD * columns, 0.0);
    scratch.attention.resize(QUERIES * columns, 0.0);
    for head in 0..HEADS {
        let at = head * HEAD;
        for (token, row) in qkv.chunks_exact(STRIDE).enumerate() {
            let key = &row[DIMENSIONS + at..][..HEAD];
            for (key, keys) in key.iter().zip(scratch.keys.chunks_exact_mut(columns)) {
                keys[token] = *key;
            }
        }
        for first in (0..count).step_by(QUERIES) {
            // The last ones are asked for again until there are enough.
            let tokens: [usize; QUERIES] = array::from_fn(|more| (first + more).min(count - 1));
            let queries = tokens.map(|token| &qkv[token * STRIDE + at..][..HEAD]);
            score(queries, &scratch.keys, &mut scratch.attention, count);
            let values = &qkv[2 * DIMENSIONS + at..];
            let mixed = mixed(&scratch.attention, values, STRIDE, count);
            for (token, mixed) in tokens.iter().zip(&mixed) {
                context[token * DIMENSIONS + at..][..HEAD].copy_from_slice(mixed.as_flattened());
            }
        }
    }
}

/// For each query the sum of the first numbers of `count` rows, each row times its share.
#[inline(always)]
fn mixed(
    attention: &[f32],
    rows: &[f32],
    stride: usize,
    count: usize,
) -> [[[f32; LANES]; HEAD / LANES]; QUERIES] {
    let mut sums = [[[0.0; LANES]; HEAD / LANES]; QUERIES];
    let columns = attention.len() / QUERIES;
    for (token, row) in rows.chunks(stride).take(count).enumerate() {
        let values = row[..HEAD].as_chunks::<LANES>().0;
        for (query, sums) in sums.iter_mut().enumerate() {
            let share = attention[query * columns + token];
            for (sums, values) in sums.iter_mut().zip(values) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += share * value;
                }
            }
        }
    }
    sums
}

/// How much each query's token takes from each of `count` others: shares that sum to one.
#[inline(always)]
fn score(queries: [&[f32]; QUERIES], keys: &[f32], attention: &mut [f32], count: usize) {
    const SCALE: f32 = 0.176_776_7; // One over the root of HEAD.
    const { assert!(HEAD == 32) };
    let columns = attention.len() / QUERIES;
    for block in 0..columns / LANES {
        let mut sums = [[0.0; LANES]; QUERIES];
        for (place, keys) in keys.chunks_exact(columns).enumerate() {
            let keys = &keys.as_chunks::<LANES>().0[block];
            for (sums, query) in sums.iter_mut().zip(&queries) {
                let query = query[place];
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum += query * key;
                }
            }
        }
        for (sums, attention) in sums.iter().zip(attention.chunks_exact_mut(columns)) {
            attention.as_chunks_mut::<LANES>().0[block] = sums.map(|sum| sum * SCALE);
        }
    }
    for attention in attention.chunks_exact_mut(columns) {
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
