//! How many events a score finds at how many false alarms: no point adjustment anywhere.
//!
//! A notification goes out at a row at or above the threshold when none went out in the hour
//! before, so a detector that is always on pages 24 times a day. An event is caught by a
//! notification from five minutes before its start to its end. One that is in no event, nor within
//! half an hour after one, is a false alarm.

use crate::series::read::Labelled;

const QUIET_S: f64 = 3600.0;
const LEAD_S: f64 = 300.0;
const TAIL_S: f64 = 1800.0;
/// Thresholds tried, spread evenly over the logarithm of the rows above them.
const THRESHOLDS: usize = 400;
/// More false alarms a series-day than this are of no interest.
const FALSE_PER_DAY_MAX: f64 = 30.0;

/// The scored rows of one series.
pub struct Scored {
    scores: Vec<f64>,
    events: Vec<(usize, usize)>,
    interval_s: f64,
}

/// What one threshold does on some series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub events: usize,
    pub caught: usize,
    pub false_alarms: usize,
    pub days: f64,
}

impl Outcome {
    /// Share of events caught.
    pub fn recall(self) -> f64 {
        to_f64(self.caught) / to_f64(self.events.max(1))
    }

    /// False alarms for each day of each series.
    pub fn false_per_day(self) -> f64 {
        to_f64(self.false_alarms) / self.days
    }

    /// F1 of events caught, missed and false alarms.
    pub fn f1(self) -> f64 {
        let sum = self.caught + self.false_alarms + self.events;
        2.0 * to_f64(self.caught) / to_f64(sum.max(1))
    }

    /// Takes another series' outcome in.
    pub fn add(&mut self, other: Self) {
        self.events += other.events;
        self.caught += other.caught;
        self.false_alarms += other.false_alarms;
        self.days += other.days;
    }
}

impl Scored {
    /// Takes one series with a score for each of its rows.
    pub fn new(series: &Labelled, scores: &[f32]) -> Self {
        let from = series.scored_from;
        Self {
            scores: scores[from..].iter().copied().map(f64::from).collect(),
            events: series
                .events
                .iter()
                .filter(|event| event.1 >= from)
                .map(|event| (event.0.saturating_sub(from), event.1 - from))
                .collect(),
            interval_s: f64::from(series.interval_s),
        }
    }

    fn rows(&self, seconds: f64) -> usize {
        // To even, as the reference does.
        to_usize((seconds / self.interval_s).round_ties_even())
    }

    /// What a threshold does here.
    pub fn judge(&self, threshold: f64) -> Outcome {
        let quiet = self.rows(QUIET_S).max(1);
        let mut notified: Vec<usize> = Vec::new();
        for (row, score) in self.scores.iter().enumerate() {
            if *score >= threshold && notified.last().is_none_or(|last| row - last >= quiet) {
                notified.push(row);
            }
        }
        self.outcome(&notified)
    }

    /// What these notifications are worth; rows in order, none within an hour of another.
    pub fn outcome(&self, notified: &[usize]) -> Outcome {
        let (lead, tail) = (self.rows(LEAD_S), self.rows(TAIL_S));
        let within = |row: usize, event: &(usize, usize), tail: usize| {
            row + lead >= event.0 && row <= event.1 + tail
        };
        Outcome {
            events: self.events.len(),
            caught: self
                .events
                .iter()
                .filter(|event| notified.iter().any(|row| within(*row, event, 0)))
                .count(),
            false_alarms: notified
                .iter()
                .filter(|row| !self.events.iter().any(|event| within(**row, event, tail)))
                .count(),
            days: to_f64(self.scores.len()) * self.interval_s / 86_400.0,
        }
    }
}

/// What one threshold does on all of `series` together.
pub fn judge(series: &[&Scored], threshold: f64) -> Outcome {
    let mut sum = Outcome::default();
    for one in series {
        sum.add(one.judge(threshold));
    }
    sum
}

/// Outcomes over all thresholds, fewest false alarms first.
pub struct Froc {
    points: Vec<Outcome>,
}

impl Froc {
    /// Tries thresholds from the highest score downwards, one for all `series`.
    pub fn new(series: &[&Scored]) -> Self {
        let mut scores: Vec<f64> = series.iter().flat_map(|one| one.scores.clone()).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        let mut thresholds: Vec<f64> = (0..THRESHOLDS)
            .map(|step| {
                let share = to_f64(step) / to_f64(THRESHOLDS - 1);
                let above = to_f64(scores.len()).powf(share) + 1e-9;
                scores[to_usize(above).clamp(1, scores.len()) - 1]
            })
            .collect();
        thresholds.dedup();
        let mut points = Vec::new();
        for threshold in thresholds {
            let outcome = judge(series, threshold);
            points.push(outcome);
            if outcome.false_per_day() > FALSE_PER_DAY_MAX {
                break;
            }
        }
        Self { points }
    }

    /// Share of events caught at no more than so many false alarms a day.
    pub fn recall_at(&self, false_per_day: f64) -> f64 {
        self.points
            .iter()
            .filter(|point| point.false_per_day() <= false_per_day + 1e-12)
            .map(|point| point.recall())
            .fold(0.0, f64::max)
    }

    /// Mean share of events caught over 0 to 1 false alarms a day.
    pub fn area(&self) -> f64 {
        (0..=200)
            .map(|step| self.recall_at(f64::from(step) / 200.0))
            .sum::<f64>()
            / 201.0
    }

    /// The best F1 of any threshold.
    pub fn best_f1(&self) -> f64 {
        self.points
            .iter()
            .map(|point| point.f1())
            .fold(0.0, f64::max)
    }
}

#[expect(clippy::cast_precision_loss, reason = "rows of a file are few")]
fn to_f64(number: usize) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and a number of rows"
)]
fn to_usize(number: f64) -> usize {
    number as usize
}
