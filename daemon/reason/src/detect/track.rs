//! Everything kept of one series, and the one judgement that comes of a sample.
//!
//! | rule | since | says |
//! |---|---|---|
//! | `limits` | its second sample | a bounded resource is nearly used up |
//! | `trend` | five minutes | it will be used up, surely and soon; memory leaks |
//! | `young` | 20 calm samples, first day only | a clear jump |
//! | `series` | a day | two rows in a row after its notification are far from the usual |
//!
//! What is the habit of this time of day is silent by every rule. A series speaks once an hour, and
//! within it only to say worse.

use hostmedic_model::{
    anomaly::{Anomaly, Forecast, Severity},
    sample::{Measure, Sample, Series},
    subject::Subject,
    time::At,
    view::{BaselineView, Warmth},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::{
    limits::{Level, Role},
    measure,
    row::{Row, seconds_between},
    series::SeriesDetector,
    severity,
    trend::Trend,
    young::Young,
};
use crate::{
    baseline::{Baseline, Normal, floor, is_ratio},
    bits,
};

/// The interval that a detector begins with; it follows the true one.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a series is silent after it spoke, and how long a notification waits for its second row.
const QUIET_S: f32 = 3600.0;
/// Rows in a row that must be far from the usual.
const FAR_ROWS: u8 = 2;
/// An end nearer than this is critical.
const CRITICAL_END_S: u64 = 2 * 3600;
/// Share of the week's spread that an hour's spread is at least.
const HOUR_SPREAD_MIN: f64 = 0.25;

const SUSPECT_S: usize = 0;
const REST_S: usize = 1;

/// One series: at most 4 KiB, whatever comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Track {
    /// Moment of the newest sample; the epoch before the first.
    pub(super) at: At,
    pub(super) detector: SeriesDetector,
    pub(super) baseline: Baseline,
    trend: Trend,
    row: Row,
    young: Young,
    level: Level,
    /// Seconds that a notification still waits for its second row, and that the series is silent.
    #[serde(with = "bits")]
    left: [f32; 2],
    far_rows: u8,
    spoke: Option<Severity>,
}

/// Why a sample is an anomaly.
struct Finding {
    severity: Severity,
    normal: Normal,
    forecast: Option<Forecast>,
}

impl Default for Track {
    fn default() -> Self {
        Self {
            at: At::default(),
            detector: SeriesDetector::new(INTERVAL),
            baseline: Baseline::default(),
            trend: Trend::default(),
            row: Row::default(),
            young: Young::default(),
            level: Level::default(),
            left: [0.0; 2],
            far_rows: 0,
            spoke: None,
        }
    }
}

impl Track {
    /// Judges a finite sample against all before it, then learns it unless `learn` is false (its
    /// window had losses).
    pub(super) fn judge(&mut self, sample: &Sample, role: Role, learn: bool) -> Option<Anomaly> {
        let step_s = seconds_between(self.at, sample.at);
        self.at = sample.at;
        let (measure, value) = (sample.series.measure, sample.value);
        for left in &mut self.left {
            *left = (*left - step_s).max(0.0);
        }
        // One whose file was away is told anew when it is back: its incident was closed meanwhile.
        if matches!(sample.series.subject, Subject::Certificate(_)) && step_s > QUIET_S {
            self.level = Level::default();
        }
        let level = self.level.judge(role, measure, value);
        let level = level.map(|severity| Finding {
            severity,
            normal: self.usual(sample),
            forecast: None,
        });
        let other = learn.then(|| self.judge_learning(sample, step_s)).flatten();
        let finding = match (level, other) {
            (Some(level), Some(other)) if other.severity > level.severity => Some(other),
            // Both say it; the forecast says more.
            (Some(level), other) => Some(Finding {
                forecast: other.and_then(|other| other.forecast),
                ..level
            }),
            (None, other) => other,
        };
        let anomaly = finding
            .filter(|finding| self.may_speak(finding.severity))
            .filter(|_| !self.baseline.is_habit(sample.at.wall_ms, value, measure));
        if learn {
            self.baseline
                .learn(sample.at.wall_ms, step_s, value, measure);
        }
        let anomaly = anomaly?;
        self.speak(anomaly.severity);
        Some(anomaly.into_anomaly(sample))
    }

    fn judge_learning(&mut self, sample: &Sample, step_s: f32) -> Option<Finding> {
        let (measure, value) = (sample.series.measure, sample.value);
        let wall_s = sample.at.wall_ms.div_euclid(1000);
        self.trend.learn(step_s, value);
        let usual_growth = (!self.detector.is_young()).then(|| self.detector.usual_growth(wall_s));
        let forecast = self.trend.forecast(measure, usual_growth);
        let forecast = forecast.map(|forecast| Finding {
            severity: if forecast.exhausted_in_s <= CRITICAL_END_S {
                Severity::Critical
            } else {
                Severity::Warning
            },
            normal: self.usual(sample),
            forecast: Some(forecast),
        });
        let leak = self.trend.leaks(measure).then(|| Finding {
            severity: Severity::Warning,
            normal: self.usual(sample),
            forecast: None,
        });
        let young = if self.detector.is_young() {
            self.young.judge(measure, value)
        } else {
            None
        };
        // So little history does not make anything critical.
        let young = young.map(|normal| Finding {
            severity: Severity::Warning,
            normal,
            forecast: None,
        });
        let usual = self.usual(sample);
        let row = self.row.add(step_s, value);
        let unusual = row.and_then(|value| self.judge_row(wall_s, value, measure, usual));
        forecast.or(unusual).or(leak).or(young)
    }

    /// The detector's notification, confirmed by two rows that are far from the usual.
    fn judge_row(
        &mut self,
        wall_s: i64,
        value: f64,
        measure: Measure,
        usual: Normal,
    ) -> Option<Finding> {
        if self.detector.observe(wall_s, Some(value)).notify {
            self.left[SUSPECT_S] = QUIET_S;
        }
        let severity = is_far(value, measure, usual);
        self.far_rows = match severity {
            Some(_) => self.far_rows.saturating_add(1),
            None => 0,
        };
        if self.left[SUSPECT_S] <= 0.0 || self.far_rows < FAR_ROWS {
            return None;
        }
        self.left[SUSPECT_S] = 0.0;
        Some(Finding {
            severity: severity?,
            normal: usual,
            forecast: None,
        })
    }

    /// Whether `sample` is far from its usual.
    pub(super) fn is_far(&self, sample: &Sample) -> bool {
        is_far(sample.value, sample.series.measure, self.usual(sample)).is_some()
    }

    /// What the subject's measures say together, told about this one; `None` when this one is not
    /// far from its usual, or has spoken by itself.
    pub(super) fn blame(&mut self, sample: &Sample, together: Vec<Measure>) -> Option<Anomaly> {
        let (measure, value) = (sample.series.measure, sample.value);
        let normal = self.usual(sample);
        let severity = is_far(value, measure, normal)?;
        if !self.may_speak(severity) || self.baseline.is_habit(sample.at.wall_ms, value, measure) {
            return None;
        }
        self.speak(severity);
        let finding = Finding {
            severity,
            normal,
            forecast: None,
        };
        Some(Anomaly {
            together,
            ..finding.into_anomaly(sample)
        })
    }

    /// What is usual now: at this time of day if that is known, else over the week. What is usual at
    /// this time is no news, however far it lies from the week's mean.
    fn usual(&self, sample: &Sample) -> Normal {
        let measure = sample.series.measure;
        let week = self.baseline.rough(measure);
        match self.detector.usual(sample.at.wall_ms.div_euclid(1000)) {
            Some(hour) => Normal {
                mean: hour.mean,
                spread: hour
                    .spread
                    .max(HOUR_SPREAD_MIN * week.spread)
                    .max(floor(measure, hour.mean)),
            },
            None if self.baseline.learned() == 0 => Normal {
                mean: sample.value,
                ..week
            },
            None => week,
        }
    }

    fn may_speak(&self, severity: Severity) -> bool {
        self.left[REST_S] <= 0.0 || self.spoke.is_none_or(|spoke| severity > spoke)
    }

    fn speak(&mut self, severity: Severity) {
        self.left[REST_S] = QUIET_S;
        self.spoke = Some(severity);
    }

    /// Whether it has learned enough to be called warm.
    pub(super) fn is_warm(&self) -> bool {
        self.baseline.warmth() == Warmth::Warm
    }

    /// Whether a state that was read back is one that samples can lead to.
    pub(super) fn is_sound(&self) -> bool {
        self.detector.is_sound() && self.baseline.is_sound()
    }

    /// What people see of it.
    pub(super) fn view(&self, series: &Series) -> BaselineView {
        let measure = series.measure;
        let week = self.baseline.rough(measure);
        let month = self.baseline.month(measure);
        // The sketch's rounding must not show more than there is.
        let most = if is_ratio(measure) {
            1.0
        } else {
            f64::INFINITY
        };
        let percentile = |share| {
            let known = self.baseline.percentile(share);
            known.unwrap_or(week.mean).min(most)
        };
        let newest = Sample {
            at: self.at,
            series: series.clone(),
            value: week.mean,
        };
        let usual = self.usual(&newest);
        let hour_of_week = self.baseline.hour_of_week(self.at.wall_ms);
        BaselineView {
            series: series.clone(),
            warmth: self.baseline.warmth(),
            samples: u64::from(self.baseline.learned()),
            last_at: self.at,
            last: self.trend.last(),
            mean: week.mean,
            spread: week.spread,
            p50: percentile(0.5),
            p95: percentile(0.95),
            p99: percentile(0.99),
            expected_now: hour_of_week.unwrap_or(usual.mean),
            spread_now: usual.spread,
            smooth_15m: self.baseline.smooth(),
            mean_30d: month.mean,
            spread_30d: month.spread,
            growth_per_hour: self.trend.sure_growth(),
        }
    }
}

impl Finding {
    fn into_anomaly(self, sample: &Sample) -> Anomaly {
        let deviation = self.normal.deviation(sample.value);
        Anomaly {
            at: sample.at,
            series: sample.series.clone(),
            observed: sample.value,
            expected: self.normal.mean,
            spread: self.normal.spread,
            deviation,
            severity: self.severity,
            confidence: (deviation / 5.0).min(1.0),
            forecast: self.forecast,
            together: Vec::new(),
        }
    }
}

/// Whether `value` is so far from the usual that it matters: at least three spreads, a difference
/// that people care for, and in a direction that is trouble.
fn is_far(value: f64, measure: Measure, usual: Normal) -> Option<Severity> {
    let rises = value > usual.mean;
    let matters = (value - usual.mean).abs() >= measure::matters(measure, usual.mean)
        && (rises || measure::falls_matter(measure));
    severity(usual.deviation(value))
        .filter(|severity| *severity >= Severity::Warning)
        .filter(|_| matters)
}
