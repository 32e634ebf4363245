//! 64-bit integers in JSON: a number where every reader keeps it exact, else a decimal string.
//!
//! A JSON number is an IEEE double to most readers and to RFC 8785, and a double holds integers
//! exactly only up to 2^53 - 1. `CLOCK_BOOTTIME` in nanoseconds passes that after 104 days, so
//! without this the records of a long-running host would be rounded. RFC 8785 (appendix D) and
//! I-JSON (RFC 7493, section 2.2) both name strings as the way out. Both forms are read.
//!
//! Used as `#[serde(with = "crate::wide")]` on every 64-bit integer that a record can hold.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserializer, Serializer, de};

/// Largest integer that a double and every smaller one hold exactly: 2^53 - 1.
pub const EXACT_MAX: u64 = (1 << 53) - 1;

/// An integer of 64 bits.
pub trait Wide: Copy + Into<i128> + TryFrom<i128> + FromStr {}

impl Wide for u64 {}
impl Wide for i64 {}

/// Writes a number up to [`EXACT_MAX`] either way, a decimal string beyond.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<T: Wide, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let value: i128 = (*value).into();
    match i64::try_from(value) {
        Ok(exact) if exact.unsigned_abs() <= EXACT_MAX => serializer.serialize_i64(exact),
        _ => serializer.collect_str(&value),
    }
}

/// Reads either form.
///
/// # Errors
/// When it is neither an integer of the type's range nor its decimal string.
pub fn deserialize<'de, T: Wide, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Either(PhantomData))
}

/// [`serialize`] and [`deserialize`] for an optional integer.
pub mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Wide;

    /// Writes `null` or what [`super::serialize`] writes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Wide, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        struct Inner<T>(T);
        impl<T: Wide> Serialize for Inner<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                super::serialize(&self.0, serializer)
            }
        }
        value.map(Inner).serialize(serializer)
    }

    /// Reads `null` or what [`super::deserialize`] reads.
    ///
    /// # Errors
    /// Those of [`super::deserialize`].
    pub fn deserialize<'de, T: Wide, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        struct Inner<T>(T);
        impl<'de, T: Wide> Deserialize<'de> for Inner<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::deserialize(deserializer).map(Self)
            }
        }
        Ok(Option::<Inner<T>>::deserialize(deserializer)?.map(|inner| inner.0))
    }
}

/// Accepts both forms.
struct Either<T>(PhantomData<T>);

impl<T: Wide> de::Visitor<'_> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 64-bit integer, as a number or as a decimal string")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value.into())
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value.into())
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        #[serde(with = "crate::wide")]
        up: u64,
        #[serde(with = "crate::wide")]
        both: i64,
        #[serde(default, with = "crate::wide::option")]
        maybe: Option<u64>,
    }

    #[test]
    fn exact_up_to_the_limit_and_a_string_beyond() {
        let check = |row: Row, text: &str| {
            assert_eq!(serde_json::to_string(&row).ok().as_deref(), Some(text));
            assert_eq!(serde_json::from_str::<Row>(text).ok(), Some(row));
        };
        check(
            Row {
                up: EXACT_MAX,
                both: -(EXACT_MAX as i64),
                maybe: None,
            },
            r#"{"up":9007199254740991,"both":-9007199254740991,"maybe":null}"#,
        );
        check(
            Row {
                up: EXACT_MAX + 1,
                both: i64::MIN,
                maybe: Some(u64::MAX),
            },
            r#"{"up":"9007199254740992","both":"-9223372036854775808","maybe":"18446744073709551615"}"#,
        );
    }

    #[test]
    fn small_strings_are_read_and_nonsense_is_not() {
        let read = |text| serde_json::from_str::<Row>(text);
        assert_eq!(
            read(r#"{"up":"7","both":"-7"}"#).ok(),
            Some(Row {
                up: 7,
                both: -7,
                maybe: None
            })
        );
        for bad in [
            r#"{"up":-1,"both":0}"#,
            r#"{"up":"x","both":0}"#,
            r#"{"up":1.5,"both":0}"#,
            r#"{"up":"18446744073709551616","both":0}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
