//! How much time lies between rows, whatever the wall clock does.

use serde::{Deserialize, Serialize};

/// Usual intervals without a row that make a gap.
const GAP_INTERVALS: i64 = 3;
/// Usual intervals a row may stand for in smoothing, at most.
const WEIGHT_INTERVALS_MAX: i64 = 4;
/// Time one row may add, at most: a clock that jumps by years must not overflow anything.
pub(super) const STEP_S_MAX: i64 = 400 * 86_400;

/// Time since the first row, made of forward steps only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Clock {
    last_wall_s: Option<i64>,
    /// Time since the first row.
    pub(super) elapsed_s: i64,
    /// Usual distance of rows, in sixteenths of a second; follows a changed interval within
    /// some rows.
    pub(super) usual_16ths: i64,
}

/// What one row means in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Seconds a row stands for in smoothing.
    pub(super) weight_s: f32,
    /// Rows are missing before this one, so its change is no change of one interval.
    pub(super) after_gap: bool,
}

impl Clock {
    pub(super) fn new(interval_s: i64) -> Self {
        Self {
            last_wall_s: None,
            elapsed_s: 0,
            usual_16ths: interval_s.clamp(1, STEP_S_MAX) * 16,
        }
    }

    /// Takes the wall clock of the next row. A clock that stood or went back counts as one usual
    /// interval.
    pub(super) fn step(&mut self, wall_s: i64) -> Step {
        let usual_s = (self.usual_16ths / 16).max(1);
        let last_wall_s = self.last_wall_s.replace(wall_s);
        let Some(last_wall_s) = last_wall_s else {
            return Step {
                weight_s: to_f32(usual_s),
                after_gap: false,
            };
        };
        let forward_s = wall_s.saturating_sub(last_wall_s);
        let step_s = if forward_s > 0 {
            forward_s.min(STEP_S_MAX)
        } else {
            usual_s
        };
        self.elapsed_s = self.elapsed_s.saturating_add(step_s);
        let weight_s = step_s.min(WEIGHT_INTERVALS_MAX * usual_s);
        self.usual_16ths += (weight_s * 16 - self.usual_16ths) / 16;
        Step {
            weight_s: to_f32(weight_s),
            after_gap: step_s > GAP_INTERVALS * usual_s,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^24 in practice")]
fn to_f32(seconds: i64) -> f32 {
    seconds as f32
}
