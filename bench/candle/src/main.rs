//! A peer of the matcher's own engine: the same model in 32 bits, run by candle on one core.
//!
//! Its weights are the shipped file's, widened again: what differs is the engine, not the model.
//! The layout is that of the file's converter (`daemon/embed/model`).
//!
//! Reads one text a line and prints, as JSON, the milliseconds each took (CPU of the process and
//! clock) and its nearness to the vector that hostmedic's engine gives.

use std::{
    collections::HashMap,
    io::{self, BufRead},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, HiddenAct};
use hostmedic_embed::Model;
use nix::time::{ClockId, clock_gettime};
use serde_json::json;

static SHIPPED: &[u8] = include_bytes!("../../../daemon/embed/model/all-minilm-l6-v2.hmlm");

const HIDDEN: usize = 384;
const LAYERS: usize = 6;
const WIDE: usize = 1536;
const POSITIONS: usize = 256;
const TILE_ROWS: usize = 16;
const TILE_COLUMNS: usize = 4;
/// Values of the token table that share a scale, and their bytes with it.
const GROUP: usize = 32;
const GROUP_BYTES: usize = 2 + GROUP / 2;

fn main() -> Result<()> {
    let peer = Peer::widen(SHIPPED)?;
    for text in io::stdin().lock().lines() {
        let text = text?;
        let (cpu, clock) = (cpu_time()?, Instant::now());
        let vector = peer.embed(&text)?;
        let (cpu, clock) = (cpu_time()? - cpu, clock.elapsed());
        let own = Model::shipped().embed(&text);
        let nearness: f32 = vector.iter().zip(own.values()).map(|(a, b)| a * b).sum();
        println!(
            "{}",
            json!({"cpu_s": cpu.as_secs_f64(), "clock_s": clock.as_secs_f64(), "nearness": nearness})
        );
    }
    Ok(())
}

/// Of all threads: candle may have more than one.
fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// The model in candle.
struct Peer {
    bert: BertModel,
}

impl Peer {
    /// Widens the bytes of a model file.
    fn widen(bytes: &[u8]) -> Result<Self> {
        let mut file = File { bytes, at: 0 };
        let header = file.take(64)?;
        let number = |at: usize| -> Result<usize> {
            let word = header.get(at..at + 4).context("the header is too short")?;
            Ok(u32::from_le_bytes(word.try_into()?) as usize)
        };
        let (tokens, vocabulary) = (number(8)?, number(32)?);
        file.take(vocabulary)?;
        let mut weights = Weights::default();
        let table = file.take(tokens * HIDDEN / GROUP * GROUP_BYTES)?;
        weights.put(
            "embeddings.word_embeddings.weight",
            table_of(table),
            &[tokens, HIDDEN],
        )?;
        let positions = file.matrix(POSITIONS, HIDDEN)?;
        weights.put(
            "embeddings.position_embeddings.weight",
            positions,
            &[POSITIONS, HIDDEN],
        )?;
        let kind = file.numbers(HIDDEN)?;
        weights.put(
            "embeddings.token_type_embeddings.weight",
            kind,
            &[1, HIDDEN],
        )?;
        weights.norm("embeddings.LayerNorm", &mut file)?;
        for layer in 0..LAYERS {
            let at = format!("encoder.layer.{layer}");
            let joined = file.tiled(3 * HIDDEN, HIDDEN)?;
            let bias = file.numbers(3 * HIDDEN)?;
            let parts = joined.chunks(HIDDEN * HIDDEN).zip(bias.chunks(HIDDEN));
            for (name, (weight, bias)) in ["query", "key", "value"].iter().zip(parts) {
                let name = format!("{at}.attention.self.{name}");
                weights.put(
                    &format!("{name}.weight"),
                    weight.to_vec(),
                    &[HIDDEN, HIDDEN],
                )?;
                weights.put(&format!("{name}.bias"), bias.to_vec(), &[HIDDEN])?;
            }
            weights.linear(
                &format!("{at}.attention.output.dense"),
                HIDDEN,
                HIDDEN,
                &mut file,
            )?;
            weights.norm(&format!("{at}.attention.output.LayerNorm"), &mut file)?;
            weights.linear(&format!("{at}.intermediate.dense"), WIDE, HIDDEN, &mut file)?;
            weights.linear(&format!("{at}.output.dense"), HIDDEN, WIDE, &mut file)?;
            weights.norm(&format!("{at}.output.LayerNorm"), &mut file)?;
        }
        ensure!(file.at == bytes.len(), "the model file has another layout");
        let config = Config {
            vocab_size: tokens,
            hidden_size: HIDDEN,
            num_hidden_layers: LAYERS,
            num_attention_heads: 12,
            intermediate_size: WIDE,
            hidden_act: HiddenAct::Gelu,
            max_position_embeddings: POSITIONS,
            type_vocab_size: 1,
            layer_norm_eps: 1e-12,
            ..Config::default()
        };
        let builder = VarBuilder::from_tensors(weights.0, DType::F32, &Device::Cpu);
        Ok(Self {
            bert: BertModel::load(builder, &config)?,
        })
    }

    /// The direction of a text: the mean of its tokens' states, of length 1.
    fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let text = hostmedic_embed::clean(text);
        let ids: Vec<u32> = Model::shipped()
            .tokens(&text)
            .into_iter()
            .map(u32::from)
            .collect();
        let ids = Tensor::new(ids.as_slice(), &Device::Cpu)?.unsqueeze(0)?;
        let states = self.bert.forward(&ids, &ids.zeros_like()?, None)?;
        let mean = states.mean(1)?.squeeze(0)?;
        let length = mean.sqr()?.sum_all()?.sqrt()?;
        Ok(mean.broadcast_div(&length)?.to_vec1()?)
    }
}

#[derive(Default)]
struct Weights(HashMap<String, Tensor>);

impl Weights {
    fn put(&mut self, name: &str, values: Vec<f32>, shape: &[usize]) -> Result<()> {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        self.0.insert(name.to_owned(), tensor);
        Ok(())
    }

    fn norm(&mut self, name: &str, file: &mut File<'_>) -> Result<()> {
        self.put(&format!("{name}.weight"), file.numbers(HIDDEN)?, &[HIDDEN])?;
        self.put(&format!("{name}.bias"), file.numbers(HIDDEN)?, &[HIDDEN])
    }

    fn linear(&mut self, name: &str, to: usize, from: usize, file: &mut File<'_>) -> Result<()> {
        let weight = file.tiled(to, from)?;
        self.put(&format!("{name}.weight"), weight, &[to, from])?;
        self.put(&format!("{name}.bias"), file.numbers(to)?, &[to])
    }
}

/// The model file, read part by part; each part is padded to 32 bytes.
struct File<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> File<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let part = self.bytes.get(self.at..self.at + count);
        self.at = (self.at + count).next_multiple_of(32).min(self.bytes.len());
        part.context("the model file is too short")
    }

    fn numbers(&mut self, count: usize) -> Result<Vec<f32>> {
        let words = self.take(4 * count)?.chunks_exact(4);
        Ok(words
            .map(|word| f32::from_le_bytes(word.try_into().unwrap_or_default()))
            .collect())
    }

    /// Rows of signed bytes, then a scale for each row.
    fn matrix(&mut self, rows: usize, columns: usize) -> Result<Vec<f32>> {
        let values = self.take(rows * columns)?;
        let scales = self.numbers(rows)?;
        Ok(scaled(values, &scales, columns))
    }

    /// The same in tiles: of each 16 rows, of each 4 columns, 16 times 4 bytes.
    fn tiled(&mut self, rows: usize, columns: usize) -> Result<Vec<f32>> {
        let tiles = self.take(rows * columns)?;
        let scales = self.numbers(rows)?;
        let mut values = vec![0; rows * columns];
        let across = columns / TILE_COLUMNS;
        for (at, tile) in tiles.chunks_exact(TILE_ROWS * TILE_COLUMNS).enumerate() {
            let (row, column) = (at / across * TILE_ROWS, at % across * TILE_COLUMNS);
            for (below, part) in tile.chunks_exact(TILE_COLUMNS).enumerate() {
                let from = (row + below) * columns + column;
                values[from..from + TILE_COLUMNS].copy_from_slice(part);
            }
        }
        Ok(scaled(&values, &scales, columns))
    }
}

fn scaled(values: &[u8], scales: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.chunks_exact(columns).zip(scales);
    rows.flat_map(|(row, scale)| {
        row.iter()
            .map(move |value| f32::from(value.cast_signed()) * scale)
    })
    .collect()
}

/// Groups of four-bit values, each after its scale in 16 bits: low halves first, then high ones.
fn table_of(bytes: &[u8]) -> Vec<f32> {
    let mut values = Vec::with_capacity(bytes.len() / GROUP_BYTES * GROUP);
    for group in bytes.chunks_exact(GROUP_BYTES) {
        let (scale, nibbles) = group.split_at(2);
        let scale = half::f16::from_le_bytes([scale[0], scale[1]]).to_f32();
        let value = |nibble: u8| f32::from(i16::from(nibble) - 8) * scale;
        values.extend(nibbles.iter().map(|byte| value(byte & 15)));
        values.extend(nibbles.iter().map(|byte| value(byte >> 4)));
    }
    values
}
