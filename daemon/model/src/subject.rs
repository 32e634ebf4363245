//! What a fact is about.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Name of a systemd unit, checked: `name[@instance].type`, at most 255 characters.
///
/// Source: systemd.unit(5), "unit names".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

/// Unit types systemd knows; the part after the last dot.
pub(crate) const UNIT_TYPES: [&str; 11] = [
    "service",
    "socket",
    "device",
    "mount",
    "automount",
    "swap",
    "target",
    "path",
    "timer",
    "slice",
    "scope",
];

impl UnitName {
    /// Checks `name` against systemd's rules.
    ///
    /// # Errors
    /// Says which rule the name breaks.
    pub fn new(name: impl Into<String>) -> Result<Self, BadUnitName> {
        let name = name.into();
        let legal = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        let why = match name.rsplit_once('.') {
            _ if name.len() > 255 => "is longer than 255 characters",
            Some(("", _)) | None => "needs a name and a type, such as web.service",
            Some((_, kind)) if !UNIT_TYPES.contains(&kind) => "ends in no unit type of systemd",
            _ if !name.chars().all(legal) => "has a character that systemd does not allow",
            _ => return Ok(Self(name)),
        };
        Err(BadUnitName { name, why })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for UnitName {
    type Error = BadUnitName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(name)
    }
}

impl From<UnitName> for String {
    fn from(unit: UnitName) -> Self {
        unit.0
    }
}

/// A text that is no unit name, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unit name `{name}` {why}")]
pub struct BadUnitName {
    /// The text.
    pub name: String,
    /// The rule it breaks.
    pub why: &'static str,
}

/// What a fact is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Subject {
    /// The host as a whole.
    Host,
    /// One systemd unit.
    Unit(UnitName),
    /// A mounted file system, by its mount point.
    Mount(String),
    /// A block device, by its name in `/dev` or `MAJOR:MINOR`.
    Device(String),
    /// A network interface, by its name.
    Interface(String),
    /// A cgroup that no unit could be found for, by its path or `id:N`.
    Cgroup(String),
    /// A certificate, by the path of its file.
    Certificate(String),
}

impl Subject {
    /// The unit, if the subject is one.
    pub fn unit(&self) -> Option<&UnitName> {
        match self {
            Self::Unit(unit) => Some(unit),
            Self::Host
            | Self::Mount(_)
            | Self::Device(_)
            | Self::Interface(_)
            | Self::Cgroup(_)
            | Self::Certificate(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Unit(unit) => unit.fmt(f),
            Self::Mount(path) => write!(f, "mount {path}"),
            Self::Device(name) => write!(f, "device {name}"),
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Cgroup(path) => write!(f, "cgroup {path}"),
            Self::Certificate(path) => write!(f, "certificate {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_follow_systemd() {
        for good in [
            "web.service",
            "getty@tty1.service",
            "dev-sda1.device",
            "-.slice",
            "a\\x2db.mount",
        ] {
            assert_eq!(UnitName::new(good).map(String::from), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "web",
            ".service",
            "web.services",
            "a b.service",
            "../x.service",
        ] {
            assert!(UnitName::new(bad).is_err(), "{bad}");
        }
    }
}
