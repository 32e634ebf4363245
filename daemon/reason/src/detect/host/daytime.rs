//! What one metric usually is at this hour: a nightly backup is normal in its hour, and only there.

use serde::{Deserialize, Serialize};

use super::window::DEVIATION_MAX;
use crate::bits;

/// Parts of a day.
pub(super) const HOURS: usize = 24;
/// Weight of the newest day in an hour's mean.
const DAY_WEIGHT: f32 = 0.2;
/// A residual below this share of the value is rounding.
const ROUNDING: f64 = 1e-6;

/// One metric's means by the hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Daytime {
    /// Mean of each hour over the days, the newest weighing most.
    #[serde(with = "bits")]
    means: [f32; HOURS],
    /// Days that an hour was seen, up to 255.
    days: [u8; HOURS],
    /// Sum of the running hour, and the mean square of all residuals.
    #[serde(with = "bits")]
    sums: [f64; 2],
    /// Values in the running hour.
    values: u32,
    /// Residuals so far, up to a week of them.
    residuals: u32,
}

impl Default for Daytime {
    fn default() -> Self {
        Self {
            means: [0.0; HOURS],
            days: [0; HOURS],
            sums: [0.0; 2],
            values: 0,
            residuals: 0,
        }
    }
}

impl Daytime {
    /// How far the centred `value` lies from the mean of `hour`, in spreads, signed.
    ///
    /// `None` while the hour is unknown or fewer than `warm` residuals were seen.
    pub(super) fn deviation(&self, value: f64, hour: usize, warm: u32) -> Option<f64> {
        if self.days[hour] == 0 || self.residuals < warm {
            return None;
        }
        let mean = f64::from(self.means[hour]);
        let off = value - mean;
        if off.abs() <= ROUNDING * (value.abs() + mean.abs()) {
            return Some(0.0);
        }
        let spread = self.sums[1].sqrt().max(f64::MIN_POSITIVE);
        Some((off / spread).clamp(-DEVIATION_MAX, DEVIATION_MAX))
    }

    /// Takes the centred `value` in; a week has `week` rows.
    pub(super) fn learn(&mut self, value: f64, hour: usize, week: u32) {
        self.sums[0] += value;
        self.values += 1;
        if self.days[hour] > 0 {
            let off = value - f64::from(self.means[hour]);
            self.residuals = (self.residuals + 1).min(week);
            self.sums[1] += (off * off - self.sums[1]) / f64::from(self.residuals);
        }
    }

    /// Whether counting on stays in bounds.
    pub(super) fn is_sound(&self) -> bool {
        self.values < u32::MAX / 2 && self.residuals < u32::MAX / 2
    }

    /// Ends `hour`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a mean needs no more digits"
    )]
    pub(super) fn close_hour(&mut self, hour: usize) {
        if self.values > 0 {
            self.days[hour] = self.days[hour].saturating_add(1);
            let weight = DAY_WEIGHT.max(1.0 / f32::from(self.days[hour]));
            let mean = (self.sums[0] / f64::from(self.values)) as f32;
            self.means[hour] += weight * (mean - self.means[hour]);
        }
        self.sums[0] = 0.0;
        self.values = 0;
    }
}
