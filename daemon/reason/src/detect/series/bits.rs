//! Stores `f32` by their bits, so that state read back is the same to the last bit.
//!
//! Decimal text need not be: a parser may round twice on the way to `f32`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub(super) fn serialize<S: Serializer, const N: usize>(
    numbers: &[f32; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    numbers.map(f32::to_bits).as_slice().serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[f32; N], D::Error> {
    let bits = Vec::<u32>::deserialize(deserializer)?;
    let bits: [u32; N] = bits.try_into().map_err(|bits: Vec<u32>| {
        D::Error::custom(format!(
            "{} numbers where {N} are expected: the state is damaged",
            bits.len()
        ))
    })?;
    Ok(bits.map(f32::from_bits))
}
