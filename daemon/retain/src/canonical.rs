//! Records as bytes and back: RFC 8785 canonical JSON, one form for one meaning.
//!
//! The hash chain is over these bytes. Reading is strict: bytes that are not exactly what this
//! module would write for the record they hold (an unknown key, other spacing, an upper-case hex
//! digit) are refused, so that nothing can be altered in a way that reading forgives.

use hostmedic_model::{
    record::{RECORD_VERSION, Record},
    wide::EXACT_MAX,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Largest record in bytes: what one record may cost every reader in memory.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Why a value has no canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A field that is not written through `hostmedic_model::wide`.
    #[error(
        "integer {value} at {path} is not exact in a JSON number; its field needs serde `wide`"
    )]
    WideInteger {
        /// Where, as a JSON pointer.
        path: String,
        /// The integer.
        value: String,
    },
    /// Reading the bytes back gives another record: a number that is not finite, for instance.
    #[error("record reads back differently at {path}; a number that is not finite, perhaps")]
    NotRead {
        /// Where, as a JSON pointer.
        path: String,
    },
    /// Larger than [`RECORD_BYTES_MAX`].
    #[error("record has {bytes} bytes, more than the {RECORD_BYTES_MAX} that are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// serde could not turn it into JSON.
    #[error("cannot turn the value into JSON: {0}")]
    Json(String),
}

/// Why bytes are no record of ours. The caller knows which record it asked for and names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or a field is missing, of another type, or of an unknown kind.
    #[error("not a record: {0}")]
    Json(String),
    /// Written by a newer hostmedic.
    #[error(
        "record version {found} is unknown; this hostmedic reads version {RECORD_VERSION}, use a newer one"
    )]
    UnknownVersion {
        /// The version it claims.
        found: String,
    },
    /// Readable, but not the one canonical form of what it says.
    #[error("not in canonical form at {path}: an unknown key, or bytes that were altered")]
    NotCanonical {
        /// Where, as a JSON pointer.
        path: String,
    },
    /// Larger than [`RECORD_BYTES_MAX`].
    #[error("{bytes} bytes are more than the {RECORD_BYTES_MAX} that a record may have")]
    TooLarge {
        /// Size.
        bytes: usize,
    },
}

/// The canonical bytes of `record`, proven to read back as the same record.
///
/// # Errors
/// See [`EncodeError`]; the record can then not be kept.
pub fn encode(record: &Record) -> Result<Vec<u8>, EncodeError> {
    let bytes = encode_value(record)?;
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(EncodeError::TooLarge { bytes: bytes.len() });
    }
    match decode(&bytes) {
        Ok(read) if read == *record => Ok(bytes),
        Ok(read) => Err(EncodeError::NotRead {
            path: difference(&read, record),
        }),
        Err(DecodeError::NotCanonical { path }) => Err(EncodeError::NotRead { path }),
        Err(error) => Err(EncodeError::Json(error.to_string())),
    }
}

/// The record that `bytes` hold.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes: bytes.len() });
    }
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| DecodeError::Json(error.to_string()))?;
    match value.get("version") {
        Some(version) if version.as_u64() == Some(RECORD_VERSION.into()) => {}
        Some(version) => {
            return Err(DecodeError::UnknownVersion {
                found: version.to_string(),
            });
        }
        None => return Err(DecodeError::Json("it has no version".to_owned())),
    }
    from_canonical(bytes)
}

/// Canonical bytes of any value whose integers are exact in JSON.
///
/// # Errors
/// [`EncodeError::WideInteger`] and [`EncodeError::Json`].
pub fn encode_value<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let value =
        serde_json::to_value(value).map_err(|error| EncodeError::Json(error.to_string()))?;
    check_integers(&value, &mut String::new())?;
    serde_json_canonicalizer::to_vec(&value).map_err(|error| EncodeError::Json(error.to_string()))
}

/// Reads `bytes` and holds them to be exactly the canonical bytes of what was read.
///
/// # Errors
/// [`DecodeError::Json`] and [`DecodeError::NotCanonical`].
pub fn from_canonical<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<T, DecodeError> {
    let read: T =
        serde_json::from_slice(bytes).map_err(|error| DecodeError::Json(error.to_string()))?;
    let again = encode_value(&read).map_err(|error| DecodeError::Json(error.to_string()))?;
    if again == bytes {
        return Ok(read);
    }
    let was = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let is = serde_json::from_slice(&again).unwrap_or(Value::Null);
    Err(DecodeError::NotCanonical {
        path: first_difference(&was, &is)
            .unwrap_or_else(|| "/ (spacing, order or spelling)".to_owned()),
    })
}

/// Refuses integers that a double cannot hold; `path` is where `value` stands.
fn check_integers(value: &Value, path: &mut String) -> Result<(), EncodeError> {
    let mut step = |key: &str, value: &Value| {
        let len = path.len();
        path.push('/');
        path.push_str(key);
        let checked = check_integers(value, path);
        path.truncate(len);
        checked
    };
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| step(key, value)),
        Value::Array(list) => (0..)
            .zip(list)
            .try_for_each(|(at, value): (usize, _)| step(&at.to_string(), value)),
        Value::Number(number) => {
            let exact = number.is_f64()
                || number.as_u64().is_some_and(|n| n <= EXACT_MAX)
                || number
                    .as_i64()
                    .is_some_and(|n| n.unsigned_abs() <= EXACT_MAX);
            if exact {
                return Ok(());
            }
            Err(EncodeError::WideInteger {
                path: path.clone(),
                value: number.to_string(),
            })
        }
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// Where two values of one type differ as JSON.
fn difference<T: Serialize>(a: &T, b: &T) -> String {
    let (Ok(a), Ok(b)) = (serde_json::to_value(a), serde_json::to_value(b)) else {
        return "/".to_owned();
    };
    first_difference(&a, &b).unwrap_or_else(|| "/".to_owned())
}

/// JSON pointer to the first place where `a` and `b` differ.
fn first_difference(a: &Value, b: &Value) -> Option<String> {
    let below = |key: &str, a: Option<&Value>, b: Option<&Value>| match (a, b) {
        (Some(a), Some(b)) => first_difference(a, b).map(|path| format!("/{key}{path}")),
        _ => Some(format!("/{key}")),
    };
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => x
            .keys()
            .chain(y.keys())
            .find_map(|key| below(key, x.get(key), y.get(key))),
        (Value::Array(x), Value::Array(y)) => {
            (0..x.len().max(y.len())).find_map(|at| below(&at.to_string(), x.get(at), y.get(at)))
        }
        _ => (a != b).then(String::new),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use hostmedic_model::{record::Body, time::At};
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{every_body, record_with, sample_body};

    #[test]
    fn keys_are_sorted_and_numbers_are_written_as_ecmascript_does() {
        let value = serde_json::json!({"b": 1.0, "a": 1e21, "c": [0.1, -0.0]});
        assert_eq!(
            encode_value(&value).unwrap(),
            br#"{"a":1e+21,"b":1,"c":[0.1,0]}"#
        );
    }

    #[test]
    fn every_kind_of_record_round_trips_with_the_largest_integers() {
        for body in every_body(u64::MAX) {
            let record = record_with(1, body);
            let bytes = encode(&record).unwrap_or_else(|error| panic!("{error}: {record:?}"));
            assert_eq!(decode(&bytes).unwrap(), record);
        }
    }

    #[test]
    fn an_integer_that_would_be_rounded_is_refused() {
        let error =
            encode_value(&serde_json::json!({"a": [EXACT_MAX, EXACT_MAX + 1]})).unwrap_err();
        assert_eq!(
            error,
            EncodeError::WideInteger {
                path: "/a/1".into(),
                value: "9007199254740992".into()
            }
        );
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused() {
        for number in [f64::NAN, f64::INFINITY] {
            let body = sample_body(number);
            assert!(encode(&record_with(1, body)).is_err());
        }
    }

    #[test]
    fn reading_names_what_is_wrong() {
        let bytes = encode(&record_with(
            7,
            Body::Stopped {
                reason: "asked".into(),
            },
        ))
        .unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let check = |text: String, says: &str| {
            let error = decode(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{error} does not say {says}");
        };
        check(
            text.replace("\"version\":1", "\"version\":2"),
            "record version 2 is unknown",
        );
        check(
            text.replace("\"kind\":\"stopped\"", "\"kind\":\"hummed\""),
            "unknown variant `hummed`",
        );
        check(
            text.replace("\"reason\"", "\"mood\":1,\"reason\""),
            "/body/mood",
        );
        check(
            text.replace("\"seq\"", "\"mood\":1,\"seq\""),
            "unknown field `mood`",
        );
        check(text.replace(",\"seq\"", ", \"seq\""), "spacing");
        check(text.replace("\"reason\":\"asked\"", ""), "not a record");
        check(String::new(), "not a record");
        check("[]".into(), "it has no version");
    }

    proptest! {
        #[test]
        fn records_round_trip(
            boot_ns in any::<u64>(), wall_ms in any::<i64>(), number in any::<u64>(),
            value in prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL,
            text in any::<String>(),
        ) {
            let bodies = every_body(number).into_iter().chain([
                sample_body(value),
                Body::Stopped { reason: text },
            ]);
            for body in bodies {
                let mut record = record_with(number, body);
                record.at = At { boot_ns, wall_ms };
                let bytes = encode(&record).unwrap();
                prop_assert_eq!(&decode(&bytes).unwrap(), &record);
                prop_assert_eq!(encode(&decode(&bytes).unwrap()).unwrap(), bytes);
            }
        }
    }
}
