//! A sample far from what is normal for its series, with the evidence to judge it.

use serde::{Deserialize, Serialize};

use crate::{sample::Series, time::At};

/// How much an anomaly or incident matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing: deviation of at least 2 spreads.
    Info,
    /// Worth a look: at least 3 spreads.
    Warning,
    /// Worth waking somebody: at least 5 spreads, or a service that is down.
    Critical,
}

/// A deviation beyond the limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anomaly {
    /// End of the sample's window.
    pub at: At,
    /// Whose number it is.
    pub series: Series,
    /// The number.
    pub observed: f64,
    /// Mean of the baseline.
    pub expected: f64,
    /// Spread (standard deviation with a floor) of the baseline; never zero.
    pub spread: f64,
    /// |observed - expected| / spread.
    pub deviation: f64,
    /// From `deviation`.
    pub severity: Severity,
    /// min(deviation / 5, 1): a reported figure; decisions do not use it.
    pub confidence: f64,
}
