//! Properties of a unit that a step may set until the next boot, and changes of them.
//!
//! A change names the value before it, so that taking it back needs no memory but the audit chain.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A property that `SetUnitProperties` can change while the unit runs. A closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Property {
    /// `MemoryHigh`: above it the unit is slowed and its memory reclaimed.
    MemoryHigh,
    /// `MemoryLow`: memory that others cannot take from it.
    MemoryLow,
    /// `MemorySwapMax`: what it may have in swap.
    MemorySwapMax,
    /// `CPUWeight`: its share where units compete for a CPU.
    #[serde(rename = "CPUWeight")]
    CpuWeight,
    /// `CPUQuotaPerSecUSec`: microseconds of CPU time in each second.
    #[serde(rename = "CPUQuotaPerSecUSec")]
    CpuQuota,
    /// `TasksMax`: processes and threads that it may have.
    TasksMax,
    /// `IOWeight`: its share where units compete for a disk.
    #[serde(rename = "IOWeight")]
    IoWeight,
}

impl Property {
    /// Every property.
    pub const ALL: [Self; 7] = [
        Self::MemoryHigh,
        Self::MemoryLow,
        Self::MemorySwapMax,
        Self::CpuWeight,
        Self::CpuQuota,
        Self::TasksMax,
        Self::IoWeight,
    ];

    /// Its name on the bus.
    pub fn word(self) -> &'static str {
        match self {
            Self::MemoryHigh => "MemoryHigh",
            Self::MemoryLow => "MemoryLow",
            Self::MemorySwapMax => "MemorySwapMax",
            Self::CpuWeight => "CPUWeight",
            Self::CpuQuota => "CPUQuotaPerSecUSec",
            Self::TasksMax => "TasksMax",
            Self::IoWeight => "IOWeight",
        }
    }

    /// Its name in a unit file, which people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuQuota => "CPUQuota",
            other => other.word(),
        }
    }

    /// A value as `systemctl set-property` takes it: `CPUWeight=20`, `TasksMax=infinity`.
    pub fn assignment(self, to: Setting) -> String {
        let name = self.name();
        match self {
            Self::CpuWeight | Self::IoWeight | Self::CpuQuota if to == Setting::NONE => {
                format!("{name}=")
            }
            _ if to == Setting::NONE => format!("{name}=infinity"),
            // Per cent of one CPU; systemd itself knows no finer step than a hundredth of one.
            Self::CpuQuota => format!("{name}={}%", to.0 as f64 / 10_000.0),
            _ => format!("{name}={}", to.0),
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a property is set to, in systemd's own unit: bytes, tasks, a weight, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Setting(#[serde(with = "crate::wide")] pub u64);

impl Setting {
    /// No limit, or nothing set: systemd writes all ones for both.
    pub const NONE: Self = Self(u64::MAX);
}

/// How much a step sets a property to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// This.
    To(Setting),
    /// A share of what the unit uses at that moment; 1 is all of it.
    OfCurrent(f64),
}

/// What a step sets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aim {
    /// Which property.
    pub property: Property,
    /// To what.
    pub to: Amount,
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Amount::To(to) => f.write_str(&self.property.assignment(to)),
            Amount::OfCurrent(share) => {
                let per_cent = share * 100.0;
                write!(f, "{} to {per_cent:.0}% of what it uses", self.property)
            }
        }
    }
}

/// A property's value before a step and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Which property.
    pub property: Property,
    /// Its value before, as it was read.
    pub from: Setting,
    /// The value that is set.
    pub to: Setting,
}

impl Change {
    /// The change that takes this one back.
    pub fn reversed(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
            ..self
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to, from) = (
            self.property.assignment(self.to),
            self.property.assignment(self.from),
        );
        write!(f, "{to} (was {from})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn values_are_written_as_systemctl_takes_them() {
        for (property, value, expected) in [
            (Property::CpuQuota, Setting(1_500_000), "CPUQuota=150%"),
            (Property::CpuQuota, Setting(12_500), "CPUQuota=1.25%"),
            (Property::CpuQuota, Setting::NONE, "CPUQuota="),
            (Property::CpuWeight, Setting(20), "CPUWeight=20"),
            (Property::IoWeight, Setting::NONE, "IOWeight="),
            (Property::TasksMax, Setting::NONE, "TasksMax=infinity"),
            (Property::MemoryLow, Setting(0), "MemoryLow=0"),
        ] {
            assert_eq!(property.assignment(value), expected);
        }
    }

    #[test]
    fn no_limit_survives_json_exactly() {
        let change = Change {
            property: Property::CpuQuota,
            from: Setting::NONE,
            to: Setting(1_000_000),
        };
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(
            text,
            r#"{"property":"CPUQuotaPerSecUSec","from":"18446744073709551615","to":1000000}"#
        );
        assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change);
    }

    #[test]
    fn words_are_those_of_the_bus() {
        for property in Property::ALL {
            let json = serde_json::to_value(property).unwrap();
            assert_eq!(json, property.word());
        }
    }
}
