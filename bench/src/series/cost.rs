//! Nanoseconds a row and bytes a series, over a thousand series in turns as in a daemon.

use std::{hint::black_box, time::Instant};

use hostmedic_reason::detect::series::SeriesDetector;

use super::{
    detector,
    peers::{self, Peer},
};

const SERIES: usize = 1000;
const INTERVAL_S: u32 = 300;
/// Eight days, so that every history of a week is full.
const WARM_ROWS: i64 = 8 * 288;
const ROUNDS: i64 = 200;
const START_S: i64 = 1_700_000_000;

/// Prints one row for each detector.
pub(super) fn print() {
    println!();
    println!("{SERIES} series in turns, median of {ROUNDS} rounds; dev machine, one core:");
    println!();
    println!("| detector | ns a sample | bytes a series |");
    println!("|---|---|---|");
    let mut ours: Vec<SeriesDetector> = (0..SERIES).map(|_| detector(INTERVAL_S)).collect();
    let ns = median_ns(|series, wall_s, value| {
        black_box(ours[series].observe(wall_s, Some(value)));
    });
    // Everything is inside the value; there is no heap behind it.
    println!("| hostmedic | {ns:.0} | {} |", size_of::<SeriesDetector>());
    for kind in &peers::KINDS {
        let mut peers: Vec<Box<dyn Peer>> = (0..SERIES).map(|_| (kind.new)(INTERVAL_S)).collect();
        let ns = median_ns(|series, wall_s, value| {
            black_box(peers[series].observe(wall_s, Some(value)));
        });
        println!("| {} | {ns:.0} | {} |", kind.name, peers[0].bytes());
    }
}

/// Feeds eight days, then times rounds of one row for each series.
fn median_ns(mut observe: impl FnMut(usize, i64, f64)) -> f64 {
    let mut bits: u64 = 1;
    let mut rounds = Vec::new();
    for row in 0..WARM_ROWS + ROUNDS {
        let wall_s = START_S + row * i64::from(INTERVAL_S);
        let values: Vec<f64> = (0..SERIES).map(|_| value(row, &mut bits)).collect();
        let started = Instant::now();
        for (series, value) in values.into_iter().enumerate() {
            observe(series, wall_s, value);
        }
        if row >= WARM_ROWS {
            rounds.push(started.elapsed().as_secs_f64() * 1e9 / 1000.0);
        }
    }
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

/// A day's wave with noise of a fixed sequence (xorshift).
fn value(row: i64, bits: &mut u64) -> f64 {
    *bits ^= *bits << 13;
    *bits ^= *bits >> 7;
    *bits ^= *bits << 17;
    let noise = f64::from(u32::try_from(*bits >> 40).unwrap_or_default()) / f64::from(1 << 24);
    let of_day = f64::from(u32::try_from(row.rem_euclid(288)).unwrap_or_default()) / 288.0;
    (of_day * std::f64::consts::TAU).sin() + noise * noise
}
