//! After Grafana's `PromQL` recipe "adaptive": bands around the last hour's mean.
//!
//! Half-width: the larger of two mean standard deviations (of hours, over 26 hours, only of hours
//! that vary by more than half their mean) and half the mean. Bands widen to what the same hour had
//! a day and a week ago. A row counts from five minutes outside. The recipe's `> 0` filter is left
//! out.

use std::collections::VecDeque;

use super::{Peer, rows, to_f32, to_f64};

const HOUR_S: u32 = 3600;

/// The bands, and what they need to remember.
pub(super) struct Bands {
    hour: VecDeque<f64>,
    hour_rows: usize,
    spreads: VecDeque<Option<f64>>,
    spreads_rows: usize,
    spread_sum: f64,
    spread_count: usize,
    /// Lower and upper band of each row, a week back.
    past: VecDeque<(f64, f64)>,
    day_rows: usize,
    week_rows: usize,
    hold_rows: usize,
    outside: usize,
}

impl Bands {
    pub(super) fn new(interval_s: u32) -> Self {
        Self {
            hour: VecDeque::new(),
            hour_rows: rows(HOUR_S, interval_s),
            spreads: VecDeque::new(),
            spreads_rows: rows(26 * HOUR_S, interval_s),
            spread_sum: 0.0,
            spread_count: 0,
            past: VecDeque::new(),
            day_rows: rows(24 * HOUR_S, interval_s),
            week_rows: rows(7 * 24 * HOUR_S, interval_s),
            hold_rows: rows(300, interval_s),
            outside: 0,
        }
    }

    /// Bands out of the rows before this one.
    fn bands(&self) -> Option<(f64, f64)> {
        if self.hour.len() < self.hour_rows {
            return None;
        }
        let mean = self.hour.iter().sum::<f64>() / to_f64(self.hour.len());
        let spread = self.spread_sum / to_f64(self.spread_count.max(1));
        let half = (2.0 * spread).max(0.5 * mean.abs());
        Some((mean - half, mean + half))
    }

    fn learn(&mut self, value: f64) {
        self.hour.push_back(value);
        if self.hour.len() > self.hour_rows {
            self.hour.pop_front();
        }
        let count = to_f64(self.hour.len());
        let mean = self.hour.iter().sum::<f64>() / count;
        let spread = (self
            .hour
            .iter()
            .map(|v| (v - mean) * (v - mean))
            .sum::<f64>()
            / count)
            .sqrt();
        let kept = (spread > 0.5 * mean.abs()).then_some(spread);
        self.spreads.push_back(kept);
        self.spread_sum += kept.unwrap_or(0.0);
        self.spread_count += usize::from(kept.is_some());
        if self.spreads.len() > self.spreads_rows
            && let Some(Some(oldest)) = self.spreads.pop_front()
        {
            self.spread_sum -= oldest;
            self.spread_count -= 1;
        }
    }
}

impl Peer for Bands {
    fn observe(&mut self, _: i64, value: Option<f64>) -> f32 {
        let Some(value) = value else { return 0.0 };
        let mut score = 0.0;
        if let Some((low, high)) = self.bands() {
            let (mut lowest, mut highest) = (low, high);
            for back in [self.day_rows, self.week_rows] {
                let then = self
                    .past
                    .len()
                    .checked_sub(back)
                    .and_then(|at| self.past.get(at));
                if let Some((low, high)) = then {
                    lowest = lowest.min(*low);
                    highest = highest.max(*high);
                }
            }
            let half = ((highest - lowest) / 2.0).max(1e-12);
            let off = (value - f64::midpoint(lowest, highest)).abs() / half;
            self.outside = if off > 1.0 { self.outside + 1 } else { 0 };
            if self.outside == 0 || self.outside >= self.hold_rows {
                score = to_f32(off);
            }
            self.past.push_back((low, high));
            if self.past.len() > self.week_rows {
                self.past.pop_front();
            }
        }
        self.learn(value);
        score
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.hour.capacity() * size_of::<f64>()
            + self.spreads.capacity() * size_of::<Option<f64>>()
            + self.past.capacity() * size_of::<(f64, f64)>()
    }
}
