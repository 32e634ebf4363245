//! What is normal for a series: mean and spread over the last seven days, in hourly buckets.
//!
//! O(1) a sample and 168 buckets a series. Buckets hold count, mean and sum of squared
//! deviations (Welford 1962) and merge exactly (Chan, Golub, `LeVeque` 1983), so the oldest hour
//! falls out without keeping samples.

use std::collections::VecDeque;

use hostmedic_model::{sample::Measure, time::At};

/// Hours of history.
const HOURS_MAX: usize = 7 * 24;
/// Samples before a baseline may accuse: two hours at 30 s.
const WARM_SAMPLES: u64 = 240;
/// A warm baseline does not learn from samples beyond this many spreads ...
const OUTLIER_SPREADS: f64 = 3.0;
/// ... unless so many come in a row that the level has shifted: ten minutes at 30 s.
const SHIFT_SAMPLES: u32 = 20;

#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let delta = value - self.mean;
        self.mean += delta / to_f64(self.count);
        self.squares += delta * (value - self.mean);
    }

    fn merge(self, other: Self) -> Self {
        if self.count == 0 {
            return other;
        }
        if other.count == 0 {
            return self;
        }
        let count = self.count + other.count;
        let (n, m, all) = (to_f64(self.count), to_f64(other.count), to_f64(count));
        let delta = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + delta * m / all,
            squares: self.squares + other.squares + delta * delta * n * m / all,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 2^53 samples")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// The baseline of one series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline {
    /// Closed hours, oldest first, with their hour since the epoch.
    hours: VecDeque<(i64, Moments)>,
    /// All closed hours merged.
    closed: Moments,
    current: Option<(i64, Moments)>,
    outliers_in_row: u32,
}

/// A baseline's answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Normal {
    pub(crate) mean: f64,
    /// Standard deviation, not below the measure's floor.
    pub(crate) spread: f64,
}

impl Baseline {
    /// What is normal; `None` while the baseline is not warm and accuses nobody.
    pub(crate) fn normal(&self, measure: Measure) -> Option<Normal> {
        let all = self.closed.merge(
            self.current
                .map_or(Moments::default(), |(_, moments)| moments),
        );
        if all.count < WARM_SAMPLES {
            return None;
        }
        let spread = (all.squares / to_f64(all.count)).sqrt();
        Some(Normal {
            mean: all.mean,
            spread: spread.max(floor(measure, all.mean)),
        })
    }

    /// Learns a sample, unless it is an outlier. `value` must be finite.
    pub(crate) fn learn(&mut self, at: At, value: f64, measure: Measure) {
        if let Some(normal) = self.normal(measure) {
            if (value - normal.mean).abs() > OUTLIER_SPREADS * normal.spread {
                self.outliers_in_row += 1;
                if self.outliers_in_row < SHIFT_SAMPLES {
                    return;
                }
            } else {
                self.outliers_in_row = 0;
            }
        }
        let hour = at.wall_ms.div_euclid(3_600_000);
        match &mut self.current {
            // A clock that went back must not open a second bucket for an hour that is closed.
            Some((current, moments)) if hour <= *current => moments.add(value),
            _ => {
                if let Some(done) = self.current.take() {
                    self.close(done, hour);
                }
                let mut moments = Moments::default();
                moments.add(value);
                self.current = Some((hour, moments));
            }
        }
    }

    fn close(&mut self, done: (i64, Moments), hour: i64) {
        self.hours.push_back(done);
        let oldest = hour.saturating_sub(i64::try_from(HOURS_MAX).unwrap_or(i64::MAX));
        while self.hours.front().is_some_and(|(at, _)| *at < oldest) || self.hours.len() > HOURS_MAX
        {
            self.hours.pop_front();
        }
        // Merged anew, not subtracted: subtraction would let rounding errors grow for ever.
        self.closed = self
            .hours
            .iter()
            .fold(Moments::default(), |sum, (_, moments)| sum.merge(*moments));
    }
}

/// The least spread of a measure: a series that never moved must not make a whisper an alarm.
fn floor(measure: Measure, mean: f64) -> f64 {
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
        Measure::DiskUsedRatio | Measure::InodesUsedRatio | Measure::JournalShareRatio => 0.005,
        Measure::LoadPerCpu => 0.1,
        Measure::UnitMemoryBytes | Measure::DiskFreeBytes => 4.0 * 1024.0 * 1024.0,
        Measure::ExecPerS | Measure::PacketDropsPerS | Measure::TcpRetransmitsPerS => 1.0,
    };
    absolute.max(mean.abs() * 0.01)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn at(sample: u64) -> At {
        At {
            boot_ns: sample * 30_000_000_000,
            wall_ms: i64::try_from(sample).unwrap() * 30_000,
        }
    }

    proptest! {
        /// The rolling baseline equals the batch formula over what it may remember.
        #[test]
        fn rolling_equals_batch(values in prop::collection::vec(0.2..0.4_f64, 300..2000)) {
            let mut baseline = Baseline::default();
            for (sample, value) in (0_u64..).zip(&values) {
                baseline.learn(at(sample), *value, Measure::LoadPerCpu);
            }
            let mean = values.iter().sum::<f64>() / to_f64(values.len() as u64);
            let normal = baseline.normal(Measure::LoadPerCpu).unwrap();
            prop_assert!((normal.mean - mean).abs() < 1e-9, "{} {mean}", normal.mean);
            prop_assert!(normal.spread >= 0.1);
        }
    }

    #[test]
    fn cold_baseline_accuses_nobody() {
        let mut baseline = Baseline::default();
        for sample in 0..WARM_SAMPLES - 1 {
            baseline.learn(at(sample), 0.5, Measure::CpuBusyRatio);
        }
        assert_eq!(baseline.normal(Measure::CpuBusyRatio), None);
    }

    #[test]
    fn flat_series_has_a_spread() {
        let mut baseline = Baseline::default();
        for sample in 0..500 {
            baseline.learn(at(sample), 0.0, Measure::CpuBusyRatio);
        }
        assert_eq!(
            baseline.normal(Measure::CpuBusyRatio).unwrap(),
            Normal {
                mean: 0.0,
                spread: 0.02
            }
        );
    }

    #[test]
    fn outliers_are_not_learned_but_a_new_level_is() {
        let mut baseline = Baseline::default();
        for sample in 0..500 {
            baseline.learn(at(sample), 0.2, Measure::CpuBusyRatio);
        }
        for sample in 500..510 {
            baseline.learn(at(sample), 0.9, Measure::CpuBusyRatio);
        }
        assert!((baseline.normal(Measure::CpuBusyRatio).unwrap().mean - 0.2).abs() < 1e-9);
        for sample in 510..3000 {
            baseline.learn(at(sample), 0.9, Measure::CpuBusyRatio);
        }
        assert!(baseline.normal(Measure::CpuBusyRatio).unwrap().mean > 0.7);
    }

    #[test]
    fn a_week_old_hour_is_forgotten() {
        let mut baseline = Baseline::default();
        for sample in 0..500 {
            baseline.learn(at(sample), 0.2, Measure::CpuBusyRatio);
        }
        for sample in 0..500 {
            baseline.learn(at(sample + 8 * 2880), 0.24, Measure::CpuBusyRatio);
        }
        assert!((baseline.normal(Measure::CpuBusyRatio).unwrap().mean - 0.24).abs() < 1e-3);
        assert!(baseline.hours.len() <= HOURS_MAX);
    }
}
