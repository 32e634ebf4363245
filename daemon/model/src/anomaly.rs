//! A sample far from what is normal for its series, with the evidence to judge it.

use serde::{Deserialize, Serialize};

use crate::{
    sample::{Measure, Series},
    time::At,
};

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
    /// Where the number is heading, if it was raised for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
    /// Measures of the same subject that were off together with this one, heaviest first; empty
    /// when the series was judged by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<Measure>,
}

/// When a bounded resource will be used up if it goes on like this.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// Growth in an hour, in the measure's unit.
    pub growth_per_hour: f64,
    /// Three standard errors of it: the growth is surely above the one less the other.
    pub growth_margin: f64,
    /// Growth in an hour that is usual at this time of day.
    pub usual_growth_per_hour: f64,
    /// Seconds until nothing is left.
    #[serde(with = "crate::wide")]
    pub exhausted_in_s: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::subject::Subject;

    fn anomaly() -> Anomaly {
        Anomaly {
            at: At::default(),
            series: Series {
                subject: Subject::Host,
                measure: Measure::MemoryUsedRatio,
            },
            observed: 0.9,
            expected: 0.4,
            spread: 0.1,
            deviation: 5.0,
            severity: Severity::Critical,
            confidence: 1.0,
            forecast: None,
            together: Vec::new(),
        }
    }

    #[test]
    fn a_record_without_a_forecast_is_as_it_always_was() {
        let text = serde_json::to_string(&anomaly()).unwrap();
        assert!(!text.contains("forecast") && !text.contains("together"));
        assert_eq!(serde_json::from_str::<Anomaly>(&text).unwrap(), anomaly());
    }

    #[test]
    fn a_forecast_is_kept() {
        let with = Anomaly {
            forecast: Some(Forecast {
                growth_per_hour: 0.1,
                growth_margin: 0.01,
                usual_growth_per_hour: 0.0,
                exhausted_in_s: 5400,
            }),
            together: vec![Measure::LoadPerCpu],
            ..anomaly()
        };
        let text = serde_json::to_string(&with).unwrap();
        assert_eq!(serde_json::from_str::<Anomaly>(&text).unwrap(), with);
    }
}
