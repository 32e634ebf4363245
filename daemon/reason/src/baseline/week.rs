//! The last seven days, hour by hour: at once the rolling week and what each hour of the week was.
//!
//! An hour's mean takes two bytes: the upper half of an `f32` (bfloat16), which is off by 0.2 % of
//! the distance from the series' first value at most. How much values differ within an hour is kept
//! for each day. Both together give mean and spread of the week without keeping a sample.

use serde::{Deserialize, Serialize};

use super::{moments::Moments, words};
use crate::bits;

/// Hours of a week.
pub(super) const HOURS: usize = 168;
const DAYS: usize = 7;
const HOURS_A_DAY: i64 = 24;
/// An hour without samples: not a number.
const EMPTY: u16 = 0x7fc0;

/// Means of the last 168 hours, and the variance within the hours of each of the seven days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Week {
    #[serde(with = "words")]
    means: [u16; HOURS],
    #[serde(with = "bits")]
    within: [f32; DAYS],
}

impl Default for Week {
    fn default() -> Self {
        Self {
            means: [EMPTY; HOURS],
            within: [0.0; DAYS],
        }
    }
}

impl Week {
    /// Takes in an hour that is over in place of the same hour a week ago; `None`: no sample came.
    pub(super) fn close(&mut self, hour: i64, moments: Option<Moments>) {
        let Some(moments) = moments else {
            self.means[slot(hour)] = EMPTY;
            return;
        };
        let midnight = hour.div_euclid(HOURS_A_DAY) * HOURS_A_DAY;
        let before = (midnight..hour).filter(|hour| self.mean(*hour).is_some());
        let before = to_f32(before.count());
        let within = &mut self.within[day(hour)];
        *within = (*within * before + moments.variance()) / (before + 1.0);
        self.means[slot(hour)] = pack(moments.mean());
    }

    /// Mean of the newest hour with the place in the week of `hour`.
    pub(super) fn mean(&self, hour: i64) -> Option<f32> {
        let packed = self.means[slot(hour)];
        (packed != EMPTY).then(|| unpack(packed))
    }

    /// Moments of the hours, each weighing the same; no more than a week of them.
    pub(super) fn moments(&self, hours: std::ops::Range<i64>) -> Moments {
        hours.fold(Moments::default(), |sum, hour| match self.mean(hour) {
            Some(mean) => sum.merge(Moments::new(1.0, mean, self.within[day(hour)])),
            None => sum,
        })
    }

    /// The hours of both; where both have one, the mean of the two. `offset` is added to `other`.
    pub(super) fn merge(&mut self, other: &Self, hours: std::ops::Range<i64>, offset: f32) {
        let mut own = [0.0_f32; DAYS];
        let mut others = [0.0_f32; DAYS];
        for hour in hours {
            let two = other.mean(hour).map(|mean| mean + offset);
            let one = self.mean(hour);
            own[day(hour)] += f32::from(u8::from(one.is_some()));
            others[day(hour)] += f32::from(u8::from(two.is_some()));
            self.means[slot(hour)] = match (one, two) {
                (Some(one), Some(two)) => pack(f32::midpoint(one, two)),
                (Some(mean), None) | (None, Some(mean)) => pack(mean),
                (None, None) => EMPTY,
            };
        }
        for day in 0..DAYS {
            let hours = own[day] + others[day];
            if hours > 0.0 {
                self.within[day] =
                    (self.within[day] * own[day] + other.within[day] * others[day]) / hours;
            }
        }
    }
}

fn slot(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(HOURS as i64)).unwrap_or(0)
}

fn day(hour: i64) -> usize {
    usize::try_from(hour.div_euclid(HOURS_A_DAY).rem_euclid(DAYS as i64)).unwrap_or(0)
}

fn to_f32(count: usize) -> f32 {
    count as f32
}

/// The upper half of a finite number, rounded.
pub(super) fn pack(number: f32) -> u16 {
    let bits = number.to_bits();
    let rounded = bits.saturating_add(0x7fff + (bits >> 16 & 1));
    u16::try_from(rounded >> 16).unwrap_or(EMPTY)
}

pub(super) fn unpack(packed: u16) -> f32 {
    f32::from_bits(u32::from(packed) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bytes_are_good_for_four_in_a_thousand() {
        for number in [0.0, 0.42, -0.42, 1e-9, 123_456.0, -9.9e14] {
            assert!((unpack(pack(number)) - number).abs() <= number.abs() * 0.004);
        }
    }

    #[test]
    fn an_hour_is_kept_for_a_week_and_then_replaced() {
        let mut week = Week::default();
        for hour in 0..400 {
            week.close(hour, Some(Moments::new(1.0, to_f32(hour as usize), 4.0)));
        }
        assert_eq!(week.mean(399), Some(400.0), "two bytes round");
        let all = week.moments(400 - 168..400);
        assert!((all.mean() - 315.5).abs() < 1.0, "{all:?}");
        // Hours of 232..=399 differ by 168^2 / 12, and by 4 within.
        assert!((all.variance() - 2356.0).abs() < 30.0, "{all:?}");
        week.close(400, None);
        assert_eq!(week.mean(400), None);
    }
}
