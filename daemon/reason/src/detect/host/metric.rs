//! One metric of a host: what is usual for it, how often it leaves that, and what a row says of it.

use std::f32::consts::LOG10_2;

use serde::{Deserialize, Serialize};

use super::{
    daytime::Daytime,
    forest::squeeze,
    window::{Weights, Window},
};
use crate::{bits, detect::rank::Rank};

/// Views of a metric that the forest eats.
pub(super) const VIEWS: usize = 3;
/// Spreads beyond which a deviation counts for no more: one broken metric is not a broken host.
const SPREADS_MAX: f32 = 30.0;
/// Spreads beyond which a deviation adds nothing to the mean square.
const SQUARED_MAX: f32 = 15.0;
/// Blame below this is none: numbers that fade for ever become slow ones.
const BLAME_MIN: f32 = 1e-6;

/// Everything kept of one metric.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Metric {
    window: Window,
    daytime: Daytime,
    /// Deviations of the level, of the change and of the shift so far.
    level: Rank,
    change: Rank,
    shift: Rank,
    /// Whether it has ever changed in a way that was not usual: one that stands still says nothing.
    live: bool,
    /// Blame of the last ten minutes. Older versions did not write it.
    #[serde(with = "bits", default)]
    blame: [f32; 1],
}

/// What one row says of one metric.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// The value from the metric's first; NaN in a gap.
    value: f64,
    /// Deviations in spreads, unsigned.
    level_spreads: f32,
    change_spreads: f32,
    shift_spreads: f32,
    /// Deviations weighed by how rare they are for this metric.
    pub(super) level: f32,
    pub(super) change: f32,
    pub(super) shift: f32,
}

/// When and how often rows come.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) hour: usize,
    pub(super) rows_a_day: u32,
    /// Weights of this row in what is known of a metric.
    pub(super) weights: Weights,
    /// What is left of the blame before.
    pub(super) fade: f32,
}

impl Metric {
    /// Judges `value`, adds up its blame and writes its views into `features`, zero where it has none.
    pub(super) fn judge(
        &mut self,
        value: Option<f64>,
        clock: Clock,
        features: &mut [i8],
    ) -> Evidence {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            features.fill(0);
            self.window.forget_last();
            self.add_blame(0.0, clock.fade);
            return Evidence {
                value: f64::NAN,
                ..Evidence::default()
            };
        };
        let value = self.window.centred(value);
        self.window.follow(value, clock.weights);
        let off = self.window.deviation(value, f64::from(clock.rows_a_day));
        let daytime = self
            .daytime
            .deviation(value, clock.hour, clock.rows_a_day / 4);
        for (feature, off) in features.iter_mut().zip([
            off.level.spreads,
            off.change.spreads,
            daytime.unwrap_or(0.0),
        ]) {
            *feature = squeeze(off);
        }
        let level_spreads = unsigned(off.level.spreads);
        let change_spreads = unsigned(off.change.spreads);
        let shift_spreads = unsigned(off.shift.spreads);
        self.live |= change_spreads > 0.0;
        // What is usual at this hour is no news, however far it lies from the week's mean.
        let news = daytime.map_or(level_spreads, |daytime| {
            level_spreads.min(unsigned(daytime))
        });
        let evidence = Evidence {
            value,
            level_spreads,
            change_spreads,
            shift_spreads,
            level: weigh(news, level_spreads, &self.level),
            change: weigh(change_spreads, change_spreads, &self.change),
            shift: weigh(shift_spreads, shift_spreads, &self.shift),
        };
        // Squares, so that what is far off in one row outweighs what is a little off in many.
        let blame = evidence.level.powi(2) * unsigned(off.level.reach)
            + evidence.change.powi(2) * unsigned(off.change.reach)
            + evidence.shift.powi(2) * unsigned(off.shift.reach);
        self.add_blame(blame, clock.fade);
        evidence
    }

    fn add_blame(&mut self, blame: f32, fade: f32) {
        let sum = self.blame[0] * fade + blame;
        self.blame[0] = if sum < BLAME_MIN { 0.0 } else { sum };
    }

    /// How much it is to blame for what the host has been in the last ten minutes.
    pub(super) fn blame(&self) -> f32 {
        self.blame[0]
    }

    /// Learns the row just judged; during an anomaly only the hour's mean does.
    pub(super) fn learn(&mut self, evidence: &Evidence, clock: Clock, anomaly: bool) {
        if evidence.is_gap() {
            return;
        }
        self.daytime
            .learn(evidence.value, clock.hour, 7 * clock.rows_a_day);
        if anomaly {
            self.window.pass(evidence.value);
        } else {
            self.window.learn(evidence.value);
            self.level.learn_fading(evidence.level_spreads);
            self.change.learn_fading(evidence.change_spreads);
            self.shift.learn_fading(evidence.shift_spreads);
        }
    }

    /// Whether it has ever moved.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Whether arithmetic on it stays in bounds.
    pub(super) fn is_sound(&self) -> bool {
        self.daytime.is_sound() && self.window.is_sound()
    }

    pub(super) fn close_day(&mut self) {
        self.window.close_day();
    }

    pub(super) fn close_hour(&mut self, hour: usize) {
        self.daytime.close_hour(hour);
    }

    pub(super) fn forget_last(&mut self) {
        self.window.forget_last();
    }
}

impl Evidence {
    /// Squares of the two deviations, each cut.
    pub(super) fn squares(&self) -> (f32, f32) {
        let square = |spreads: f32| spreads.min(SQUARED_MAX).powi(2);
        (square(self.level_spreads), square(self.change_spreads))
    }

    /// Whether the metric had no value.
    pub(super) fn is_gap(&self) -> bool {
        self.value.is_nan()
    }
}

/// The root of `spreads` times how rare (−log10 of the tail) `ranked` is: far for this metric, and
/// rarely so far.
fn weigh(spreads: f32, ranked: f32, history: &Rank) -> f32 {
    if spreads <= 0.0 {
        return 0.0;
    }
    // log2 takes half the time of log10.
    -spreads.min(SPREADS_MAX).sqrt() * history.tail(ranked).log2() * LOG10_2
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a deviation needs no more digits"
)]
fn unsigned(spreads: f64) -> f32 {
    spreads.abs() as f32
}
