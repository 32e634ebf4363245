//! What is known to be normal for a series: the answer to `medic baseline`.

use serde::{Deserialize, Serialize};

use crate::{sample::Series, time::At};

/// How far a baseline has come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Warmth {
    /// Nothing was learned.
    Cold,
    /// Too little was learned to accuse.
    Warming {
        /// Share of what is needed, 0 to 1.
        share: f64,
    },
    /// Enough was learned.
    Warm,
}

/// What is normal for one series. Numbers are in the unit of its measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineView {
    /// Whose numbers.
    pub series: Series,
    /// How far it has come.
    pub warmth: Warmth,
    /// Samples learned, those that are forgotten by now included.
    #[serde(with = "crate::wide")]
    pub samples: u64,
    /// When the newest sample came.
    pub last_at: At,
    /// The newest sample.
    pub last: f64,
    /// Mean of the last seven days without outliers.
    pub mean: f64,
    /// Standard deviation of the last seven days without outliers; not below the measure's floor.
    pub spread: f64,
    /// Half of the samples are at most this.
    pub p50: f64,
    /// 95 % of the samples are at most this.
    pub p95: f64,
    /// 99 % of the samples are at most this.
    pub p99: f64,
    /// Usual at the newest sample's time of the week.
    pub expected_now: f64,
    /// How much is usual to differ from that.
    pub spread_now: f64,
    /// Smoothed exponentially over fifteen minutes.
    pub smooth_15m: f64,
    /// Mean of the last 25 to 30 days.
    pub mean_30d: f64,
    /// Standard deviation of the last 25 to 30 days.
    pub spread_30d: f64,
    /// Growth in an hour over the last half hour; 0 where it is not sure, within three of its standard
    /// errors of none.
    pub growth_per_hour: f64,
}

/// All baselines: the answer to `medic baseline` without a series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineList {
    /// Each known series, in order.
    pub baselines: Vec<BaselineView>,
    /// Samples of series that found no room, since the start.
    #[serde(with = "crate::wide")]
    pub turned_away: u64,
}
