//! Moments and spans. Every fact carries both clocks, because each one lies at times.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A moment, on the clock that cannot jump and on the one people read.
///
/// Compare moments of one boot by `boot_ns`; `wall_ms` may jump either way (NTP, RTC, admin).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// `CLOCK_BOOTTIME` in nanoseconds: rises also while the host is suspended.
    #[serde(with = "crate::wide")]
    pub boot_ns: u64,
    /// Unix time in milliseconds.
    #[serde(with = "crate::wide")]
    pub wall_ms: i64,
}

impl At {
    /// Time from `earlier` to `self` on the boot clock; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.boot_ns.saturating_sub(earlier.boot_ns))
    }

    /// This moment moved forward on both clocks.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        let ns = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self {
            boot_ns: self.boot_ns.saturating_add(ns),
            wall_ms: self.wall_ms.saturating_add(ms),
        }
    }
}

/// Identity of one boot: `/proc/sys/kernel/random/boot_id` (random(4)).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// A duration as people write it: `30s`, `5m`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A span of whole minutes.
    pub const fn minutes(minutes: u64) -> Self {
        Self::secs(minutes * 60)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|error| format!("`{text}` is not a duration such as 30s, 5m or 2h: {error}"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}
