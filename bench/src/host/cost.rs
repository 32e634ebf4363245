//! Nanoseconds a metric sample, microseconds a forest's answer, bytes a metric.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use hostmedic_reason::detect::host::{HostDetector, forest::Forest};

const INTERVAL_S: i64 = 60;
const DAY_ROWS: i64 = 1440;
/// Rows before the clock starts: enough for a spread, and for the forest to grow.
const WARM_ROWS: i64 = 3 * DAY_ROWS;
const TIMED_ROWS: i64 = 300;
/// Metrics of the host that the forest is timed on, and views of each.
const FOREST_METRICS: usize = 50;
const FOREST_VIEWS: usize = 3;

/// Prints the table.
pub(super) fn print() {
    println!();
    println!("Synthetic rows, median of {TIMED_ROWS}; dev machine, one core:");
    println!();
    println!("| metrics | ns a metric sample | bytes a metric, all included |");
    println!("|---|---|---|");
    for metrics in [FOREST_METRICS, 1000] {
        let (ns, bytes) = host(metrics);
        println!("| {metrics} | {ns:.0} | {bytes} |");
    }
    println!();
    println!(
        "forest of 100 trees, {FOREST_METRICS} metrics x {FOREST_VIEWS} views: {:.1} us a row",
        forest() / 1000.0
    );
}

fn host(metrics: usize) -> (f64, usize) {
    let interval = Duration::from_secs(INTERVAL_S.unsigned_abs());
    let mut detector = HostDetector::new(metrics, interval);
    let mut noise = Noise(1);
    let mut rows = Vec::new();
    for row in 0..WARM_ROWS + TIMED_ROWS {
        let values: Vec<Option<f64>> = (0..metrics).map(|_| Some(noise.next())).collect();
        let started = Instant::now();
        black_box(detector.observe(row * INTERVAL_S, &values));
        if row >= WARM_ROWS {
            rows.push(started.elapsed());
        }
    }
    let count = u32::try_from(metrics).unwrap_or(1);
    (
        median_ns(rows) / f64::from(count),
        detector.size_bytes() / metrics,
    )
}

fn forest() -> f64 {
    let features = FOREST_METRICS * FOREST_VIEWS;
    let mut forest = Forest::new(u32::try_from(DAY_ROWS).unwrap_or(1));
    forest.widen(features);
    let mut noise = Noise(1);
    let mut rows = Vec::new();
    for row in 0..WARM_ROWS + TIMED_ROWS {
        let values: Vec<i8> = (0..features).map(|_| noise.byte()).collect();
        let started = Instant::now();
        black_box(forest.score(&values));
        if row >= WARM_ROWS {
            rows.push(started.elapsed());
        }
        forest.learn(&values);
    }
    median_ns(rows)
}

fn median_ns(mut rows: Vec<Duration>) -> f64 {
    rows.sort_unstable();
    rows[rows.len() / 2].as_secs_f64() * 1e9
}

/// A fixed sequence (xorshift) with rare large values.
struct Noise(u64);

impl Noise {
    fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 40).unwrap_or(0)
    }

    fn next(&mut self) -> f64 {
        let share = f64::from(self.bits()) / f64::from(1 << 24);
        share / (1.001 - share)
    }

    fn byte(&mut self) -> i8 {
        let bits = u8::try_from(self.bits() >> 16).unwrap_or(0);
        bits.cast_signed() / 8
    }
}
