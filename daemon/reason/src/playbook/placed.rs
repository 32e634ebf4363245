//! Values that know their place in the file, so that every finding can point at one.

use std::{borrow::Cow, fmt, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

/// Where something stands in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u64,
    /// Column, from 1, in characters.
    pub column: u64,
    /// First byte.
    pub start: usize,
    /// Byte after the last; at least `start`.
    pub end: usize,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let span = location.span();
        let bytes = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
        let start = bytes(span.byte_offset()).unwrap_or(0);
        Self {
            line: location.line(),
            column: location.column(),
            start,
            end: start.saturating_add(bytes(span.byte_len()).unwrap_or(0)),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// A list and its place, of values and theirs.
pub type PlacedList<T> = Placed<Vec<Placed<T>>>;

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            value: spanned.value,
            place: spanned.referenced.into(),
        })
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

/// A value of `with` or `where`: a scalar or a list of scalars. What it must be, the registry
/// says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// Several.
    List(Vec<Placed<Value>>),
}

impl<T: PartialEq> PartialEq for Placed<T> {
    /// Equal are values, wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
            Self::List(values) => {
                let values: Vec<_> = values.iter().map(|value| value.to_string()).collect();
                write!(f, "[{}]", values.join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                i64::try_from(value)
                    .map(Value::Int)
                    .map_err(|_| E::custom(format!("{value} is too large a number")))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
                if value.is_finite() {
                    Ok(Value::Float(value))
                } else {
                    Err(E::custom(format!("{value} is no number to compare with")))
                }
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
                Err(E::custom("a value is missing here"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut values: Vec<Placed<Value>> = Vec::new();
                while let Some(value) = seq.next_element::<Placed<Value>>()? {
                    if matches!(value.value, Value::List(_)) {
                        return Err(de::Error::custom("a list within a list means nothing here"));
                    }
                    values.push(value);
                }
                Ok(Value::List(values))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Named values, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Args(pub Vec<(Placed<String>, Placed<Value>)>);

impl Args {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Placed<Value>> {
        let (_, value) = self.0.iter().find(|(key, _)| key.value == name)?;
        Some(value)
    }

    /// The text of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of this name, whether one or a list.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        match self.get(name).map(|value| &value.value) {
            Some(Value::Text(text)) => vec![text.as_str()],
            Some(Value::List(values)) => values
                .iter()
                .filter_map(|value| match &value.value {
                    Value::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Args {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Args;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("named values such as `{unit: \"{{ unit }}\"}`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Args, A::Error> {
                let mut args = Vec::new();
                while let Some(key) = map.next_key::<Placed<String>>()? {
                    args.push((key, map.next_value()?));
                }
                Ok(Args(args))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

impl JsonSchema for Value {
    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": ["boolean", "integer", "number", "string", "array"],
            "items": { "type": ["boolean", "integer", "number", "string"] }
        })
    }
}

impl JsonSchema for Args {
    fn schema_name() -> Cow<'static, str> {
        "Args".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<Value>();
        schemars::json_schema!({ "type": "object", "additionalProperties": value })
    }
}
