//! Seven days of one metric as daily sums: how far a value, its change since the row before, and its
//! shift against its last two hours lie from what is usual, and how much of its range that is.
//!
//! Days are counted in rows, not by the clock, so neither a clock step nor a gap drops history.

use serde::{Deserialize, Serialize};

use crate::bits;

/// Closed days that are kept; with the running one that makes seven.
const DAYS: usize = 6;
/// Values, their sum and sum of squares; changes, their sum and sum of squares; shifts, as many as
/// values: their sum and sum of squares.
const SUMS: usize = 8;
/// A difference below this share of the value is rounding, not a deviation.
const ROUNDING: f64 = 1e-6;
/// Deviations are cut here: a metric that never moved has no spread to divide by.
pub(super) const DEVIATION_MAX: f64 = 1000.0;
/// Values are cut here, so that sums stay finite, in `f32` too.
pub(super) const VALUE_MAX: f64 = 1e30;

type Sums = [f64; SUMS];

/// The last seven days of one metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Window {
    /// First value seen, the value of the row before, and the mean of the last two hours (NaN:
    /// none). Sums are taken from the first, so that large levels keep their digits.
    #[serde(with = "bits")]
    anchors: [f64; 3],
    #[serde(with = "bits")]
    running: Sums,
    /// All of `closed` added up.
    #[serde(with = "bits")]
    past: Sums,
    #[serde(with = "bits")]
    closed: [f64; DAYS * SUMS],
    oldest: u8,
    /// Least and greatest centred value of about a month; NaN: none. Older versions did not write it.
    #[serde(with = "bits", default = "no_extremes")]
    extremes: [f64; 2],
}

/// Where a value, its change and its shift lie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Deviation {
    pub(super) level: Distance,
    pub(super) change: Distance,
    pub(super) shift: Distance,
}

/// How far something is from what is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Distance {
    /// Signed, from the mean, within ±`DEVIATION_MAX`.
    pub(super) spreads: f64,
    /// The size as a share of the metric's range, 0 to 1: as tall as it would be in a chart.
    pub(super) reach: f64,
}

/// Weights of one row in what is kept of those before.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    /// In the mean of the last two hours.
    pub(super) recent: f64,
    /// In the range: so much of it is forgotten.
    pub(super) range: f64,
}

/// Mean and spread of a value or of a change.
#[derive(Clone, Copy)]
struct Usual {
    mean: f64,
    spread: f64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            anchors: [f64::NAN; 3],
            running: [0.0; SUMS],
            past: [0.0; SUMS],
            closed: [0.0; DAYS * SUMS],
            oldest: 0,
            extremes: no_extremes(),
        }
    }
}

impl Window {
    /// `value` from the first one ever seen, which this call remembers.
    pub(super) fn centred(&mut self, value: f64) -> f64 {
        let value = value.clamp(-VALUE_MAX, VALUE_MAX);
        if self.anchors[0].is_nan() {
            self.anchors[0] = value;
        }
        value - self.anchors[0]
    }

    /// Moves the mean of the last two hours to the centred `value`, and takes that into the range,
    /// whether or not it is learned: a level that stays is one day no shift.
    pub(super) fn follow(&mut self, value: f64, weights: Weights) {
        let recent = &mut self.anchors[2];
        if recent.is_nan() {
            *recent = value;
        } else {
            *recent += weights.recent * (value - *recent);
        }
        let [least, greatest] = self.extremes;
        let shrink = weights.range * 0.5 * (greatest - least);
        // `min` and `max` take the other operand for NaN.
        self.extremes = [(least + shrink).min(value), (greatest - shrink).max(value)];
    }

    /// Where the centred `value` lies; zero until `warm` values are known.
    pub(super) fn deviation(&self, value: f64, warm: f64) -> Deviation {
        if self.past[0] + self.running[0] < warm {
            return Deviation::default();
        }
        let rounding = ROUNDING * (value.abs() + self.anchors[0].abs());
        let change = value - self.anchors[1];
        // Zero only where nothing has ever moved: then nothing is off either.
        let share = 1.0 / (self.extremes[1] - self.extremes[0]).max(f64::MIN_POSITIVE);
        Deviation {
            level: self.usual(0, 1).distance(value, rounding, share),
            change: if change.is_nan() {
                Distance::default()
            } else {
                self.usual(3, 4).distance(change, rounding, share)
            },
            shift: self
                .usual(0, 6)
                .distance(value - self.anchors[2], rounding, share),
        }
    }

    /// Takes the centred `value` in.
    pub(super) fn learn(&mut self, value: f64) {
        let change = value - self.anchors[1];
        let shift = value - self.anchors[2];
        self.anchors[1] = value;
        self.running[0] += 1.0;
        self.running[1] += value;
        self.running[2] += value * value;
        if !change.is_nan() {
            self.running[3] += 1.0;
            self.running[4] += change;
            self.running[5] += change * change;
        }
        self.running[6] += shift;
        self.running[7] += shift * shift;
    }

    /// Goes past the centred `value` without learning it.
    pub(super) fn pass(&mut self, value: f64) {
        self.anchors[1] = value;
    }

    /// The row before is missing or too old: the next value has no change.
    pub(super) fn forget_last(&mut self) {
        self.anchors[1] = f64::NAN;
    }

    /// Whether the place of the oldest day is one.
    pub(super) fn is_sound(&self) -> bool {
        usize::from(self.oldest) < DAYS
    }

    /// Ends the running day.
    pub(super) fn close_day(&mut self) {
        let at = usize::from(self.oldest) % DAYS * SUMS;
        self.closed[at..at + SUMS].copy_from_slice(&self.running);
        self.oldest = if usize::from(self.oldest) + 1 < DAYS {
            self.oldest + 1
        } else {
            0
        };
        self.running = [0.0; SUMS];
        self.past = [0.0; SUMS];
        for day in self.closed.chunks_exact(SUMS) {
            for (sum, part) in self.past.iter_mut().zip(day) {
                *sum += part;
            }
        }
    }

    /// Mean and spread of what is counted at `count` and summed up from `sum`.
    fn usual(&self, count: usize, sum: usize) -> Usual {
        let total = |at: usize| self.past[at] + self.running[at];
        let count = total(count).max(1.0);
        let mean = total(sum) / count;
        let square = total(sum + 1) / count;
        Usual {
            mean,
            spread: (square - mean * mean).max(0.0).sqrt(),
        }
    }
}

impl Usual {
    /// How far `value` is off; `share` is what one unit is of the metric's range.
    fn distance(self, value: f64, rounding: f64, share: f64) -> Distance {
        let off = value - self.mean;
        if off.abs() <= rounding {
            return Distance::default();
        }
        let spreads = off / self.spread.max(f64::MIN_POSITIVE);
        Distance {
            spreads: spreads.clamp(-DEVIATION_MAX, DEVIATION_MAX),
            reach: (off.abs() * share).min(1.0),
        }
    }
}

fn no_extremes() -> [f64; 2] {
    [f64::NAN; 2]
}
