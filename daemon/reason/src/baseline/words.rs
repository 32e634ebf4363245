//! Stores arrays of any length as lists; serde itself stops at 32.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub(super) fn serialize<T: Serialize, S: Serializer, const N: usize>(
    words: &[T; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    words.as_slice().serialize(serializer)
}

pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[T; N], D::Error> {
    let words = Vec::<T>::deserialize(deserializer)?;
    words.try_into().map_err(|words: Vec<T>| {
        D::Error::custom(format!(
            "{} numbers where {N} are expected: the state is damaged",
            words.len()
        ))
    })
}
