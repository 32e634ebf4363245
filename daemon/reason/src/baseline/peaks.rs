//! How high a ratio came at each hour of the day on the last three days: a backup that fills the
//! disk at two every night is normal at two, and only then.

use serde::{Deserialize, Serialize};

use super::words;

const HOURS: usize = 24;
const DAYS: usize = 3;
const HOUR_MS: i64 = 3_600_000;
/// What begins this much earlier or later than on other days is still the same.
const DRIFT_MS: i64 = HOUR_MS / 4;
/// Steps of a ratio from 0 to 1.
const STEPS: f64 = 250.0;
/// Beyond the level of other days by this much is news.
const TOLERANCE: f64 = 0.02;
/// A level is this hour's habit only if it is above that of half the day by this: a disk that slowly
/// fills was nearly as full at this hour yesterday, too.
const SPECIAL: f64 = 0.05;

/// Highest levels of each hour in steps of 0.4 %, rounded up; 0 where nothing was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Peaks {
    /// Of the last days, newest first, for each hour of the day.
    #[serde(with = "words")]
    days: [[u8; DAYS]; HOURS],
    /// Of the running hour.
    top: u8,
}

impl Default for Peaks {
    fn default() -> Self {
        Self {
            days: [[0; DAYS]; HOURS],
            top: 0,
        }
    }
}

impl Peaks {
    pub(super) fn learn(&mut self, ratio: f64) {
        self.top = self.top.max((ratio.clamp(0.0, 1.0) * STEPS).ceil() as u8);
    }

    /// Ends `hour`, counted from the epoch.
    pub(super) fn close(&mut self, hour: i64) {
        let top = std::mem::take(&mut self.top);
        if top > 0 {
            let days = &mut self.days[place(hour)];
            days.rotate_right(1);
            days[0] = top;
        }
    }

    /// Whether `ratio` was reached around this time on at least two of the last three days, and is
    /// not what half of the day's hours reach anyway.
    pub(super) fn is_habit(&self, wall_ms: i64, ratio: f64) -> bool {
        let mut newest = self.days.map(|days| days[0]);
        newest.sort_unstable();
        if ratio < f64::from(newest[HOURS / 2]) / STEPS + SPECIAL {
            return false;
        }
        let near = [
            wall_ms,
            wall_ms.saturating_sub(DRIFT_MS),
            wall_ms.saturating_add(DRIFT_MS),
        ];
        near.into_iter().any(|wall_ms| {
            let mut days = self.days[place(wall_ms.div_euclid(HOUR_MS))];
            days.sort_unstable();
            ratio <= f64::from(days[1]) / STEPS + TOLERANCE && days[1] > 0
        })
    }

    /// Whether every level is one.
    pub(super) fn is_sound(&self) -> bool {
        let mut levels = self.days.as_flattened().iter().chain([&self.top]);
        levels.all(|level| f64::from(*level) <= STEPS)
    }

    /// The higher of both for each hour and day: exact in any order.
    pub(super) fn merge(&mut self, other: &Self) {
        for (own, other) in self.days.iter_mut().zip(&other.days) {
            for (own, other) in own.iter_mut().zip(other) {
                *own = (*own).max(*other);
            }
        }
        self.top = self.top.max(other.top);
    }
}

fn place(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(24)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 92 % from 2:00 on for some days, 40 % otherwise.
    fn nights(days: i64) -> Peaks {
        let mut peaks = Peaks::default();
        for hour in 0..days * 24 {
            peaks.learn(if hour % 24 == 2 { 0.92 } else { 0.4 });
            peaks.close(hour);
        }
        peaks
    }

    #[test]
    fn a_level_of_two_days_is_known_at_its_hour_only() {
        let day_ms = 24 * HOUR_MS;
        let known = nights(2);
        assert!(known.is_habit(2 * day_ms + 2 * HOUR_MS, 0.93));
        assert!(known.is_habit(2 * day_ms + 2 * HOUR_MS - 10 * 60_000, 0.92));
        assert!(!known.is_habit(2 * day_ms + 12 * HOUR_MS, 0.92));
        assert!(!known.is_habit(2 * day_ms + 2 * HOUR_MS, 0.96));
        assert!(!nights(1).is_habit(day_ms + 2 * HOUR_MS, 0.92));
    }

    #[test]
    fn a_disk_that_slowly_fills_has_no_habit() {
        let mut peaks = Peaks::default();
        for hour in 0..20 * 24 {
            let ratio = 0.7 + 0.01 * (hour / 24) as f64;
            assert!(!peaks.is_habit(hour * HOUR_MS, ratio), "{hour}");
            peaks.learn(ratio);
            peaks.close(hour);
        }
    }

    #[test]
    fn a_day_without_it_forgets_nothing() {
        let mut peaks = nights(5);
        peaks.learn(0.4);
        peaks.close(5 * 24 + 2);
        assert!(peaks.is_habit((6 * 24 + 2) * HOUR_MS, 0.92));
        peaks.learn(0.4);
        peaks.close(6 * 24 + 2);
        assert!(!peaks.is_habit((7 * 24 + 2) * HOUR_MS, 0.92));
    }
}
