//! The literal rule: |value - mean| / standard deviation over the last seven days.

use std::collections::VecDeque;

use super::{Peer, rows, to_f32, to_f64};

/// Every value of seven days, the current one excluded; one day of warm-up.
pub(super) struct Sigma {
    values: VecDeque<f64>,
    rows_max: usize,
    rows_min: usize,
    /// Taken from each value, so that sums of squares keep their digits.
    origin: f64,
    sum: f64,
    squares: f64,
}

impl Sigma {
    pub(super) fn new(interval_s: u32) -> Self {
        Self {
            values: VecDeque::new(),
            rows_max: rows(7 * 86_400, interval_s),
            rows_min: rows(86_400, interval_s).max(2),
            origin: 0.0,
            sum: 0.0,
            squares: 0.0,
        }
    }
}

impl Peer for Sigma {
    fn observe(&mut self, _: i64, value: Option<f64>) -> f32 {
        let Some(value) = value else { return 0.0 };
        if self.values.is_empty() {
            self.origin = value;
        }
        let value = value - self.origin;
        let mut score = 0.0;
        if self.values.len() >= self.rows_min {
            let count = to_f64(self.values.len());
            let mean = self.sum / count;
            let spread = (self.squares / count - mean * mean).max(0.0).sqrt();
            let floor = (1e-9 * self.origin.abs()).max(1e-12);
            score = to_f32((value - mean).abs() / spread.max(floor));
        }
        self.values.push_back(value);
        self.sum += value;
        self.squares += value * value;
        if self.values.len() > self.rows_max
            && let Some(oldest) = self.values.pop_front()
        {
            self.sum -= oldest;
            self.squares -= oldest * oldest;
        }
        score
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }
}
