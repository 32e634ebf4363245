//! Judges one series row by row, against nothing but its own past.
//!
//! A row is looked at in four ways: its change, what differs from the usual at this time of day,
//! that difference smoothed over half a day, and how the last hour's differs from the hours before. Each is ranked against its own history, so no distribution is assumed, and
//! rows on which several ways agree stand out. `docs/detection.md` has every variant tried.

mod clock;
mod number;
mod quiet;
mod season;
#[cfg(test)]
mod tests;
mod usual;
mod week;

pub(crate) use week::merge;

use std::time::Duration;

use hostmedic_model::anomaly::Severity;
use serde::{Deserialize, Serialize};

use crate::{
    bits,
    detect::{
        rank::{Place, Rank},
        severity,
    },
};

/// Ways of looking at a row.
pub const VIEWS: usize = 4;
/// Name of each, for explanations.
pub const VIEW_NAMES: [&str; VIEWS] = [
    "change",
    "time of day",
    "half day against time of day",
    "hour against the hours before",
];

/// [`Score::anomaly`] from which a row is worth a notification; one for all series.
pub const ANOMALY_MIN: f32 = 0.5;
/// The score that is mapped to [`ANOMALY_MIN`].
const SCORE_MIN: f32 = 3.0;

/// What each view counts, before the fourth root of the sum of fourth powers.
const WEIGHTS: [f32; VIEWS] = [1.0, 0.6, 1.2, 0.6];
/// Points for each doubling of a view's size: ranks alone cannot tell far from very far.
const SIZE_POINTS: f32 = 0.2;
/// Points for a value outside everything seen ...
const EXTREME_POINTS: f32 = 2.0;
/// ... by more than this share of the range seen.
const EXTREME_RATIO: f32 = 0.05;
/// First rows, in which every second one is an extreme.
const EXTREME_ROWS_MIN: u32 = 11;
/// Smoothing times of the hour, of the hours before and of half a day.
const HOUR_S: f32 = 3600.0;
const HOURS_S: f32 = 4.0 * HOUR_S;
const HALF_DAY_S: f32 = 12.0 * HOUR_S;
/// Least rows each of these smooths over, where rows are rare.
const HOUR_ROWS: f32 = 3.0;
const HOURS_ROWS: f32 = 12.0;
const HALF_DAY_ROWS: f32 = 6.0;
/// Memory of the overall mean and spread.
const SCALE_S: f32 = 300.0 * HOUR_S;
/// A time of day that never varied still gets this share of the overall spread.
const SLOT_SPREAD_MIN: f32 = 0.05;
/// First rows, in which no spread is known and no view is learned.
const ROWS_MIN: u32 = 6;
/// Rows and time before a notification may go out.
const NOTIFY_ROWS_MIN: u32 = 48;
const NOTIFY_ELAPSED_S: i64 = 86_400;
/// Distance from the first value beyond which a value counts as this far: squares must stay finite.
const VALUE_MAX: f64 = 1e15;
/// A view's size in spreads, at most: what [`Rank`] can tell apart.
const SIZE_MAX: f32 = 65_536.0;

/// How sure a deviation must be by the rule that people know; beside the calibrated value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// From 5 sigma.
    Low,
    /// From 3 sigma.
    #[default]
    Medium,
    /// From 2 sigma.
    High,
}

impl Sensitivity {
    /// The least [`Score::sigma`] that counts.
    #[must_use]
    pub fn sigma_min(self) -> f64 {
        match self {
            Self::Low => 5.0,
            Self::Medium => 3.0,
            Self::High => 2.0,
        }
    }
}

/// Judgement of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Calibrated, 0 to 1: the same value is about equally rare on every series. From
    /// [`ANOMALY_MIN`] it is worth a notification.
    pub anomaly: f32,
    /// A notification goes out at this row: at the default threshold, not in the first day, and
    /// not again for the same peak.
    pub notify: bool,
    /// Deviation from the mean of seven days in standard deviations; 0 in the first day.
    pub sigma: f64,
    /// From `sigma`.
    pub severity: Option<Severity>,
    /// Points of each view, in the order of [`VIEW_NAMES`]; 3 is about one row in a thousand.
    pub views: [f32; VIEWS],
}

impl Score {
    /// min(sigma / 5, 1): a reported figure; decisions do not use it.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        (self.sigma / 5.0).min(1.0)
    }
}

/// One series' past: below 4 KiB and of a fixed size, whatever the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeriesDetector {
    /// First value, by its bits; all others count from here.
    origin: Option<u64>,
    rows: u32,
    clock: clock::Clock,
    #[serde(with = "bits")]
    state: [f32; STATE],
    season: season::Season,
    week: week::Week,
    quiet: quiet::Quiet,
    ranks: [Rank; VIEWS],
}

/// Places in [`SeriesDetector::state`].
const LAST: usize = 0;
const MEAN: usize = 1;
const SPREAD: usize = 2;
const HOUR: usize = 3;
const HOURS: usize = 4;
const HALF_DAY: usize = 5;
const LOW: usize = 6;
const HIGH: usize = 7;
const STATE: usize = 8;

impl SeriesDetector {
    /// A detector that has seen nothing. `interval` is the usual time between rows; it may change.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            origin: None,
            rows: 0,
            clock: clock::Clock::new(i64::try_from(interval.as_secs()).unwrap_or(i64::MAX)),
            state: [0.0; STATE],
            season: season::Season::default(),
            week: week::Week::default(),
            quiet: quiet::Quiet::default(),
            ranks: Default::default(),
        }
    }

    /// Judges a row against all rows before it, then learns it.
    ///
    /// `wall_s` is Unix time. `None`, NaN and infinities are gaps: a gap is not zero, it scores 0
    /// and teaches nothing. Clocks may step back.
    pub fn observe(&mut self, wall_s: i64, value: Option<f64>) -> Score {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return Score::default();
        };
        let origin = f64::from_bits(*self.origin.get_or_insert(value.to_bits()));
        let value = to_f32((value - origin).clamp(-VALUE_MAX, VALUE_MAX));
        let floor = to_f32((1e-7 * origin.abs()).clamp(1e-30, VALUE_MAX));
        let step = self.clock.step(wall_s);
        let place = season::Place::new(wall_s);

        let mean = self.state[MEAN];
        let spread = self.state[SPREAD].max(floor);
        let residual = value - self.season.expected(place, mean);
        let smooth = |state: f32, target: f32, over_s: f32, rows: f32| {
            state + (target - state) * (step.weight_s / over_s).min(1.0 / rows)
        };
        let hour = smooth(self.state[HOUR], residual, HOUR_S, HOUR_ROWS);
        let half_day = smooth(self.state[HALF_DAY], residual, HALF_DAY_S, HALF_DAY_ROWS);
        let slot_spread = self
            .season
            .spread(place)
            .map_or(spread, |slot| slot.max(SLOT_SPREAD_MIN * spread).max(floor));
        let change = if step.after_gap || self.rows == 0 {
            0.0
        } else {
            value - self.state[LAST]
        };
        let offs = [change, residual, half_day, hour - self.state[HOURS]];
        let spreads = [spread, slot_spread, spread, spread];
        let sizes: [f32; VIEWS] =
            std::array::from_fn(|view| (offs[view] / spreads[view]).abs().min(SIZE_MAX));
        let places = sizes.map(Place::of);

        let mut score = Score::default();
        // Against no spread, everything would be a peak, and its height a matter of units.
        let raw = if self.rows >= ROWS_MIN {
            self.combine(value, sizes, places, &mut score.views)
        } else {
            0.0
        };
        let calibrated = self.quiet.score(self.clock.elapsed_s, raw);
        score.anomaly = calibrated / (calibrated + SCORE_MIN);
        score.notify = score.anomaly >= ANOMALY_MIN
            && self.rows >= NOTIFY_ROWS_MIN
            && self.clock.elapsed_s >= NOTIFY_ELAPSED_S
            && self.quiet.notify(self.clock.elapsed_s);
        score.sigma = f64::from(self.week.sigma(self.clock.elapsed_s, value, floor));
        score.severity = severity(score.sigma);

        if self.rows >= ROWS_MIN {
            for (rank, place) in self.ranks.iter_mut().zip(places) {
                rank.learn_at(place);
            }
        }
        let rate = (1.0 / (to_f32(f64::from(self.rows)) + 1.0)).max(step.weight_s / SCALE_S);
        self.state[SPREAD] += rate * ((value - mean).abs() - self.state[SPREAD]);
        self.state[MEAN] += rate * (value - mean);
        self.state[HOURS] = smooth(self.state[HOURS], hour, HOURS_S, HOURS_ROWS);
        self.state[HOUR] = hour;
        self.state[HALF_DAY] = half_day;
        self.state[LOW] = self.state[LOW].min(value);
        self.state[HIGH] = self.state[HIGH].max(value);
        self.state[LAST] = value;
        self.season.learn(place, value, residual, step.weight_s);
        self.week.learn(self.clock.elapsed_s, value);
        self.rows = self.rows.saturating_add(1);
        score
    }

    /// One number out of all views: the fourth root of the sum of fourth powers, and what a new
    /// extreme adds.
    fn combine(
        &self,
        value: f32,
        sizes: [f32; VIEWS],
        places: [Place; VIEWS],
        views: &mut [f32; VIEWS],
    ) -> f32 {
        // All four views at once: the compiler divides four numbers in the time of one.
        let tails: [f32; VIEWS] =
            std::array::from_fn(|view| self.ranks[view].tail_at(places[view]));
        let rarities = number::log2(tails);
        let doublings = number::log2(sizes.map(|size| 1.0 + size));
        let mut sum = 0.0;
        for (((points, rarity), doubling), weight) in
            views.iter_mut().zip(rarities).zip(doublings).zip(WEIGHTS)
        {
            *points = -std::f32::consts::LOG10_2 * rarity + SIZE_POINTS * doubling;
            let square = *points * *points;
            sum += weight * square * square;
        }
        let past = (value - self.state[HIGH]).max(self.state[LOW] - value);
        let range = self.state[HIGH] - self.state[LOW];
        let extreme = range > 0.0 && past > EXTREME_RATIO * range && self.rows >= EXTREME_ROWS_MIN;
        sum.sqrt().sqrt() + if extreme { EXTREME_POINTS } else { 0.0 }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a view needs no more digits"
)]
fn to_f32(number: f64) -> f32 {
    number as f32
}
