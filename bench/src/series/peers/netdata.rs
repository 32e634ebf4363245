//! After Netdata's documentation: 18 small k-means models of different ages must all agree.
//!
//! Features are six lags of the change, smoothed over three. Every three hours a model with two
//! centres is fitted on the last six hours. A row's score under a model is its mean distance to
//! both centres, scaled to that model's training rows. Netdata is made for one row a second and
//! trains on a fifth of them; here all rows are taken, and at least 100.

use std::collections::VecDeque;

use super::{Peer, rows, to_f32, to_f64};

const LAGS: usize = 6;
const SMOOTH: usize = 3;
const MODELS: usize = 18;
const FIT_ROWS_MIN: usize = 100;
const FIT_ROUNDS: usize = 20;

type Point = [f64; LAGS];

struct Model {
    centres: [Point; 2],
    least: f64,
    most: f64,
}

/// The vote over all models kept.
pub(super) struct Vote {
    last: Option<f64>,
    changes: VecDeque<f64>,
    smooth: VecDeque<f64>,
    points: VecDeque<Point>,
    models: VecDeque<Model>,
    window: usize,
    every: usize,
    since_fit: usize,
}

impl Vote {
    pub(super) fn new(interval_s: u32) -> Self {
        let window = rows(6 * 3600, interval_s).max(FIT_ROWS_MIN);
        Self {
            last: None,
            changes: VecDeque::new(),
            smooth: VecDeque::new(),
            points: VecDeque::new(),
            models: VecDeque::new(),
            window,
            every: window / 2,
            since_fit: 0,
        }
    }

    fn point(&mut self, value: f64) -> Option<Point> {
        let last = self.last.replace(value)?;
        push(&mut self.changes, value - last, SMOOTH);
        push(
            &mut self.smooth,
            self.changes.iter().sum::<f64>() / to_f64(SMOOTH),
            LAGS,
        );
        let mut point = [0.0; LAGS];
        (self.smooth.len() == LAGS).then(|| {
            for (to, from) in point.iter_mut().zip(&self.smooth) {
                *to = *from;
            }
            point
        })
    }
}

impl Peer for Vote {
    fn observe(&mut self, _: i64, value: Option<f64>) -> f32 {
        let Some(point) = value.and_then(|value| self.point(value)) else {
            return 0.0;
        };
        let score = self
            .models
            .iter()
            .map(|model| model.score(&point))
            .fold(f64::INFINITY, f64::min);
        push(&mut self.points, point, self.window);
        self.since_fit += 1;
        if self.since_fit >= self.every && self.points.len() == self.window {
            self.since_fit = 0;
            let model = Model::fit(&self.points);
            push(&mut self.models, model, MODELS);
        }
        if score.is_finite() {
            to_f32(score)
        } else {
            0.0
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.points.capacity() * size_of::<Point>()
            + self.models.capacity() * size_of::<Model>()
            + (self.changes.capacity() + self.smooth.capacity()) * size_of::<f64>()
    }
}

impl Model {
    /// Two centres by Lloyd's rounds, started at the rows nearest to and farthest from zero.
    fn fit(points: &VecDeque<Point>) -> Self {
        let zero = [0.0; LAGS];
        let by_norm = |a: &&Point, b: &&Point| distance(a, &zero).total_cmp(&distance(b, &zero));
        let mut centres = [
            points.iter().min_by(by_norm).copied().unwrap_or(zero),
            points.iter().max_by(by_norm).copied().unwrap_or(zero),
        ];
        for _ in 0..FIT_ROUNDS {
            let mut sums = [zero; 2];
            let mut counts = [0_usize; 2];
            for point in points {
                let nearest =
                    usize::from(distance(point, &centres[1]) < distance(point, &centres[0]));
                counts[nearest] += 1;
                for (sum, part) in sums[nearest].iter_mut().zip(point) {
                    *sum += part;
                }
            }
            for ((centre, sum), count) in centres.iter_mut().zip(sums).zip(counts) {
                if count > 0 {
                    *centre = sum.map(|part| part / to_f64(count));
                }
            }
        }
        let mut model = Self {
            centres,
            least: f64::INFINITY,
            most: 0.0,
        };
        for point in points {
            let far = model.distance(point);
            model.least = model.least.min(far);
            model.most = model.most.max(far);
        }
        model
    }

    fn distance(&self, point: &Point) -> f64 {
        (distance(point, &self.centres[0]) + distance(point, &self.centres[1])) / 2.0
    }

    fn score(&self, point: &Point) -> f64 {
        let range = self.most - self.least;
        let past = self.distance(point) - self.least;
        // A model of rows that never changed finds every change beyond its range.
        if range > 0.0 {
            past / range
        } else {
            f64::from(u8::from(past > 0.0))
        }
    }
}

fn distance(a: &Point, b: &Point) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b) * (a - b))
        .sum::<f64>()
        .sqrt()
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}
