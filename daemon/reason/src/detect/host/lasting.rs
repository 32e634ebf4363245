//! How far the last half hour of a host lies from what its half hours usually are.
//!
//! A row is weighed by its metrics' own past, and so are its jumps; but how restless a host is for half an
//! hour at a time differs between hosts by more than any threshold for all of them could hold. So this one
//! measure is told in spreads of the host's own past.

use serde::{Deserialize, Serialize};

use super::weight;
use crate::bits;

/// Time constant of what counts as the last half hour.
const RECENT_S: f64 = 1800.0;
/// Time constant of a host's past.
const PAST_S: f64 = 14.0 * 86_400.0;
/// Seconds that only learn: after a day or two whatever has not been seen yet is ten spreads away.
const WARM_S: f64 = 7.0 * 86_400.0;
/// Least spread, in decades of evidence: a host that nothing ever happened to has none.
const SPREAD_MIN: f64 = 0.03;
/// Spreads beyond which no more is learned of a row.
const LEARNED_MAX: f64 = 4.0;

/// A host's evidence, smoothed, and its exponential mean and variance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Lasting {
    /// Mean of the last half hour, mean and variance of the past (NaN: none).
    #[serde(with = "bits")]
    numbers: [f64; 3],
    /// Seconds that it knows of, `PAST_S` at most.
    #[serde(with = "bits")]
    seen_s: [f64; 1],
}

impl Default for Lasting {
    fn default() -> Self {
        Self {
            numbers: [f64::NAN; 3],
            seen_s: [0.0],
        }
    }
}

impl Lasting {
    /// Spreads by which the half hour that ends with `log`, a row's evidence, is above the usual; then
    /// learns it. Nothing is unusual in the first week.
    pub(super) fn row(&mut self, log: f64, step_s: f64) -> f64 {
        let [recent, mean, variance] = &mut self.numbers;
        if mean.is_nan() {
            (*recent, *mean, *variance) = (log, log, 0.0);
        }
        *recent += weight(step_s, RECENT_S) * (log - *recent);
        let off = *recent - *mean;
        let spread = variance.sqrt().max(SPREAD_MIN);
        let is_warm = self.seen_s[0] > WARM_S;
        let learned = if is_warm {
            off.min(LEARNED_MAX * spread)
        } else {
            off
        };
        let seen_s = (self.seen_s[0] + step_s).min(PAST_S);
        let share = step_s / seen_s;
        *mean += share * learned;
        *variance = (1.0 - share) * (*variance + share * learned * learned);
        self.seen_s = [seen_s];
        if is_warm { off / spread } else { 0.0 }
    }

    /// Whether a state that was read back is one that rows can lead to.
    pub(super) fn is_sound(&self) -> bool {
        let [recent, mean, variance] = self.numbers;
        let is_new = self.numbers.iter().all(|number| number.is_nan());
        let is_known = recent.is_finite() && mean.is_finite() && (0.0..1e6).contains(&variance);
        (is_new || is_known) && (0.0..=PAST_S).contains(&self.seen_s[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a minute, around 0 by 0.1 either way.
    fn calm(lasting: &mut Lasting, days: u32) {
        for row in 0..days * 1440 {
            lasting.row(if row % 2 == 0 { -0.1 } else { 0.1 }, 60.0);
        }
    }

    #[test]
    fn nothing_is_unusual_in_the_first_week() {
        let mut lasting = Lasting::default();
        for row in 0..7 * 1440 {
            let off = lasting.row(f64::from(row / 700) * 10.0, 60.0);
            assert!(off.abs() < f64::EPSILON, "{row} {off}");
        }
    }

    #[test]
    fn what_lasts_counts_and_one_row_does_not() {
        let mut lasting = Lasting::default();
        calm(&mut lasting, 8);
        assert!(lasting.row(1.0, 60.0) < 2.2, "one row");
        calm(&mut lasting, 1);
        let last = (0..30).map(|_| lasting.row(0.5, 60.0)).last();
        assert!(last.is_some_and(|off| off > 3.0), "{last:?}");
    }

    #[test]
    fn what_happens_often_is_usual() {
        let mut lasting = Lasting::default();
        let mut last = 0.0;
        for hour in 0..24 * 14 {
            for _ in 0..60 {
                last = lasting.row(if hour % 4 == 0 { 0.5 } else { 0.0 }, 60.0);
            }
            if hour > 24 * 9 {
                assert!(last < 3.0, "{hour} {last}");
            }
        }
    }

    #[test]
    fn rows_of_five_minutes_say_the_same() {
        let (mut minutes, mut fives) = (Lasting::default(), Lasting::default());
        let (mut by_one, mut by_five) = (0.0, 0.0);
        for hour in 0..24 * 9 {
            let log = if hour == 24 * 9 - 1 { 0.7 } else { 0.0 };
            for row in 0..60 {
                by_one = minutes.row(log, 60.0);
                if row % 5 == 4 {
                    by_five = fives.row(log, 300.0);
                }
            }
        }
        assert!(
            by_one > 3.0 && (by_one - by_five).abs() < 0.05 * by_one,
            "{by_one} {by_five}"
        );
    }

    #[test]
    fn a_state_of_numbers_that_cannot_be_is_refused() {
        let mut lasting = Lasting::default();
        assert!(lasting.is_sound());
        calm(&mut lasting, 1);
        assert!(lasting.is_sound());
        for at in 0..3 {
            for wrong in [f64::NAN, f64::INFINITY] {
                let mut damaged = lasting.clone();
                damaged.numbers[at] = wrong;
                assert!(!damaged.is_sound(), "{at} {wrong}");
            }
        }
        lasting.numbers[2] = -1.0;
        assert!(!lasting.is_sound());
    }
}
