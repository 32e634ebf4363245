//! Where a number is heading: growth in an hour with its uncertainty, and when a bounded resource
//! will be used up.
//!
//! Growth is the sum of steps over the sum of their times, newer ones weighing more; its error is
//! that of a walk of independent steps: the root of the sum of their squares. So one big step is
//! never sure (it is its own error), n equal ones are sure by the root of n, and noise counts
//! against it. Three errors need nine equal steps: five minutes at 30 s. O(1), 16 bytes.

use std::cmp::Ordering;

use hostmedic_model::{anomaly::Forecast, sample::Measure};
use serde::{Deserialize, Serialize};

use crate::bits;

/// A step's weight falls to a half in about this time.
const MEMORY_S: f32 = 1800.0;
/// Where samples are rare, so many still count.
const MEMORY_ROWS: f32 = 12.0;
/// After so long without a sample, what was before says nothing.
const GAP_S: f32 = 3600.0;
/// Standard errors between the growth and its lower bound.
const SURE_ERRORS: f64 = 3.0;
/// Observed time that a forecast needs at least, in hours: some minutes of rising are no trend.
const OBSERVED_H_MIN: f32 = 0.07;
/// A forecast is raised when the end is nearer than this.
const HORIZON_S: f64 = 12.0 * 3600.0;
/// Below the level at which every sure growth counts, only what ends so soon ...
const SOON_S: f64 = 3.0 * 3600.0;
/// ... and grows so much more than is usual at this time of day.
const BEYOND_USUAL: f64 = 4.0;
/// Below this share used nothing is raised.
const USED_MIN: f64 = 0.5;

const HOURS: usize = 0;
const RISE: usize = 1;
const SQUARES: usize = 2;
const LAST: usize = 3;

/// The newest steps of one series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Trend(#[serde(with = "bits")] [f32; 4]);

impl Default for Trend {
    fn default() -> Self {
        Self([0.0, 0.0, 0.0, f32::NAN])
    }
}

impl Trend {
    /// Takes in a value that came `step_s` after the one before.
    pub(super) fn learn(&mut self, step_s: f32, value: f64) {
        let value = value as f32;
        let rise = value - self.0[LAST];
        if step_s > GAP_S {
            *self = Self::default();
        }
        if self.0[LAST].is_nan() || step_s > 0.0 {
            self.0[LAST] = value;
        }
        if rise.is_nan() || step_s <= 0.0 || step_s > GAP_S {
            return;
        }
        let fades = 1.0 + step_s.min(MEMORY_S / MEMORY_ROWS) / MEMORY_S;
        self.0[HOURS] = self.0[HOURS] / fades + step_s / 3600.0;
        self.0[RISE] = self.0[RISE] / fades + rise;
        self.0[SQUARES] = self.0[SQUARES] / (fades * fades) + rise * rise;
    }

    /// The newest value; 0 before the first.
    pub(super) fn last(&self) -> f64 {
        let last = f64::from(self.0[LAST]);
        if last.is_nan() { 0.0 } else { last }
    }

    /// Growth in an hour; 0 while nothing is known.
    pub(super) fn growth(&self) -> f64 {
        if self.0[HOURS] > 0.0 {
            f64::from(self.0[RISE]) / f64::from(self.0[HOURS])
        } else {
            0.0
        }
    }

    /// Growth in an hour, up or down, if it is beyond its error; 0 otherwise.
    pub(super) fn sure_growth(&self) -> f64 {
        let growth = self.growth();
        let is_sure = self.0[HOURS] >= OBSERVED_H_MIN && growth.abs() > SURE_ERRORS * self.error();
        if is_sure { growth } else { 0.0 }
    }

    /// Whether memory grows so surely and so fast that it is leaking.
    pub(super) fn leaks(&self, measure: Measure) -> bool {
        let sure = self.growth() - SURE_ERRORS * self.error();
        measure == Measure::UnitAnonBytes
            && self.0[HOURS] >= OBSERVED_H_MIN
            && sure > LEAK_BYTES_PER_HOUR.max(LEAK_SHARE * self.last())
    }

    /// Standard error of the growth.
    fn error(&self) -> f64 {
        f64::from(self.0[SQUARES]).sqrt() / f64::from(self.0[HOURS])
    }

    /// The end of a bounded resource, when it is sure and near enough to be raised now.
    ///
    /// `usual` is the growth that is usual at this time of day, `None` while that is not known.
    pub(super) fn forecast(&self, measure: Measure, usual: Option<f64>) -> Option<Forecast> {
        let every = used_enough(measure)?;
        let (used, growth) = (self.last(), self.growth());
        let margin = SURE_ERRORS * self.error();
        if self.0[HOURS] < OBSERVED_H_MIN
            || growth.partial_cmp(&margin) != Some(Ordering::Greater)
            || used < USED_MIN
        {
            return None;
        }
        let exhausted_in_s = ((1.0 - used).max(0.0) / growth * 3600.0).round();
        let near = if used >= every {
            exhausted_in_s <= HORIZON_S
        } else {
            let beyond = |usual: f64| growth - margin > BEYOND_USUAL * usual.abs();
            exhausted_in_s <= SOON_S && usual.is_some_and(beyond)
        };
        near.then_some(Forecast {
            growth_per_hour: growth,
            growth_margin: margin,
            usual_growth_per_hour: usual.unwrap_or(0.0),
            exhausted_in_s: exhausted_in_s as u64,
        })
    }
}

/// Sure growth in an hour from which memory that is never given back is a leak.
const LEAK_BYTES_PER_HOUR: f64 = 512.0 * 1024.0 * 1024.0;
/// ... if within the hour it makes at least this much of what there is.
const LEAK_SHARE: f64 = 0.5;

/// Share of a resource from which every sure growth counts; `None` where there is no bound to reach,
/// or reaching it hurts nobody.
fn used_enough(measure: Measure) -> Option<f64> {
    match measure {
        Measure::DiskUsedRatio
        | Measure::MemoryUsedRatio
        | Measure::InodesUsedRatio
        | Measure::ConntrackUsedRatio
        | Measure::UnitTasksLimitRatio => Some(0.8),
        Measure::CpuBusyRatio
        | Measure::LoadPerCpu
        | Measure::JournalShareRatio
        | Measure::UnitMemoryBytes
        | Measure::UnitAnonBytes
        | Measure::UnitMemoryLimitRatio
        | Measure::UnitCpuShareRatio
        | Measure::DiskFreeBytes
        | Measure::SwapUsedRatio
        | Measure::MemoryPressureSomeRatio
        | Measure::CpuPressureSomeRatio
        | Measure::IoPressureSomeRatio
        | Measure::PacketDropsPerS
        | Measure::TcpRetransmitsPerS
        // Its end is written in it.
        | Measure::CertificateUsedRatio
        | Measure::CertificateLeftS
        | Measure::ExecPerS => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    const DISK: Measure = Measure::DiskUsedRatio;

    fn trend(step_s: f32, values: impl IntoIterator<Item = f64>) -> Trend {
        let mut trend = Trend::default();
        for value in values {
            trend.learn(step_s, value);
        }
        trend
    }

    #[test]
    fn ten_percent_an_hour_at_85_is_sure_in_five_minutes() {
        let per_row = 0.1 / 120.0;
        let rows = (0..11).map(|row| 0.85 + f64::from(row) * per_row);
        let forecast = trend(30.0, rows).forecast(DISK, None).unwrap();
        assert!(
            (forecast.growth_per_hour - 0.1).abs() < 1e-3,
            "{forecast:?}"
        );
        assert!(forecast.growth_margin < 0.1);
        // 14.17 % are left.
        assert!(
            (5000..5200).contains(&forecast.exhausted_in_s),
            "{forecast:?}"
        );
    }

    #[test]
    fn a_growth_is_told_up_or_down_only_when_it_is_sure() {
        let steady =
            |per_row: f64| trend(30.0, (0..60).map(move |row| 0.5 + f64::from(row) * per_row));
        assert!((steady(0.001).sure_growth() - 0.12).abs() < 1e-3);
        assert!((steady(-0.001).sure_growth() + 0.12).abs() < 1e-3);
        // What comes and goes has a slope at each moment.
        let restless = trend(30.0, (0..60).map(|row| f64::from(row * 7 % 11) / 11.0));
        assert!(restless.growth() != 0.0);
        assert_eq!(restless.sure_growth(), 0.0);
        assert_eq!(trend(30.0, [0.5, 0.6]).sure_growth(), 0.0);
    }

    #[test]
    fn a_jump_is_no_trend() {
        let rows = (0..100).map(|row| if row < 50 { 0.5 } else { 0.9 });
        for measure in [DISK, Measure::MemoryUsedRatio] {
            let mut trend = Trend::default();
            for value in rows.clone() {
                trend.learn(30.0, value);
                assert_eq!(trend.forecast(measure, Some(0.0)), None, "{trend:?}");
            }
        }
    }

    #[test]
    fn rising_for_a_minute_is_no_trend_however_many_samples_say_so() {
        let rows = (0..60).map(|row| 0.85 + f64::from(row) * 1e-3);
        assert_eq!(trend(1.0, rows).forecast(DISK, None), None);
    }

    #[test]
    fn half_full_is_raised_only_beyond_the_usual_growth() {
        let trend = trend(30.0, (0..40).map(|row| 0.55 + f64::from(row) * 0.2 / 120.0));
        assert_eq!(trend.forecast(DISK, None), None, "nothing is known yet");
        assert_eq!(trend.forecast(DISK, Some(0.2)), None, "grows so every day");
        assert!(trend.forecast(DISK, Some(0.01)).is_some());
    }

    #[test]
    fn what_has_no_bound_has_no_end() {
        let trend = trend(30.0, (0..40).map(|row| f64::from(row) * 25e6));
        assert!((trend.growth() / 3e9 - 1.0).abs() < 1e-3, "50 MB a minute");
        assert_eq!(trend.forecast(Measure::UnitMemoryBytes, Some(0.0)), None);
    }

    #[test]
    fn rare_samples_are_enough_of_them() {
        let rows = (0..30).map(|row| 0.8 + f64::from(row) * 0.005);
        assert!(trend(600.0, rows).forecast(DISK, None).is_some());
    }

    proptest! {
        /// Noise around a level, whatever its size, is almost never a trend, and nothing overflows.
        #[test]
        fn noise_is_no_trend(
            noise in prop::collection::vec(-1.0..1.0_f64, 40..200),
            size in 0.0001..0.05_f64,
            step_s in 1.0..400.0_f32,
        ) {
            let trend = trend(step_s, noise.iter().map(|noise| 0.9 + noise * size));
            prop_assert_eq!(trend.forecast(DISK, Some(0.0)), None);
        }

        #[test]
        fn any_bits_are_a_value(rows in prop::collection::vec((any::<f32>(), any::<f64>()), 0..50)) {
            let mut trend = Trend::default();
            for (step_s, value) in rows {
                trend.learn(step_s, value);
                trend.forecast(DISK, Some(0.0));
            }
        }
    }

    #[test]
    fn memory_that_only_grows_leaks_and_memory_that_comes_and_goes_does_not() {
        const MIB: f64 = 1024.0 * 1024.0;
        // 50 MB a minute, every 30 s.
        let leak = (0..20).map(|row| 40.0 * MIB + 25.0 * MIB * f64::from(row));
        assert!(trend(30.0, leak.clone()).leaks(Measure::UnitAnonBytes));
        assert!(!trend(30.0, leak).leaks(Measure::UnitMemoryBytes));
        let work = (0..200).map(|row| 40.0 * MIB + 25.0 * MIB * f64::from(row % 8));
        assert!(!trend(30.0, work).leaks(Measure::UnitAnonBytes));
        let start = (0..20).map(|row| if row < 5 { 10.0 * MIB } else { 900.0 * MIB });
        assert!(!trend(30.0, start).leaks(Measure::UnitAnonBytes));
    }
}
