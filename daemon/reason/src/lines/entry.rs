//! One entry of the journal, as `journalctl --output=json` writes it.
//!
//! A field is text; or `null` where it is longer than 4096 bytes; or an array of bytes where it is
//! not UTF-8 or has control characters; or an array of these where it stands several times.
//! Source: systemd, `docs/JOURNAL_EXPORT_FORMATS.md`, "Journal JSON Format".

use std::fmt;

use hostmedic_model::{signal::LogPriority, subject::UnitName};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};

/// The fields that are read; `journalctl --output-fields=` takes them.
pub const FIELDS: &str = "_SYSTEMD_UNIT,PRIORITY,MESSAGE";
/// The unit of process 1: systemd's own lines.
const INIT: &str = "init.scope";
/// Bytes of a message that are kept.
const MESSAGE_BYTES_MAX: usize = 4096;
/// What stands for a message that journalctl leaves out, for it is too long.
const TOO_LONG: &str = "(long text)";

/// A line of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is.
    pub unit: UnitName,
    /// How bad it is.
    pub priority: LogPriority,
    /// What it says, as it was written: it may hold anything.
    pub message: String,
}

/// Why a line of the output is no line of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEntry {
    /// It is not what journalctl writes.
    Garbled,
    /// It is the kernel's, or of a process without unit, or systemd's own: what systemd has to say
    /// of a unit is told by the unit's states.
    NoUnit,
    /// It is less than a warning.
    Harmless,
}

impl Entry {
    /// Reads one line of the output.
    ///
    /// # Errors
    /// Says what it is instead.
    pub fn read(line: &[u8]) -> Result<Self, NoEntry> {
        let wire: Wire = serde_json::from_slice(line).map_err(|_| NoEntry::Garbled)?;
        let unit = wire.unit.text().filter(|unit| unit != INIT);
        let unit = unit.and_then(|unit| UnitName::new(unit).ok());
        let number = wire.priority.text().and_then(|number| number.parse().ok());
        let priority = number.and_then(LogPriority::from_number);
        Ok(Self {
            unit: unit.ok_or(NoEntry::NoUnit)?,
            priority: priority.ok_or(NoEntry::Harmless)?,
            message: match wire.message {
                Field::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Field::TooLong => TOO_LONG.to_owned(),
                Field::Absent => String::new(),
            },
        })
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    unit: Field,
    #[serde(rename = "PRIORITY", default)]
    priority: Field,
    #[serde(rename = "MESSAGE", default)]
    message: Field,
}

/// A field of an entry.
#[derive(Default)]
enum Field {
    #[default]
    Absent,
    TooLong,
    Bytes(Vec<u8>),
}

impl Field {
    fn text(self) -> Option<String> {
        match self {
            Self::Bytes(bytes) => String::from_utf8(bytes).ok(),
            Self::Absent | Self::TooLong => None,
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, null, or an array of bytes")
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::TooLong)
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        let end = text.floor_char_boundary(MESSAGE_BYTES_MAX);
        Ok(Field::Bytes(text.as_bytes()[..end].to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
        let mut bytes = Vec::new();
        while bytes.len() < MESSAGE_BYTES_MAX
            && let Some(part) = seq.next_element()?
        {
            match part {
                Part::Byte(byte) => bytes.push(byte),
                // The field stands several times; the first counts.
                Part::Whole(field) => {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(field);
                }
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Bytes(bytes))
    }
}

/// A byte of a field, or one of several fields.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Byte(u8),
    Whole(Field),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(message: &str) -> Result<String, NoEntry> {
        let line = format!(
            r#"{{"_SYSTEMD_UNIT":"web.service","PRIORITY":"3","__CURSOR":"s=1","MESSAGE":{message}}}"#
        );
        Entry::read(line.as_bytes()).map(|entry| {
            assert_eq!(entry.unit.as_str(), "web.service");
            assert_eq!(entry.priority, LogPriority::Error);
            entry.message
        })
    }

    #[test]
    fn a_message_is_read_in_each_form() {
        assert_eq!(
            read(r#""all is \"lost\"""#).as_deref(),
            Ok("all is \"lost\"")
        );
        assert_eq!(read("[104,105,255,27]").as_deref(), Ok("hi\u{fffd}\u{1b}"));
        assert_eq!(read("null").as_deref(), Ok(TOO_LONG));
        assert_eq!(read(r#"["first","second"]"#).as_deref(), Ok("first"));
        assert_eq!(read("[[104,105],null]").as_deref(), Ok("hi"));
        assert_eq!(read("[]").as_deref(), Ok(""));
        let long = read(&format!("{:?}", "x".repeat(100_000)));
        assert_eq!(long.map(|text| text.len()), Ok(MESSAGE_BYTES_MAX));
        let bytes = read(&format!("{:?}", vec![120_u8; 100_000]));
        assert_eq!(bytes.map(|text| text.len()), Ok(MESSAGE_BYTES_MAX));
    }

    #[test]
    fn what_is_no_line_of_a_unit_is_named() {
        for (line, why) in [
            ("", NoEntry::Garbled),
            ("-- No entries --", NoEntry::Garbled),
            (r#"{"MESSAGE":"cut"#, NoEntry::Garbled),
            (r#"{"MESSAGE":{"a":1},"PRIORITY":"3"}"#, NoEntry::Garbled),
            (r#"{"MESSAGE":"x","PRIORITY":"3"}"#, NoEntry::NoUnit),
            (
                r#"{"_SYSTEMD_UNIT":"init.scope","UNIT":"a.service","PRIORITY":"3"}"#,
                NoEntry::NoUnit,
            ),
            (r#"{"_SYSTEMD_UNIT":"..","PRIORITY":"3"}"#, NoEntry::NoUnit),
            (
                r#"{"_SYSTEMD_UNIT":"a.service","PRIORITY":"6"}"#,
                NoEntry::Harmless,
            ),
            (
                r#"{"_SYSTEMD_UNIT":"a.service","PRIORITY":"-1"}"#,
                NoEntry::Harmless,
            ),
            (r#"{"_SYSTEMD_UNIT":"a.service"}"#, NoEntry::Harmless),
        ] {
            assert_eq!(Entry::read(line.as_bytes()), Err(why), "{line}");
        }
        assert!(read("7").is_err() && read("[300]").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..500),
            message in any::<String>(),
        ) {
            _ = Entry::read(&bytes);
            let quoted = serde_json::to_string(&message).unwrap_or_default();
            prop_assert_eq!(read(&quoted), Ok(message));
        }
    }
}
