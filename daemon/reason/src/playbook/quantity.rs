//! Numbers with their units. A number alone is an error: `10` could be seconds, minutes or per
//! cent, and one day it would be the wrong one.

use std::{borrow::Cow, fmt, marker::PhantomData, str::FromStr};

use hostmedic_model::{playbook::Rate as ModelRate, time::Span};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

use super::placed::Value;

/// A time span such as `30s`, `5min` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Span);

/// A share such as `10%`; 0..=1 as a number.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Ratio(pub f64);

/// So many within a span, such as `1/1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub ModelRate);

/// What a number measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A share: `85%`.
    Ratio,
    /// Bytes: `512MiB`.
    Bytes,
    /// Time: `30s`; in seconds as a number.
    Seconds,
    /// Per second: `200/s`.
    PerSecond,
    /// Bytes per second: `50MiB/s`.
    BytesPerSecond,
    /// A plain count.
    Count,
}

impl Unit {
    /// How such a number is written.
    pub fn example(self) -> &'static str {
        match self {
            Self::Ratio => "85%",
            Self::Bytes => "512MiB",
            Self::Seconds => "30s",
            Self::PerSecond => "200/s",
            Self::BytesPerSecond => "50MiB/s",
            Self::Count => "3",
        }
    }

    /// Pattern of the JSON Schema; `None` for a plain number.
    pub fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Ratio => Some(r"^[0-9]+(\.[0-9]+)?%$"),
            Self::Bytes => Some(r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB|TiB)$"),
            Self::Seconds => Some(SPAN_PATTERN),
            Self::PerSecond => Some(r"^[0-9]+(\.[0-9]+)?/s$"),
            Self::BytesPerSecond => Some(r"^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB|TiB)/s$"),
            Self::Count => None,
        }
    }

    /// Reads such a number; the text of a plain number comes from [`Unit::Count`] only.
    ///
    /// # Errors
    /// Says how it is written.
    pub fn parse(self, text: &str) -> Result<f64, String> {
        let wrong = || {
            format!(
                "`{text}` is not {}; write it like `{}`",
                self.what(),
                self.example()
            )
        };
        let number = |text: &str| {
            let legal = |c: char| c.is_ascii_digit() || c == '.';
            let value: f64 = (text.chars().all(legal) && text.len() <= 18)
                .then(|| text.parse().ok())
                .flatten()
                .ok_or_else(wrong)?;
            Ok::<_, String>(value)
        };
        match self {
            Self::Ratio => Ok(number(text.strip_suffix('%').ok_or_else(wrong)?)? / 100.0),
            Self::PerSecond => number(text.strip_suffix("/s").ok_or_else(wrong)?),
            Self::BytesPerSecond => Self::Bytes.parse(text.strip_suffix("/s").ok_or_else(wrong)?),
            Self::Bytes => {
                let (factor, digits) = BYTES
                    .iter()
                    .find_map(|(unit, factor)| Some((factor, text.strip_suffix(unit)?)))
                    .ok_or_else(wrong)?;
                Ok(number(digits)? * factor)
            }
            Self::Seconds => text.parse::<Span>().map(|span| span.0.as_secs_f64()),
            Self::Count => number(text),
        }
    }

    /// The number that a file's value says, if it is written right.
    pub fn of(self, value: &Value) -> Option<f64> {
        match value {
            Value::Text(text) => self.parse(text).ok(),
            Value::Int(number) if self == Self::Count => Some(*number as f64),
            Value::Float(number) if self == Self::Count => Some(*number),
            _ => None,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Ratio => "a share",
            Self::Bytes => "a number of bytes",
            Self::Seconds => "a time span",
            Self::PerSecond => "a number per second",
            Self::BytesPerSecond => "a number of bytes per second",
            Self::Count => "a count",
        }
    }
}

/// Longest suffix first: `KiB` ends in `B`.
const BYTES: [(&str, f64); 5] = [
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("B", 1.0),
];

const SPAN_PATTERN: &str = r"^([0-9]+ ?(ms|s|sec|m|min|h|hour|hours|d|day|days|w) ?)+$";

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = Unit::Ratio.parse(text)?;
        if value > 1.0 {
            return Err(format!("`{text}` is more than 100%"));
        }
        Ok(Self(value))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no rate; write how many within which time: `1/1h`");
        let (count, within) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.trim().parse().map_err(|_| wrong())?;
        let within = within.trim().parse().map_err(|_| wrong())?;
        Ok(Self(ModelRate { count, within }))
    }
}

/// Reads text with a unit, and says what a number alone lacks.
struct WithUnit<T> {
    example: &'static str,
    kind: PhantomData<T>,
}

impl<T: FromStr<Err = String>> Visitor<'_> for WithUnit<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a quantity such as `{}`", self.example)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        Err(E::custom(format!(
            "{value} has no unit; write it like `{}`",
            self.example
        )))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        Err(E::custom(format!(
            "{value} has no unit; write it like `{}`",
            self.example
        )))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        Err(E::custom(format!(
            "{value} has no unit; write it like `{}`",
            self.example
        )))
    }
}

macro_rules! quantity {
    ($type:ident, $name:literal, $example:literal, $pattern:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(WithUnit {
                    example: $example,
                    kind: PhantomData,
                })
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schemars::json_schema!({
                    "type": "string", "pattern": $pattern, "examples": [$example]
                })
            }
        }
    };
}

quantity!(Duration, "Duration", "30s", SPAN_PATTERN);
quantity!(Ratio, "Ratio", "90%", r"^[0-9]+(\.[0-9]+)?%$");
quantity!(
    Rate,
    "Rate",
    "1/1h",
    r"^[0-9]+/([0-9]+ ?(s|sec|m|min|h|hour|hours|d|day|days) ?)+$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_wanted() {
        for (unit, text, value) in [
            (Unit::Ratio, "85%", 0.85),
            (Unit::Bytes, "2KiB", 2048.0),
            (Unit::Bytes, "7B", 7.0),
            (Unit::Seconds, "2min", 120.0),
            (Unit::PerSecond, "20/s", 20.0),
            (Unit::BytesPerSecond, "1KiB/s", 1024.0),
            (Unit::Count, "3", 3.0),
        ] {
            assert_eq!(unit.parse(text), Ok(value), "{text}");
        }
        for (unit, text) in [
            (Unit::Ratio, "0.85"),
            (Unit::Bytes, "2048"),
            (Unit::Bytes, "2KB"),
            (Unit::Seconds, "30"),
            (Unit::PerSecond, "20"),
            (Unit::Ratio, "-5%"),
            (Unit::Ratio, "1e9%"),
            (Unit::Count, "inf"),
        ] {
            assert!(unit.parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_say_how_many_within_what() {
        let rate: Rate = "3/1h".parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((rate.0.count, rate.0.within), (3, Span::minutes(60)));
        for bad in ["3", "/1h", "3/", "x/1h", "3/1"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
