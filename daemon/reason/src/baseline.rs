//! What is normal for a series, as people read it: mean and spread of seven days without outliers,
//! percentiles, the hour of the week, fifteen minutes, thirty days.
//!
//! O(1) a sample, about 660 bytes, no sample kept. Times of day finer than an hour, and how much is
//! usual to differ at them, are in `detect::series`; together both stay below 4 KiB a series. A
//! sample that stands for a longer time weighs more, so the interval may change. Values count from
//! the first one, so that large levels keep their digits.

mod moments;
mod month;
mod peaks;
mod sketch;
#[cfg(test)]
mod tests;
mod week;
mod words;

use hostmedic_model::{sample::Measure, view::Warmth};
use serde::{Deserialize, Serialize};

use crate::bits;
use moments::Moments;

/// Samples before a baseline may accuse: two hours at 30 s.
const WARM_SAMPLES: u32 = 240;
/// A warm baseline does not learn from samples beyond this many spreads ...
const OUTLIER_SPREADS: f64 = 3.0;
/// ... unless so many come in a row that the level has shifted: ten minutes at 30 s. A tenth of the
/// week later the new level lies within three spreads.
const SHIFT_SAMPLES: u16 = 20;
/// Time of the exponential smoothing.
const SMOOTH_S: f32 = 900.0;
/// Least and most seconds that a sample stands for.
const WEIGHT_S_MIN: f32 = 1.0;
const WEIGHT_S_MAX: f32 = 300.0;
const HOUR_S: f32 = 3600.0;
const HOUR_MS: i64 = 3_600_000;
/// Distance from the first value beyond which a value counts as this far.
pub(crate) const VALUE_MAX: f64 = 1e15;

/// The baseline of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    /// First value; not a number before it.
    #[serde(with = "bits")]
    origin: [f64; 1],
    /// Smoothed over fifteen minutes.
    #[serde(with = "bits")]
    smooth: [f32; 1],
    /// The running hour since the epoch.
    hour: i32,
    learned: u32,
    /// Outliers in a row.
    outliers: u16,
    running: Moments,
    /// All closed hours of the week merged.
    closed: Moments,
    week: week::Week,
    month: month::Month,
    peaks: peaks::Peaks,
    sketch: sketch::Sketch,
}

/// Mean and spread of something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Normal {
    pub(crate) mean: f64,
    /// Standard deviation, not below the measure's floor.
    pub(crate) spread: f64,
}

impl Normal {
    /// |value - mean| / spread.
    pub(crate) fn deviation(self, value: f64) -> f64 {
        (value - self.mean).abs() / self.spread
    }
}

impl Default for Baseline {
    fn default() -> Self {
        Self {
            origin: [f64::NAN],
            smooth: [0.0],
            hour: i32::MIN,
            learned: 0,
            outliers: 0,
            running: Moments::default(),
            closed: Moments::default(),
            week: week::Week::default(),
            month: month::Month::default(),
            peaks: peaks::Peaks::default(),
            sketch: sketch::Sketch::default(),
        }
    }
}

impl Baseline {
    /// Learns a finite `value` that came `step_s` after the one before; outliers do not count.
    pub(crate) fn learn(&mut self, wall_ms: i64, step_s: f32, value: f64, measure: Measure) {
        if self.origin[0].is_nan() {
            self.origin = [value];
        }
        let centred = (value - self.origin[0]).clamp(-VALUE_MAX, VALUE_MAX) as f32;
        if self.hour == i32::MIN {
            self.hour = hour_of(wall_ms);
            self.smooth = [centred];
        }
        self.advance(hour_of(wall_ms));
        let [smooth] = &mut self.smooth;
        *smooth += (centred - *smooth) * step_s / (SMOOTH_S + step_s);
        // Also of outliers: the backup is one until it is known.
        self.peaks.learn(value);
        if let Some(normal) = self.normal(measure) {
            if normal.deviation(value) > OUTLIER_SPREADS {
                self.outliers = self.outliers.saturating_add(1);
                if self.outliers < SHIFT_SAMPLES {
                    return;
                }
            } else {
                self.outliers = 0;
            }
        }
        self.learned = self.learned.saturating_add(1);
        self.sketch.learn(value as f32);
        let weight = step_s.clamp(WEIGHT_S_MIN, WEIGHT_S_MAX) / HOUR_S;
        self.running.add(centred, weight);
    }

    /// Mean and spread of seven days; `None` while the baseline is not warm and accuses nobody.
    pub(crate) fn normal(&self, measure: Measure) -> Option<Normal> {
        (self.learned >= WARM_SAMPLES).then(|| self.rough(measure))
    }

    /// The same from however little was learned; the spread is never zero. After a gap of a week,
    /// what is known of the month.
    pub(crate) fn rough(&self, measure: Measure) -> Normal {
        let week = self.closed.merge(self.running);
        let known = if week.weight() > 0.0 {
            week
        } else {
            self.month.moments()
        };
        self.uncentre(known, measure)
    }

    /// Mean and spread of 25 to 30 days.
    pub(crate) fn month(&self, measure: Measure) -> Normal {
        let hour = i64::from(self.hour);
        let begun = hour.div_euclid(month::PART_HOURS) * month::PART_HOURS;
        let part = self.week.moments(begun..hour).merge(self.running);
        self.uncentre(self.month.moments().merge(part), measure)
    }

    /// Mean of the same hour a week ago.
    pub(crate) fn hour_of_week(&self, wall_ms: i64) -> Option<f64> {
        let mean = self.week.mean(i64::from(hour_of(wall_ms)))?;
        Some(self.origin[0] + f64::from(mean))
    }

    /// The value that `share` of the samples do not exceed.
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        self.sketch.percentile(share)
    }

    /// Smoothed over fifteen minutes.
    pub(crate) fn smooth(&self) -> f64 {
        if self.origin[0].is_nan() {
            return 0.0;
        }
        self.origin[0] + f64::from(self.smooth[0])
    }

    /// Whether this level of a bounded ratio is the habit of this time of day, and of no other.
    pub(crate) fn is_habit(&self, wall_ms: i64, value: f64, measure: Measure) -> bool {
        is_ratio(measure) && self.peaks.is_habit(wall_ms, value)
    }

    /// How far it has come.
    pub(crate) fn warmth(&self) -> Warmth {
        match self.learned {
            0 => Warmth::Cold,
            learned if learned < WARM_SAMPLES => Warmth::Warming {
                share: f64::from(learned) / f64::from(WARM_SAMPLES),
            },
            _ => Warmth::Warm,
        }
    }

    /// Samples learned.
    pub(crate) fn learned(&self) -> u32 {
        self.learned
    }

    /// Adds what `other` learned of the same series. Percentiles, peaks and the running hour are as
    /// if one had learned all; of an hour that both have closed, the mean of the two is kept, and of
    /// the month the newer one's.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.origin[0].is_nan() {
            return;
        }
        if self.origin[0].is_nan() {
            *self = other.clone();
            return;
        }
        let offset = (other.origin[0] - self.origin[0]).clamp(-VALUE_MAX, VALUE_MAX) as f32;
        let mut other = other.clone();
        let newest = self.hour.max(other.hour);
        if other.hour >= self.hour {
            self.smooth = other.smooth.map(|smooth| smooth + offset);
        }
        if other.hour > self.hour {
            self.month = other.month.clone().moved(offset);
        }
        self.advance(newest);
        other.advance(newest);
        self.week.merge(&other.week, week_before(newest), offset);
        self.closed = self.week.moments(week_before(newest));
        self.running = self.running.merge(other.running.moved(offset));
        self.peaks.merge(&other.peaks);
        self.sketch.merge(&other.sketch);
        self.learned = self.learned.saturating_add(other.learned);
        self.outliers = self.outliers.max(other.outliers);
    }

    /// Whether a state that was read back is one that samples can lead to, as far as arithmetic and
    /// indices need.
    pub(crate) fn is_sound(&self) -> bool {
        self.sketch.is_sound() && self.peaks.is_sound()
    }

    /// Closes the hours before `hour`. A clock that went back stays in the running hour.
    fn advance(&mut self, hour: i32) {
        if hour <= self.hour {
            return;
        }
        let (done, next) = (i64::from(self.hour), i64::from(hour));
        let running = std::mem::take(&mut self.running);
        self.week
            .close(done, (running.weight() > 0.0).then_some(running));
        self.peaks.close(done);
        let part_of = |hour: i64| hour.div_euclid(month::PART_HOURS);
        // After a long gap nothing older is left to be cleared or to fall out.
        let cleared = (done + 1).max(next - week::HOURS as i64 * 5);
        if part_of(done) != part_of(cleared) {
            self.close_part(part_of(done));
        }
        for hour in cleared..next {
            self.week.close(hour, None);
            if part_of(hour) != part_of(hour + 1) {
                self.close_part(part_of(hour));
            }
        }
        self.hour = hour;
        self.closed = self.week.moments(week_before(hour));
    }

    fn close_part(&mut self, part: i64) {
        let begun = part * month::PART_HOURS;
        self.month
            .close(self.week.moments(begun..begun + month::PART_HOURS));
    }

    fn uncentre(&self, moments: Moments, measure: Measure) -> Normal {
        let origin = if self.origin[0].is_nan() {
            0.0
        } else {
            self.origin[0]
        };
        let mean = origin + f64::from(moments.mean());
        let spread = f64::from(moments.variance()).sqrt();
        Normal {
            mean,
            spread: spread.max(floor(measure, mean)),
        }
    }
}

/// The closed hours that a week remembers at `hour`.
fn week_before(hour: i32) -> std::ops::Range<i64> {
    let hour = i64::from(hour);
    hour - week::HOURS as i64..hour
}

fn hour_of(wall_ms: i64) -> i32 {
    let hour = wall_ms.div_euclid(HOUR_MS);
    // Years that no clock shows are cut off; `i32::MIN` means none.
    hour.clamp(i64::from(i32::MIN) + 1, i64::from(i32::MAX)) as i32
}

/// Whether the measure is a share of something that can be used up.
pub(crate) fn is_ratio(measure: Measure) -> bool {
    match measure {
        Measure::CpuBusyRatio
        | Measure::MemoryUsedRatio
        | Measure::DiskUsedRatio
        | Measure::JournalShareRatio
        | Measure::MemoryPressureSomeRatio
        | Measure::CpuPressureSomeRatio
        | Measure::IoPressureSomeRatio
        | Measure::SwapUsedRatio
        | Measure::ConntrackUsedRatio
        | Measure::InodesUsedRatio
        | Measure::UnitMemoryLimitRatio
        | Measure::UnitTasksLimitRatio
        | Measure::UnitCpuShareRatio
        | Measure::CertificateUsedRatio => true,
        Measure::LoadPerCpu
        | Measure::UnitMemoryBytes
        | Measure::UnitAnonBytes
        | Measure::DiskFreeBytes
        | Measure::PacketDropsPerS
        | Measure::TcpRetransmitsPerS
        | Measure::CertificateLeftS
        | Measure::ExecPerS => false,
    }
}

/// The least spread of a measure: a series that never moved must not make a whisper an alarm.
pub(crate) fn floor(measure: Measure, mean: f64) -> f64 {
    let absolute: f64 = match measure {
        Measure::CpuBusyRatio
        | Measure::MemoryUsedRatio
        | Measure::MemoryPressureSomeRatio
        | Measure::CpuPressureSomeRatio
        | Measure::IoPressureSomeRatio
        | Measure::SwapUsedRatio
        | Measure::ConntrackUsedRatio
        | Measure::UnitMemoryLimitRatio
        | Measure::UnitTasksLimitRatio
        | Measure::UnitCpuShareRatio => 0.02,
        Measure::DiskUsedRatio
        | Measure::InodesUsedRatio
        | Measure::JournalShareRatio
        | Measure::CertificateUsedRatio => 0.005,
        Measure::LoadPerCpu => 0.1,
        Measure::UnitMemoryBytes | Measure::UnitAnonBytes | Measure::DiskFreeBytes => {
            4.0 * 1024.0 * 1024.0
        }
        Measure::ExecPerS | Measure::PacketDropsPerS | Measure::TcpRetransmitsPerS => 1.0,
        Measure::CertificateLeftS => 60.0,
    };
    absolute.max(mean.abs() * 0.01)
}
