//! What a detector knows about the time of day, for those who explain and weigh what it said.

use super::{NOTIFY_ELAPSED_S, NOTIFY_ROWS_MIN, SeriesDetector, clock, season::Place};
use crate::baseline::Normal;

/// A mean deviation in standard deviations, for noise that is normally distributed.
const TO_STANDARD: f64 = 1.2533;
/// Half of the time over which a usual growth is looked at.
const HALF_HOUR_S: i64 = 1800;
/// Days before a time of day is known.
const DAYS_MIN: i64 = 3;

impl SeriesDetector {
    /// What is usual at this quarter of an hour of the day, and how much is usual to differ from it;
    /// `None` in the first three days. The spread may be zero.
    pub(crate) fn usual(&self, wall_s: i64) -> Option<Normal> {
        if self.clock.elapsed_s < DAYS_MIN * NOTIFY_ELAPSED_S {
            return None;
        }
        let place = Place::new(wall_s);
        let spread = self.season.spread(place)?;
        Some(Normal {
            mean: self.expected(wall_s),
            spread: f64::from(spread) * TO_STANDARD,
        })
    }

    /// Growth in an hour that is usual at this time of day; 0 in the first three days.
    pub(crate) fn usual_growth(&self, wall_s: i64) -> f64 {
        if self.clock.elapsed_s < DAYS_MIN * NOTIFY_ELAPSED_S {
            return 0.0;
        }
        self.expected(wall_s.saturating_add(HALF_HOUR_S))
            - self.expected(wall_s.saturating_sub(HALF_HOUR_S))
    }

    /// Whether it has seen too little to notify.
    pub(crate) fn is_young(&self) -> bool {
        self.rows < NOTIFY_ROWS_MIN || self.clock.elapsed_s < NOTIFY_ELAPSED_S
    }

    /// Whether a state that was read back is one that rows can lead to, as far as arithmetic needs.
    pub(crate) fn is_sound(&self) -> bool {
        self.clock.is_sound() && self.week.is_sound() && self.quiet.is_sound()
    }

    fn expected(&self, wall_s: i64) -> f64 {
        let origin = self.origin.map_or(0.0, f64::from_bits);
        let expected = self
            .season
            .expected(Place::new(wall_s), self.state[super::MEAN]);
        origin + f64::from(expected)
    }
}

impl clock::Clock {
    fn is_sound(&self) -> bool {
        self.elapsed_s >= 0 && (0..=16 * clock::STEP_S_MAX).contains(&self.usual_16ths)
    }
}
