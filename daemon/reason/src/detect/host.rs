//! Judges all metrics of a subject together, one row at a time: is this host itself right now?
//!
//! Each metric's level, its change and its shift against its last two hours are measured in its own
//! spreads of the last seven days, and weighed by how rarely they get so far. A view of the host is
//! the mean over its worst seventh of the metrics that move: constant ones must not hide the others.
//! Four paths make the score of the views, the highest counts: a row that is off by all three, jumps
//! that go on for minutes, a level that stays off, and half an hour unlike the host's others. An
//! isolation forest over the same deviations is a second vote: where it finds nothing unusual, the
//! score is a little lower.
//!
//! A row is judged before it is learned, nothing looks ahead, and the only randomness is a generator
//! with a fixed seed, so the same rows always give the same scores. Figures: `docs/detection.md`.

mod daytime;
pub mod forest;
mod lasting;
mod metric;
mod notify;
mod window;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rank::Rank;
use crate::bits;
use forest::Forest;
use lasting::Lasting;
use metric::{Clock, Evidence, Metric, VIEWS};
use notify::Notifier;
use window::Weights;

/// Metrics of one subject, at most; what comes after them is not judged.
pub const METRICS_MAX: usize = 16_384;
/// The anomaly at which a notification goes out by default.
pub const NOTIFY_AT: f32 = 0.5;
/// The score at `NOTIFY_AT`: a false alarm in five to twelve days on the labelled hosts of
/// `docs/detection.md`, at a row a minute and at one in five minutes.
const THRESHOLD: f64 = 1.6;
/// One in so many of the metrics that move makes a view: the worst of them ...
const SHARE: usize = 7;
/// ... but so many at least: one metric that jumps is its own affair.
const WORST_MIN: usize = 2;
/// Added to a view's evidence: none at all has a logarithm too.
const FLOOR: f64 = 0.3;
/// All views at once.
const SPIKE: Path = Path {
    usual: 0.72,
    slope: 4.7,
};
/// The change, smoothed.
const RESTLESS: Path = Path {
    usual: 0.48,
    slope: 7.2,
};
/// The shift, smoothed.
const SHIFTED: Path = Path {
    usual: 0.585,
    slope: 9.1,
};
/// The spreads by which the last half hour is off.
const LASTING: Path = Path {
    usual: 1.6,
    slope: 1.0,
};
/// Spreads from which on what lasts weighs more in an anomaly ...
const LASTS_FROM: f64 = 2.3;
/// ... in decades, each of them, ...
const LASTS: f64 = 1.5;
/// ... beside each decade beyond the threshold.
const BEYOND: f64 = 0.25;
/// Time constant of the smoothed views, in seconds of rows, and of blame.
const SMOOTH_S: f64 = 600.0;
/// Time constant of a metric's range.
const RANGE_S: f64 = 30.0 * 86_400.0;
/// Time constant of what counts as a metric's recent level.
const RECENT_S: f64 = 7200.0;
/// Rarity below which the forest finds a row usual: a contamination of 0.05.
const FOREST_USUAL: f32 = 1.3;
/// What the score loses for each decade that the forest finds it more usual than that.
const FOREST_VOTE: f64 = 0.1;
/// Rarity of the mean square from which a row is not learned ...
const ANOMALY_RARITY: f32 = 3.0;
/// ... unless that has lasted this long: then the level has shifted.
const ANOMALY_S: u64 = 2 * 3600;
const DAY_S: i64 = 86_400;

/// All metrics of one subject. See the module for how it judges.
///
/// Without its metrics 80 KB, mostly the forest; each metric takes 3.3 KB.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostDetector {
    interval_s: i64,
    rows_a_day: u32,
    /// Rows of the running day.
    day_rows: u32,
    /// Whether a day has passed.
    warm: bool,
    last_s: Option<i64>,
    hour: usize,
    metrics: Vec<Metric>,
    /// Mean squares so far, and the seconds that they were rare.
    squares: Rank,
    anomaly_s: u64,
    forest: Forest,
    isolation: Rank,
    notifier: Notifier,
    /// Log10 of the change's and of the shift's evidence, smoothed over the rows; NaN before the
    /// first.
    #[serde(with = "bits")]
    smooth: [f64; 2],
    /// The last half hour. Older versions did not write it.
    #[serde(default)]
    lasting: Lasting,
    /// Scratch of the last row; rebuilt by each.
    #[serde(skip)]
    features: Vec<i8>,
    #[serde(skip)]
    evidence: Vec<Evidence>,
    /// Bits of floats without sign: they are in the same order, and integers compare faster.
    #[serde(skip)]
    worst: Vec<u32>,
}

/// One way to be off: the measure (mostly log10 of evidence) that hosts reach about once a day, and what
/// one more is worth, so that the paths' scores are equally rare.
struct Path {
    usual: f64,
    slope: f64,
}

/// What one row says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostScore {
    /// From 0 (itself) to 1, comparable between hosts; [`NOTIFY_AT`] is the default threshold.
    pub anomaly: f32,
    /// Whether a notification goes out at this row, at the default threshold: once an episode.
    pub notify: bool,
    /// Rarity of the mean square of all deviations: −log10 of the share of this host's rows that
    /// were as far off.
    pub mean_square_rank: f32,
    /// Rarity of the row's isolation in the forest, likewise; 0 until it has grown.
    pub forest_rank: f32,
}

/// A metric's part in what the host has been in the last ten minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blame {
    /// Its place among the values.
    pub metric: usize,
    /// Its share of all evidence, 0 to 1.
    pub share: f32,
    /// Its evidence itself, comparable between rows.
    pub evidence: f32,
}

impl HostDetector {
    /// A detector of `metrics` values a row (more may come later), one row each `interval`.
    #[must_use]
    pub fn new(metrics: usize, interval: Duration) -> Self {
        let interval_s = i64::try_from(interval.as_secs())
            .unwrap_or(DAY_S)
            .clamp(1, DAY_S);
        let rows_a_day = u32::try_from(DAY_S / interval_s).unwrap_or(1);
        let mut detector = Self {
            interval_s,
            rows_a_day,
            day_rows: 0,
            warm: false,
            last_s: None,
            hour: 0,
            metrics: Vec::new(),
            squares: Rank::default(),
            anomaly_s: 0,
            forest: Forest::new(rows_a_day),
            isolation: Rank::default(),
            notifier: Notifier::default(),
            smooth: [f64::NAN; 2],
            lasting: Lasting::default(),
            features: Vec::new(),
            evidence: Vec::new(),
            worst: Vec::new(),
        };
        detector.grow(metrics);
        detector
    }

    /// Makes room for `metrics` values a row; never shrinks, and stops at [`METRICS_MAX`].
    pub fn grow(&mut self, metrics: usize) {
        let metrics = metrics.min(METRICS_MAX);
        if metrics > self.metrics.len() {
            self.metrics.resize_with(metrics, Metric::default);
            self.forest.widen(metrics * VIEWS);
        }
    }

    /// Judges one row, then learns it. `wall_s` is Unix time; it may step.
    ///
    /// `None` and what is not finite is a gap, as are values that `values` is too short for. The
    /// first day only learns.
    pub fn observe(&mut self, wall_s: i64, values: &[Option<f64>]) -> HostScore {
        self.grow(values.len());
        let (clock, step_s) = self.advance(wall_s);
        let live = self.judge(values, clock);
        let (score, lasting) = self.score(live, step_s);
        let mean_square = self.mean_square();
        let mean_square_rank = -self.squares.tail(mean_square).log10();
        self.squares.learn_fading(mean_square);
        let anomaly = self.is_anomaly(mean_square_rank);
        let forest_rank = self.ask_forest();
        for (metric, evidence) in self.metrics.iter_mut().zip(&self.evidence) {
            metric.learn(evidence, clock, anomaly);
        }
        self.count_row();
        let vote = f64::from((FOREST_USUAL - forest_rank).max(0.0)) * FOREST_VOTE;
        let over = score - vote - THRESHOLD;
        HostScore {
            anomaly: squash(weigh(over, lasting)),
            notify: self.notifier.row(over, self.interval_s),
            mean_square_rank,
            forest_rank,
        }
    }

    /// The `most` metrics that the evidence of the last ten minutes is about, heaviest first; those
    /// without a value now are not among them.
    ///
    /// Evidence is weighed by how much of its range a metric has moved, so that of those that move
    /// together the one that moved most is named; and it adds up, so that a row late in an event
    /// still says how it began.
    #[must_use]
    pub fn blame(&self, most: usize) -> Vec<Blame> {
        let metrics = self.metrics.iter().zip(&self.evidence).enumerate();
        let mut blamed: Vec<Blame> = metrics
            .filter(|(_, (_, evidence))| !evidence.is_gap())
            .map(|(at, (metric, _))| Blame {
                metric: at,
                share: 0.0,
                evidence: metric.blame(),
            })
            .filter(|blame| blame.evidence > 0.0)
            .collect();
        let total: f32 = blamed.iter().map(|blame| blame.evidence).sum();
        for blame in &mut blamed {
            blame.share = blame.evidence / total;
        }
        // A stable sort: equal shares stay in the order of the metrics.
        blamed.sort_by(|one, other| other.share.total_cmp(&one.share));
        blamed.truncate(most);
        blamed
    }

    /// Bytes held, those on the heap included.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>()
            + self.metrics.capacity() * size_of::<Metric>()
            + self.forest.size_bytes()
            + self.features.capacity()
            + self.evidence.capacity() * size_of::<Evidence>()
            + self.worst.capacity() * size_of::<u32>()
    }

    /// Whether a state that was read back, of `metrics` values a row, is one that rows can lead to,
    /// as far as arithmetic and indices need.
    pub(crate) fn is_sound(&self, metrics: usize) -> bool {
        (1..=DAY_S).contains(&self.interval_s)
            && (1..=86_400).contains(&self.rows_a_day)
            && self.day_rows <= self.rows_a_day
            && self.hour < 24
            && self.metrics.len() == metrics
            && self.metrics.iter().all(Metric::is_sound)
            && self.forest.is_sound(metrics * VIEWS)
            && self.lasting.is_sound()
    }

    /// Moves on to `wall_s`: closes the hour that has passed, and knows whether a row was missed.
    /// Also the seconds that this row stands for.
    #[expect(clippy::cast_precision_loss, reason = "seconds between rows")]
    fn advance(&mut self, wall_s: i64) -> (Clock, f64) {
        let hour = usize::try_from(wall_s.rem_euclid(DAY_S) / 3600).unwrap_or(0);
        if hour != self.hour {
            for metric in &mut self.metrics {
                metric.close_hour(self.hour);
            }
            self.hour = hour;
        }
        let (mut passed_s, mut step_s) = (self.interval_s, self.interval_s);
        if let Some(last_s) = self.last_s {
            let since_s = wall_s.saturating_sub(last_s);
            if since_s > 0 {
                passed_s = since_s;
            }
            if since_s <= 0 || since_s > self.interval_s * 3 {
                self.metrics.iter_mut().for_each(Metric::forget_last);
            } else {
                step_s = since_s;
            }
        }
        self.last_s = Some(wall_s);
        // A level grows old while nobody looks. But what nobody saw has not lasted.
        let clock = Clock {
            hour,
            rows_a_day: self.rows_a_day,
            weights: Weights {
                recent: weight(passed_s as f64, RECENT_S),
                range: weight(passed_s as f64, RANGE_S),
            },
            fade: fade(passed_s as f64),
        };
        (clock, step_s as f64)
    }

    /// Fills `evidence` and `features`; how many metrics have ever moved.
    fn judge(&mut self, values: &[Option<f64>], clock: Clock) -> usize {
        let mut live = 0;
        self.features.resize(self.metrics.len() * VIEWS, 0);
        self.evidence.clear();
        let values = values.iter().copied().chain(std::iter::repeat(None));
        let features = self.features.chunks_exact_mut(VIEWS);
        for ((metric, value), features) in self.metrics.iter_mut().zip(values).zip(features) {
            self.evidence.push(metric.judge(value, clock, features));
            live += usize::from(metric.is_live());
        }
        live
    }

    /// How far the host is off, in decades of rarity beyond once a day; `live` of its metrics move. And
    /// the spreads by which its last half hour is.
    fn score(&mut self, live: usize, step_s: f64) -> (f64, f64) {
        let most = live.div_ceil(SHARE).max(WORST_MIN).min(live.max(1));
        let level = self.view(most, |evidence| evidence.level);
        let change = self.view(most, |evidence| evidence.change);
        let shift = self.view(most, |evidence| evidence.shift);
        let weight = weight(step_s, SMOOTH_S);
        for (smooth, log) in self.smooth.iter_mut().zip([change, shift]) {
            if smooth.is_nan() {
                *smooth = log;
            } else {
                *smooth += weight * (log - *smooth);
            }
        }
        let all = (level + change + shift) / 3.0;
        let lasting = self.lasting.row(all, step_s);
        let paths = [
            SPIKE.score(all),
            RESTLESS.score(self.smooth[0]),
            SHIFTED.score(self.smooth[1]),
            LASTING.score(lasting),
        ];
        (paths.into_iter().fold(f64::NEG_INFINITY, f64::max), lasting)
    }

    /// Log10 of the mean of the `most` largest that `of` takes from the metrics' evidence.
    #[expect(clippy::cast_precision_loss, reason = "at most METRICS_MAX")]
    fn view(&mut self, most: usize, of: impl Fn(&Evidence) -> f32) -> f64 {
        self.worst.clear();
        let bits = self
            .evidence
            .iter()
            .map(|evidence| of(evidence).abs().to_bits());
        self.worst.extend(bits);
        if most < self.worst.len() {
            self.worst
                .select_nth_unstable_by(most - 1, |one, other| other.cmp(one));
            self.worst.truncate(most);
        }
        let floats = self.worst.iter().copied().map(f32::from_bits);
        let sum: f64 = floats.map(f64::from).sum();
        (sum / most as f64 + FLOOR).log10()
    }

    /// The geometric mean of level and change, so that a level which has long been off, or a twitch
    /// that leads nowhere, counts for less.
    #[expect(clippy::cast_precision_loss, reason = "at most METRICS_MAX")]
    fn mean_square(&self) -> f32 {
        let (mut level_square, mut change_square) = (0.0_f32, 0.0_f32);
        for evidence in &self.evidence {
            let squares = evidence.squares();
            level_square += squares.0;
            change_square += squares.1;
        }
        let count = self.evidence.len().max(1) as f32;
        (level_square * change_square).sqrt() / count
    }

    /// Whether this row is an anomaly that must not become usual.
    fn is_anomaly(&mut self, rarity: f32) -> bool {
        let interval_s = self.interval_s.unsigned_abs();
        if !self.warm || rarity < ANOMALY_RARITY {
            self.anomaly_s = self.anomaly_s.saturating_sub(interval_s);
            return false;
        }
        self.anomaly_s = self.anomaly_s.saturating_add(interval_s);
        self.anomaly_s < ANOMALY_S
    }

    /// Rarity of this row in the forest, which then learns it.
    fn ask_forest(&mut self) -> f32 {
        if !self.warm {
            return 0.0;
        }
        let isolation = self.forest.score(&self.features);
        self.forest.learn(&self.features);
        let Some(isolation) = isolation else {
            return 0.0;
        };
        // Spreads the narrow range of isolations over the buckets of the histogram.
        let spread = ((isolation - 0.5) * 16.0).exp2();
        let rarity = -self.isolation.tail(spread).log10();
        self.isolation.learn_fading(spread);
        rarity
    }

    fn count_row(&mut self) {
        self.day_rows += 1;
        if self.day_rows >= self.rows_a_day {
            self.day_rows = 0;
            self.warm = true;
            self.metrics.iter_mut().for_each(Metric::close_day);
        }
    }
}

impl Path {
    fn score(&self, log: f64) -> f64 {
        self.slope * (log - self.usual)
    }
}

/// Weight of what stands for `step_s` in an exponential mean over `constant_s`.
fn weight(step_s: f64, constant_s: f64) -> f64 {
    1.0 - (-step_s / constant_s).exp()
}

/// What is left of blame after `passed_s`.
#[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
fn fade(passed_s: f64) -> f32 {
    (1.0 - weight(passed_s, SMOOTH_S)) as f32
}

/// What makes an anomaly's size: once a host is `over` the threshold, rather how unusual its last half
/// hour is than how far a single row has jumped.
fn weigh(over: f64, lasting: f64) -> f64 {
    if over > 0.0 {
        over * BEYOND + (lasting - LASTS_FROM).max(0.0) * LASTS
    } else {
        over
    }
}

/// A logistic curve: 0 far below the threshold, 0.5 at it, 0.09 where it is ten times as usual.
#[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
fn squash(over: f64) -> f32 {
    (1.0 / (1.0 + (-over).exp2().powf(std::f64::consts::LOG2_10))) as f32
}
