//! Judges samples against their baselines.

pub mod host;
pub mod rank;
pub mod series;

use std::collections::{BTreeMap, BTreeSet};

use hostmedic_model::{
    anomaly::{Anomaly, Severity},
    sample::{Sample, Series},
    view,
};

use crate::baseline::Baseline;

/// Series with a baseline, at most: 168 buckets of 32 bytes each make 5.4 MB.
const SERIES_MAX: usize = 1024;
/// Samples in a row that must be off before it is worth an incident: one is noise.
const IN_ROW: u32 = 3;

/// Every series' baseline, and how long each has been off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Detector {
    baselines: BTreeMap<Series, Baseline>,
    off_in_row: BTreeMap<Series, u32>,
    /// Series that found no room; counted, so that a full table is visible.
    turned_away: BTreeSet<Series>,
}

impl Detector {
    /// Judges `sample`, then learns it unless `learn` is false (its window had losses).
    ///
    /// `Some` from the third sample in a row that is off by at least 3 spreads.
    pub(crate) fn detect(&mut self, sample: &Sample, learn: bool) -> Option<Anomaly> {
        if !self.baselines.contains_key(&sample.series) && self.baselines.len() >= SERIES_MAX {
            if self.turned_away.len() < SERIES_MAX {
                self.turned_away.insert(sample.series.clone());
            }
            return None;
        }
        let baseline = self.baselines.entry(sample.series.clone()).or_default();
        let normal = baseline.normal(sample.series.measure);
        if learn {
            baseline.learn(sample.at, sample.value, sample.series.measure);
        }
        let normal = normal?;
        let deviation = (sample.value - normal.mean).abs() / normal.spread;
        let severity = severity(deviation).filter(|severity| *severity >= Severity::Warning);
        let Some(severity) = severity else {
            self.off_in_row.remove(&sample.series);
            return None;
        };
        let in_row = self.off_in_row.entry(sample.series.clone()).or_default();
        *in_row += 1;
        (*in_row >= IN_ROW).then(|| Anomaly {
            at: sample.at,
            series: sample.series.clone(),
            observed: sample.value,
            expected: normal.mean,
            spread: normal.spread,
            deviation,
            severity,
            confidence: (deviation / 5.0).min(1.0),
        })
    }

    pub(crate) fn count(&self) -> view::Baselines {
        let warm = self
            .baselines
            .iter()
            .filter(|(series, baseline)| baseline.normal(series.measure).is_some())
            .count();
        view::Baselines {
            series: u32::try_from(self.baselines.len()).unwrap_or(u32::MAX),
            warm: u32::try_from(warm).unwrap_or(u32::MAX),
        }
    }
}

/// Severity of a deviation in spreads; `None` below 2.
pub(crate) fn severity(deviation: f64) -> Option<Severity> {
    if deviation >= 5.0 {
        Some(Severity::Critical)
    } else if deviation >= 3.0 {
        Some(Severity::Warning)
    } else if deviation >= 2.0 {
        Some(Severity::Info)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::{sample::Measure, subject::Subject, time::At};

    use super::*;

    fn sample(number: u64, value: f64) -> Sample {
        Sample {
            at: At {
                boot_ns: number * 30_000_000_000,
                wall_ms: i64::try_from(number).unwrap() * 30_000,
            },
            series: Series {
                subject: Subject::Host,
                measure: Measure::CpuBusyRatio,
            },
            value,
        }
    }

    fn calm() -> Detector {
        let mut detector = Detector::default();
        for number in 0..500 {
            assert_eq!(detector.detect(&sample(number, 0.2), true), None);
        }
        detector
    }

    #[test]
    fn one_spike_is_noise_three_are_an_anomaly() {
        let mut detector = calm();
        assert_eq!(detector.detect(&sample(500, 0.9), true), None);
        assert_eq!(detector.detect(&sample(501, 0.9), true), None);
        let anomaly = detector.detect(&sample(502, 0.9), true).unwrap();
        assert_eq!(anomaly.severity, Severity::Critical);
        assert!((anomaly.confidence - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn silence_is_an_anomaly_too() {
        let mut detector = calm();
        let last = (500..503)
            .filter_map(|number| detector.detect(&sample(number, 0.0), true))
            .last();
        assert!(last.is_some());
    }

    #[test]
    fn a_lossy_window_is_not_learned() {
        let mut detector = Detector::default();
        for number in 0..500 {
            detector.detect(&sample(number, 0.2), false);
        }
        assert_eq!(detector.count().warm, 0);
    }

    #[test]
    fn severities_follow_the_founding_limits() {
        assert_eq!(severity(1.99), None);
        assert_eq!(severity(2.0), Some(Severity::Info));
        assert_eq!(severity(3.0), Some(Severity::Warning));
        assert_eq!(severity(5.0), Some(Severity::Critical));
    }
}
