//! Writes floats as their bits: what is read back goes on bit for bit, whatever the format. Decimal text
//! need not: a parser may round twice.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A float and the integer of its size.
pub(crate) trait Bits: Copy {
    type Word: Serialize + for<'de> Deserialize<'de>;
    fn word(self) -> Self::Word;
    fn float(word: Self::Word) -> Self;
}

impl Bits for f32 {
    type Word = u32;

    fn word(self) -> u32 {
        self.to_bits()
    }

    fn float(word: u32) -> Self {
        Self::from_bits(word)
    }
}

impl Bits for f64 {
    type Word = u64;

    fn word(self) -> u64 {
        self.to_bits()
    }

    fn float(word: u64) -> Self {
        Self::from_bits(word)
    }
}

/// For `#[serde(with)]` on floats in a row.
pub(crate) fn serialize<T: Bits, S: Serializer>(floats: &[T], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(floats.iter().map(|float| float.word()))
}

/// # Errors
/// When there are more or fewer than the array holds.
pub(crate) fn deserialize<'de, T, A, D>(from: D) -> Result<A, D::Error>
where
    T: Bits,
    A: TryFrom<Vec<T>>,
    D: Deserializer<'de>,
{
    let words = Vec::<T::Word>::deserialize(from)?;
    let count = words.len();
    let floats: Vec<T> = words.into_iter().map(T::float).collect();
    A::try_from(floats)
        .map_err(|_| D::Error::custom(format!("{count} floats do not fit: the state is damaged")))
}

/// For `#[serde(with)]` on one float.
pub(crate) mod one {
    use super::{Bits, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<T: Bits, S: Serializer>(float: &T, to: S) -> Result<S::Ok, S::Error> {
        float.word().serialize(to)
    }

    /// # Errors
    /// When it is no number of that size.
    pub(crate) fn deserialize<'de, T: Bits, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::Word::deserialize(from).map(T::float)
    }
}
