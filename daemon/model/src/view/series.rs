//! A series with its recent past: the answer to `medic baseline SERIES`.

use serde::{Deserialize, Serialize};

use super::BaselineView;
use crate::anomaly::Anomaly;

/// One number of a series' recent past.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// End of its window, Unix milliseconds.
    #[serde(with = "crate::wide")]
    pub wall_ms: i64,
    /// The number, in the unit of the measure.
    pub value: f64,
}

/// What is normal for a series, and what came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesView {
    /// What is normal.
    pub baseline: BaselineView,
    /// What came since the daemon started, oldest first; a gap is a gap.
    pub points: Vec<Point>,
    /// What was worth a notification, oldest first.
    pub anomalies: Vec<Anomaly>,
}
