//! The model file: from bytes that may be cut short or damaged to weights that can be run.
//!
//! Layout: head of `model/convert.py`. Everything that the computation relies on is checked here,
//! once, so that the loops behind it need no checks and cannot fail.

use hostmedic_model::vector::DIMENSIONS;

use crate::kernel::TILE_OUT;

const MAGIC: &[u8; 8] = b"HMLM0002";
const HEADER_BYTES: usize = 40;
/// Parts begin at multiples of this.
const ALIGN_BYTES: usize = 64;
/// Numbers of the token table that share a scale, and the bytes they take.
const GROUP: usize = 32;
const GROUP_BYTES: usize = 18;
/// No weight of a trained model comes near; up to here no sum can overflow.
const VALUE_MAX: f32 = 1000.0;
/// The one shape that the loops of `transformer.rs` are written for.
pub(crate) const HEADS: usize = 12;

/// Why bytes are no model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Another kind of file, or another version of this one.
    #[error("the model file does not begin with HMLM0002; make it with model/convert.py")]
    Magic,
    /// The header asks for a shape that cannot be run.
    #[error("the model's header is damaged: {field} is {value}")]
    Shape {
        /// Which number of the header.
        field: &'static str,
        /// What it says.
        value: u32,
    },
    /// More or fewer bytes than the header's shape needs.
    #[error("the model file has {found} bytes, its header needs {needed}; copy it again")]
    Length {
        /// Bytes that there are.
        found: usize,
        /// Bytes that there should be.
        needed: usize,
    },
    /// A number that no converter writes.
    #[error("the model file is damaged: {0} holds a number out of range; copy it again")]
    Value(&'static str),
    /// The list of tokens cannot be used.
    #[error("the model's vocabulary {0}; make the file with model/convert.py")]
    Vocabulary(&'static str),
}

/// A matrix of whole numbers with a scale and a bias a row, in tiles as [`crate::kernel`] reads them.
pub(crate) struct Linear<'a> {
    /// Per 16 rows of the matrix, per 4 columns: 16 x 4 numbers, i8.
    pub(crate) tiles: &'a [[u8; 64]],
    pub(crate) scale: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) n_in: usize,
    pub(crate) n_out: usize,
}

/// Gain and bias of a layer normalisation.
pub(crate) struct Norm {
    pub(crate) gain: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

/// One layer: attention, then two matrices with an activation between them.
pub(crate) struct Layer<'a> {
    pub(crate) qkv: Linear<'a>,
    pub(crate) out: Linear<'a>,
    pub(crate) after_attention: Norm,
    pub(crate) up: Linear<'a>,
    pub(crate) down: Linear<'a>,
    pub(crate) after_ffn: Norm,
}

/// Everything the computation needs, checked.
pub(crate) struct Weights<'a> {
    tokens: &'a [u8],
    positions: &'a [u8],
    positions_scale: Vec<f32>,
    kind: Vec<f32>,
    pub(crate) norm: Norm,
    pub(crate) layers: Vec<Layer<'a>>,
    pub(crate) ffn: usize,
}

impl Weights<'_> {
    /// How many tokens a text may have.
    pub(crate) fn positions(&self) -> usize {
        self.positions_scale.len()
    }

    /// Writes what stands for token `id` at place `at` into `row`.
    pub(crate) fn token(&self, id: u16, at: usize, row: &mut [f32]) {
        const ROW_BYTES: usize = DIMENSIONS / GROUP * GROUP_BYTES;
        let groups = &self.tokens[usize::from(id) * ROW_BYTES..][..ROW_BYTES];
        for (group, row) in groups
            .chunks_exact(GROUP_BYTES)
            .zip(row.chunks_exact_mut(GROUP))
        {
            let scale = half(group[0], group[1]);
            let (low, high) = row.split_at_mut(GROUP / 2);
            for (pair, (low, high)) in group[2..].iter().zip(low.iter_mut().zip(high)) {
                *low = f32::from(i16::from(pair & 15) - 8) * scale;
                *high = f32::from(i16::from(pair >> 4) - 8) * scale;
            }
        }
        let place = &self.positions[at * DIMENSIONS..][..DIMENSIONS];
        let scale = self.positions_scale[at];
        for (value, (place, kind)) in row.iter_mut().zip(place.iter().zip(&self.kind)) {
            *value += f32::from(place.cast_signed()) * scale + kind;
        }
    }
}

/// Reads the parts: vocabulary text with its count of tokens, and weights.
pub(crate) fn read(bytes: &[u8]) -> Result<((&[u8], usize), Weights<'_>), ModelError> {
    let Some((header, _)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(ModelError::Length {
            found: bytes.len(),
            needed: HEADER_BYTES,
        });
    };
    if !header.starts_with(MAGIC) {
        return Err(ModelError::Magic);
    }
    let mut fields = header[MAGIC.len()..]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|field| u32::from_le_bytes(*field));
    let mut field = |name, low: usize, high: usize, step: usize| {
        let value = fields.next().unwrap_or_default();
        match usize::try_from(value) {
            Ok(size) if (low..=high).contains(&size) && size % step == 0 => Ok(size),
            _ => Err(ModelError::Shape { field: name, value }),
        }
    };
    let vocabulary = field("tokens", 4, usize::from(u16::MAX), 1)?;
    field("hidden", DIMENSIONS, DIMENSIONS, 1)?;
    let layers = field("layers", 1, 24, 1)?;
    field("heads", HEADS, HEADS, 1)?;
    let ffn = field("ffn", 64, 8192, 64)?;
    let positions = field("positions", 2, 512, 1)?;
    let vocabulary_bytes = field("vocabulary bytes", 4, 4 << 20, 1)?;

    let mut parts = Parts { bytes, at: 0 };
    parts.take(HEADER_BYTES)?;
    let text = parts.take(vocabulary_bytes)?;
    let tokens = parts.tokens(vocabulary)?;
    let weights = Weights {
        tokens,
        positions: parts.take(positions * DIMENSIONS)?,
        positions_scale: parts.numbers(positions, "the scale of positions")?,
        kind: parts.numbers(DIMENSIONS, "the token type")?,
        norm: parts.norm()?,
        layers: (0..layers)
            .map(|_| {
                Ok(Layer {
                    qkv: parts.linear(3 * DIMENSIONS, DIMENSIONS)?,
                    out: parts.linear(DIMENSIONS, DIMENSIONS)?,
                    after_attention: parts.norm()?,
                    up: parts.linear(ffn, DIMENSIONS)?,
                    down: parts.linear(DIMENSIONS, ffn)?,
                    after_ffn: parts.norm()?,
                })
            })
            .collect::<Result<_, _>>()?,
        ffn,
    };
    if parts.at != bytes.len() {
        return Err(ModelError::Length {
            found: bytes.len(),
            needed: parts.at,
        });
    }
    Ok(((text, vocabulary), weights))
}

/// Cuts the file into its parts, front to back.
struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parts<'a> {
    /// The next `length` bytes; what pads them is skipped. Sizes are bounded by the header's
    /// checks, so no sum here can overflow.
    fn take(&mut self, length: usize) -> Result<&'a [u8], ModelError> {
        let end = self.at + length;
        let padded = end.next_multiple_of(ALIGN_BYTES);
        if padded > self.bytes.len() {
            return Err(ModelError::Length {
                found: self.bytes.len(),
                needed: padded,
            });
        }
        let part = &self.bytes[self.at..end];
        self.at = padded;
        Ok(part)
    }

    fn numbers(&mut self, count: usize, what: &'static str) -> Result<Vec<f32>, ModelError> {
        let part = self.take(count * 4)?;
        let numbers: Vec<_> = part
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        // Not a number is not below the limit either.
        if numbers.iter().all(|number| number.abs() <= VALUE_MAX) {
            Ok(numbers)
        } else {
            Err(ModelError::Value(what))
        }
    }

    fn norm(&mut self) -> Result<Norm, ModelError> {
        Ok(Norm {
            gain: self.numbers(DIMENSIONS, "a gain")?,
            bias: self.numbers(DIMENSIONS, "a bias")?,
        })
    }

    fn linear(&mut self, n_out: usize, n_in: usize) -> Result<Linear<'a>, ModelError> {
        debug_assert!(n_out.is_multiple_of(TILE_OUT) && n_in.is_multiple_of(4));
        let (tiles, _) = self.take(n_out * n_in)?.as_chunks();
        // The kernels take the absolute value of a weight, which -128 does not have.
        if tiles.as_flattened().contains(&(i8::MIN.cast_unsigned())) {
            return Err(ModelError::Value("a matrix"));
        }
        Ok(Linear {
            tiles,
            scale: self.numbers(n_out, "a matrix's scale")?,
            bias: self.numbers(n_out, "a matrix's bias")?,
            n_in,
            n_out,
        })
    }

    fn tokens(&mut self, count: usize) -> Result<&'a [u8], ModelError> {
        let part = self.take(count * (DIMENSIONS / GROUP * GROUP_BYTES))?;
        let finite = part
            .chunks_exact(GROUP_BYTES)
            .all(|group| half(group[0], group[1]).abs() <= VALUE_MAX);
        if finite {
            Ok(part)
        } else {
            Err(ModelError::Value("the token table"))
        }
    }
}

/// An IEEE 754 half as a number; infinities and not-a-numbers become too large to pass the checks.
fn half(low: u8, high: u8) -> f32 {
    let bits = u32::from(u16::from_le_bytes([low, high]));
    let sign = bits >> 15 << 31;
    let exponent = bits >> 10 & 31;
    let fraction = bits & 1023;
    // A half's exponent is 15 too large, a float's 127.
    let size = if exponent == 0 {
        (fraction as f32 * (1.0 / 16_777_216.0)).to_bits()
    } else {
        (exponent + 112) << 23 | fraction << 13
    };
    f32::from_bits(sign | size)
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_read() {
        for (bits, value) in [
            (0x3C00_u16, 1.0),
            (0xC000, -2.0),
            (0x3555, 0.333_251_95),
            (0x0001, 5.960_464_5e-8),
            (0x7BFF, 65504.0),
        ] {
            let [low, high] = bits.to_le_bytes();
            assert_eq!(half(low, high), value);
        }
        let [low, high] = 0x7C00_u16.to_le_bytes();
        assert!(half(low, high) > super::VALUE_MAX);
    }
}
