//! From a row's raw score to one that means the same on every series, said once.
//!
//! A series that is jumpy every day is judged against its usual daily maximum. After a peak, what
//! is no higher counts half, and little by little more until the peak is a day old.

use serde::{Deserialize, Serialize};

use crate::bits;

const DAY_S: i64 = 86_400;
/// Share of the usual daily maximum that is taken off ...
const USUAL_RATIO: f32 = 0.2;
/// ... in full from the upper of these raw scores on, not at all up to the lower: what happens
/// every day needs no correction, what is near the threshold does.
const USUAL_FROM: f32 = 2.0;
const USUAL_FULL: f32 = 4.0;
/// Weight of a new day in the usual daily maximum.
const USUAL_RATE: f32 = 0.1;
/// How long a peak stands.
const PEAK_S: i64 = 18 * 3600;
/// What a row under a peak is worth just after it ...
const UNDER_PEAK: f32 = 0.5;
/// ... and which share of the rest comes back by the peak's end.
const COME_BACK: f32 = 0.75;
/// A new peak is at least this much higher.
const HIGHER: f32 = 1.07;
/// Time between two notifications, at least.
const NOTIFY_S: i64 = 3600;

/// What is usual for the score of this series, and its last peak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Quiet {
    day: i64,
    days: u16,
    /// Maximum of today, usual daily maximum, and the last peak.
    #[serde(with = "bits")]
    marks: [f32; 3],
    peak_at_s: Option<i64>,
    notified_at_s: Option<i64>,
}

impl Quiet {
    /// Whether arithmetic on it stays in bounds.
    pub(super) fn is_sound(&self) -> bool {
        (0..=i64::MAX / DAY_S).contains(&self.day)
    }

    /// The calibrated score of a row whose raw score is `raw`.
    pub(super) fn score(&mut self, elapsed_s: i64, raw: f32) -> f32 {
        let [today, usual, peak] = &mut self.marks;
        let share = ((raw - USUAL_FROM) / (USUAL_FULL - USUAL_FROM)).clamp(0.0, 1.0);
        let score = (raw - share * USUAL_RATIO * *usual).max(0.0);
        let day = elapsed_s / DAY_S;
        if day != self.day {
            let rate = (1.0 / (f32::from(self.days) + 1.0)).max(USUAL_RATE);
            *usual += rate * (*today - *usual);
            *today = 0.0;
            self.day = day;
            self.days = self.days.saturating_add(1);
        }
        *today = today.max(raw);
        if let Some(at_s) = self.peak_at_s {
            let age_s = elapsed_s.saturating_sub(at_s);
            if age_s < PEAK_S && score <= *peak * HIGHER {
                let age = to_f32(age_s) / to_f32(PEAK_S);
                return score * (1.0 - (1.0 - UNDER_PEAK) * (1.0 - COME_BACK * age));
            }
        }
        *peak = score;
        self.peak_at_s = Some(elapsed_s);
        score
    }

    /// Whether a notification goes out at a row that reached the threshold.
    pub(super) fn notify(&mut self, elapsed_s: i64) -> bool {
        let rested = self
            .notified_at_s
            .is_none_or(|at_s| elapsed_s.saturating_sub(at_s) >= NOTIFY_S);
        if rested {
            self.notified_at_s = Some(elapsed_s);
        }
        rested
    }
}

#[expect(clippy::cast_precision_loss, reason = "less than a day in seconds")]
fn to_f32(seconds: i64) -> f32 {
    seconds as f32
}
