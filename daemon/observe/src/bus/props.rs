//! Properties of one D-Bus object, read at once, with typed access.
//!
//! `GetAll` is one message and one moment: a dozen single reads would be a dozen of each, and
//! a unit may change in between.

use std::collections::HashMap;

use hostmedic_model::subject::UnitName;
use zbus::{Connection, OwnedVariant, Variant};

use super::{BusError, SYSTEMD};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// All properties of one interface of one object.
#[derive(Debug)]
pub(super) struct Props {
    of: String,
    values: HashMap<String, OwnedVariant>,
}

impl Props {
    /// Reads every property of `interface` of systemd's object at `path`. `of` names the object
    /// in errors.
    pub(super) async fn read(
        conn: &Connection,
        path: &str,
        interface: &str,
        of: &str,
    ) -> Result<Self, BusError> {
        let call = |source| BusError::Call {
            what: format!("read {of} from systemd"),
            source,
        };
        let reply = conn
            .call_method(Some(SYSTEMD), path, Some(PROPERTIES), "GetAll", &interface)
            .await
            .map_err(call)?;
        let values = reply.body().deserialize().map_err(call)?;
        Ok(Self {
            of: of.to_owned(),
            values,
        })
    }

    fn of<'a, T: TryFrom<&'a Variant<'a>>>(&'a self, property: &str) -> Result<T, BusError> {
        let unexpected = |found: &str| BusError::Unexpected {
            property: property.to_owned(),
            of: self.of.clone(),
            found: found.to_owned(),
        };
        let value: &Variant<'a> = self
            .values
            .get(property)
            .ok_or_else(|| unexpected("nothing"))?;
        T::try_from(value).map_err(|_| unexpected(&format!("a {}", value.value_signature())))
    }

    pub(super) fn text(&self, property: &str) -> Result<String, BusError> {
        self.of::<&str>(property).map(str::to_owned)
    }

    pub(super) fn flag(&self, property: &str) -> Result<bool, BusError> {
        self.of(property)
    }

    pub(super) fn u32(&self, property: &str) -> Result<u32, BusError> {
        self.of(property)
    }

    pub(super) fn i32(&self, property: &str) -> Result<i32, BusError> {
        self.of(property)
    }

    pub(super) fn u64(&self, property: &str) -> Result<u64, BusError> {
        self.of(property)
    }

    /// A property that older or other unit types lack.
    pub(super) fn has(&self, property: &str) -> bool {
        self.values.contains_key(property)
    }

    /// A list of unit names; a name that breaks systemd's own rules is left out.
    pub(super) fn units(&self, property: &str) -> Result<Vec<UnitName>, BusError> {
        let unexpected = || BusError::Unexpected {
            property: property.to_owned(),
            of: self.of.clone(),
            found: "no list of names".to_owned(),
        };
        let value = self.values.get(property).ok_or_else(unexpected)?.clone();
        let names = Vec::<String>::try_from(value).map_err(|_| unexpected())?;
        Ok(names
            .into_iter()
            .filter_map(|name| UnitName::new(name).ok())
            .collect())
    }

    /// `InvocationID` as hex; `None` before the first run.
    pub(super) fn invocation_id(&self) -> Result<Option<String>, BusError> {
        let unexpected = || BusError::Unexpected {
            property: "InvocationID".to_owned(),
            of: self.of.clone(),
            found: "no bytes".to_owned(),
        };
        let value = self
            .values
            .get("InvocationID")
            .ok_or_else(unexpected)?
            .clone();
        let bytes = Vec::<u8>::try_from(value).map_err(|_| unexpected())?;
        Ok(hex(&bytes))
    }

    /// `(id, path)` of a property such as `Job`.
    pub(super) fn job(&self) -> Result<Option<String>, BusError> {
        let unexpected = || BusError::Unexpected {
            property: "Job".to_owned(),
            of: self.of.clone(),
            found: "no (number, path)".to_owned(),
        };
        let value = self.values.get("Job").ok_or_else(unexpected)?.clone();
        let pair: (u32, zbus::OwnedObjectPath) = value.try_into().map_err(|_| unexpected())?;
        Ok((pair.0 != 0).then(|| pair.1.as_str().to_owned()))
    }
}

/// Bytes of an `InvocationID` as hex digits; `None` if there are none.
pub(super) fn hex(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
