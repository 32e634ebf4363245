//! The baseline against the plain formula, and what it promises at every edge.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

const CPU: Measure = Measure::CpuBusyRatio;
const STEP_S: f32 = 30.0;
const WEEK_ROWS: usize = 20_160;
const START_MS: i64 = 472_000 * HOUR_MS;

fn at(row: usize) -> i64 {
    START_MS + i64::try_from(row).unwrap() * 30_000
}

/// Noise of a fixed sequence, 0 to 1.
fn noise(row: usize) -> f64 {
    let mut bits = (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    f64::from(u16::try_from(bits >> 48).unwrap()) / 65_536.0
}

fn learned(values: impl IntoIterator<Item = f64>) -> Baseline {
    let mut baseline = Baseline::default();
    for (row, value) in values.into_iter().enumerate() {
        baseline.learn(at(row), STEP_S, value, CPU);
    }
    baseline
}

/// The founding formula, plainly: mean and standard deviation of the last 20,160 samples, once
/// those beyond three standard deviations are taken out.
fn founding(values: &[f64]) -> (f64, f64) {
    let newest = &values[values.len().saturating_sub(WEEK_ROWS)..];
    let moments = |values: &[f64]| {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        (mean, (squares.sum::<f64>() / count).sqrt())
    };
    let (mean, spread) = moments(newest);
    let kept: Vec<f64> = newest
        .iter()
        .copied()
        .filter(|value| (value - mean).abs() <= 3.0 * spread)
        .collect();
    moments(&kept)
}

/// Within a twentieth of a spread, and the spread within a twelfth.
fn assert_founding(values: &[f64]) {
    let (mean, spread) = founding(values);
    let normal = learned(values.iter().copied()).normal(CPU).unwrap();
    let floor = floor(CPU, mean);
    assert!(
        (normal.mean - mean).abs() <= 0.05 * spread.max(floor),
        "{normal:?}, founding {mean} ± {spread}"
    );
    let spread = spread.max(floor);
    assert!(
        (normal.spread / spread - 1.0).abs() <= 0.08,
        "{normal:?}, founding {mean} ± {spread}"
    );
}

#[test]
fn ninety_eight_is_6_63_spreads_from_42_3() {
    let normal = Normal {
        mean: 42.3,
        spread: 8.4,
    };
    let deviation = normal.deviation(98.0);
    assert!((deviation - 6.63).abs() < 0.005, "{deviation}");
    let severity = crate::detect::severity(deviation);
    assert_eq!(severity, Some(hostmedic_model::anomaly::Severity::Critical));
}

#[test]
fn as_the_founding_formula_says_over_ten_days_with_spikes() {
    let wave = |row: usize| (row as f64 * std::f64::consts::TAU / 2880.0).sin();
    let values: Vec<f64> = (0..WEEK_ROWS * 10 / 7)
        .map(|row| {
            let spike = if row % 1501 == 1500 { 0.5 } else { 0.0 };
            0.3 + 0.08 * wave(row) + 0.1 * noise(row) + spike
        })
        .collect();
    assert_founding(&values);
    assert_founding(&values[..WEEK_ROWS / 2]);
}

#[test]
fn a_week_old_level_is_forgotten() {
    let values: Vec<f64> = (0..WEEK_ROWS * 2 + 2880)
        .map(|row| (if row < WEEK_ROWS { 0.2 } else { 0.5 }) + 0.1 * noise(row))
        .collect();
    assert_founding(&values);
    let month = learned(values).month(CPU);
    assert!((month.mean - 0.41).abs() < 0.02, "{month:?}");
    assert!((month.spread - 0.15).abs() < 0.02, "{month:?}");
}

#[test]
fn nothing_and_one_sample_accuse_nobody() {
    let empty = Baseline::default();
    assert_eq!(empty.normal(CPU), None);
    assert_eq!(empty.warmth(), Warmth::Cold);
    assert_eq!(empty.percentile(0.5), None);
    let one = learned([0.7]);
    assert_eq!(one.normal(CPU), None);
    assert!(matches!(one.warmth(), Warmth::Warming { share } if share < 0.01));
    assert!((one.rough(CPU).mean - 0.7).abs() < 1e-6);
    assert_eq!(learned(vec![0.7; 240]).warmth(), Warmth::Warm);
}

#[test]
fn a_series_that_never_moved_has_a_spread() {
    let normal = learned(vec![0.0; 500]).normal(CPU).unwrap();
    assert_eq!(
        normal,
        Normal {
            mean: 0.0,
            spread: 0.02
        }
    );
}

#[test]
fn outliers_are_not_learned_but_a_new_level_is() {
    let mut baseline = learned(vec![0.2; 500]);
    for row in 500..510 {
        baseline.learn(at(row), STEP_S, 0.9, CPU);
    }
    assert!((baseline.normal(CPU).unwrap().mean - 0.2).abs() < 1e-6);
    assert_eq!(baseline.learned(), 500);
    for row in 510..3000 {
        baseline.learn(at(row), STEP_S, 0.9, CPU);
    }
    assert!(baseline.normal(CPU).unwrap().mean > 0.7);
}

#[test]
fn a_new_level_is_usual_after_a_tenth_of_the_week() {
    let mut baseline = learned((0..WEEK_ROWS).map(|row| 0.2 + 0.05 * noise(row)));
    let rows_to_usual = (0..WEEK_ROWS).find(|row| {
        baseline.learn(at(WEEK_ROWS + row), STEP_S, 0.6, CPU);
        baseline.normal(CPU).unwrap().deviation(0.6) < 3.0
    });
    let hours = rows_to_usual.unwrap() / 120;
    assert!((15..=20).contains(&hours), "{hours} hours");
}

#[test]
fn a_gap_of_a_week_forgets_the_week_but_not_the_month() {
    let mut baseline = learned((0..WEEK_ROWS).map(|row| 0.4 + 0.1 * noise(row)));
    let gap = WEEK_ROWS + WEEK_ROWS;
    for row in gap..gap + 300 {
        baseline.learn(at(row), STEP_S, 0.45, CPU);
    }
    assert!((baseline.normal(CPU).unwrap().mean - 0.45).abs() < 1e-3);
    assert!(baseline.hour_of_week(at(gap + 600)).is_none());
    let month = baseline.month(CPU);
    assert!(month.spread > 0.02 && (month.mean - 0.45).abs() < 0.01);
}

#[test]
fn clocks_may_jump_anywhere() {
    let mut baseline = learned((0..3000).map(|row| 0.4 + 0.1 * noise(row)));
    for wall_ms in [
        0,
        i64::MIN,
        at(3000),
        at(3000) - 7_200_000,
        i64::MAX,
        at(3001),
    ] {
        baseline.learn(wall_ms, STEP_S, 0.45, CPU);
        let normal = baseline.rough(CPU);
        assert!(normal.mean.is_finite() && normal.spread > 0.0);
        assert!(baseline.month(CPU).mean.is_finite());
    }
    // Back within the running hour: nothing is closed twice.
    let mut still = learned(vec![0.4; 300]);
    let closed = still.closed;
    still.learn(at(290), STEP_S, 0.4, CPU);
    assert_eq!(still.closed, closed);
}

#[test]
fn the_hour_of_the_week_is_known_a_week_later() {
    let hour_of = |row: usize| (row / 120) % 168;
    let baseline = learned((0..WEEK_ROWS).map(|row| {
        let busy = hour_of(row) == 50;
        (if busy { 0.4 } else { 0.3 }) + 0.2 * noise(row)
    }));
    let busy = baseline
        .hour_of_week(at(WEEK_ROWS + 50 * 120 + 10))
        .unwrap();
    let calm = baseline
        .hour_of_week(at(WEEK_ROWS + 51 * 120 + 10))
        .unwrap();
    assert!((busy - 0.5).abs() < 0.02, "{busy}");
    assert!((calm - 0.4).abs() < 0.02, "{calm}");
}

#[test]
fn fifteen_minutes_are_smooth() {
    let mut baseline = learned(vec![0.2; 400]);
    for row in 400..430 {
        baseline.learn(at(row), STEP_S, 0.8, CPU);
    }
    // 1 - 1/e of the way.
    assert!(
        (baseline.smooth() - 0.58).abs() < 0.02,
        "{}",
        baseline.smooth()
    );
}

#[test]
fn percentiles_are_of_the_values() {
    let baseline = learned((0..WEEK_ROWS).map(noise));
    for (share, value) in [(0.5, 0.5), (0.95, 0.95), (0.99, 0.99)] {
        let found = baseline.percentile(share).unwrap();
        assert!((found / value - 1.0_f64).abs() < 0.07, "{share}: {found}");
    }
}

#[test]
fn bounded_in_size() {
    assert!(size_of::<Baseline>() <= 680, "{}", size_of::<Baseline>());
}

/// Finite values as the outside sends them, some of them wild.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => 0.0..1.0_f64,
        1 => prop::num::f64::NORMAL,
        1 => Just(0.0),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The rolling baseline says what the founding formula says, for any calm series.
    #[test]
    fn rolling_equals_batch(
        mean in 0.2..0.6_f64,
        noise in prop::collection::vec(-1.0..1.0_f64, 700..1500),
        width in 0.05..0.15_f64,
    ) {
        // From the first whole hour on; a part of an hour weighs as a whole one.
        let rows = noise.len() / 120 * 120;
        let values: Vec<f64> = noise[..rows].iter().map(|noise| mean + width * noise).collect();
        assert_founding(&values);
    }

    /// Whatever comes, in whatever order of time: numbers stay numbers, a copy read back is the
    /// same, and goes on the same.
    #[test]
    fn bounded_and_kept(
        rows in prop::collection::vec((any::<i64>(), 0.0..1e6_f32, value()), 0..300),
        cut in 0..300_usize,
    ) {
        let mut baseline = Baseline::default();
        let mut copy = Baseline::default();
        for (row, (wall_ms, step_s, value)) in rows.into_iter().enumerate() {
            if row == cut {
                let text = serde_json::to_string(&baseline).unwrap();
                copy = serde_json::from_str(&text).unwrap();
            }
            baseline.learn(wall_ms % (1 << 42), step_s, value, CPU);
            if row >= cut {
                copy.learn(wall_ms % (1 << 42), step_s, value, CPU);
                prop_assert_eq!(
                    serde_json::to_string(&copy).unwrap(),
                    serde_json::to_string(&baseline).unwrap()
                );
            }
        }
        prop_assert!(baseline.is_sound());
        let (week, month) = (baseline.rough(CPU), baseline.month(CPU));
        prop_assert!(week.mean.is_finite() && week.spread > 0.0, "{week:?}");
        prop_assert!(month.mean.is_finite() && month.spread > 0.0, "{month:?}");
    }

    /// Two baselines merged are the baseline of all samples, wherever they are parted.
    #[test]
    fn merge_is_fold(
        values in prop::collection::vec(0.3..0.5_f64, 500..1500),
        cut in 0.0..1.0_f64,
    ) {
        let cut = (cut * values.len() as f64) as usize;
        let whole = learned(values.iter().copied());
        let (mut one, mut two) = (Baseline::default(), Baseline::default());
        for (row, value) in values.iter().enumerate() {
            let part = if row < cut { &mut one } else { &mut two };
            part.learn(at(row), STEP_S, *value, CPU);
        }
        one.merge(&two);
        prop_assert_eq!(one.learned(), whole.learned());
        prop_assert_eq!(one.percentile(0.95), whole.percentile(0.95));
        prop_assert_eq!(&one.peaks, &whole.peaks);
        let (merged, folded) = (one.rough(CPU), whole.rough(CPU));
        // The hour of the cut has two halves, each of which weighs as an hour.
        prop_assert!((merged.mean - folded.mean).abs() < 0.03, "{merged:?} {folded:?}");
        prop_assert!((merged.spread / folded.spread - 1.0).abs() < 0.25, "{merged:?} {folded:?}");
    }
}
