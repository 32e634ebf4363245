//! What the series detector promises: causality, bounds, gaps, clocks, and the rule people know.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

const START_S: i64 = 1_700_000_000;
const STEP_S: i64 = 300;

fn detector() -> SeriesDetector {
    SeriesDetector::new(Duration::from_secs(300))
}

/// A day's wave and noise of a fixed sequence.
fn calm(row: i64) -> f64 {
    let mut bits = row.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^= bits >> 32;
    let noise = f64::from(u16::try_from(bits >> 48).unwrap()) / 65_536.0;
    let of_day = f64::from(i32::try_from(row.rem_euclid(288)).unwrap()) / 288.0;
    50.0 + 20.0 * (of_day * std::f64::consts::TAU).sin() + 5.0 * noise
}

fn at(row: i64) -> i64 {
    START_S + row * STEP_S
}

/// Feeds rows `from..to` of the calm series; how often it notified.
fn feed(detector: &mut SeriesDetector, from: i64, to: i64) -> usize {
    (from..to)
        .filter(|row| detector.observe(at(*row), Some(calm(*row))).notify)
        .count()
}

#[test]
fn state_is_within_four_kibibytes() {
    assert!(size_of::<SeriesDetector>() <= 4096);
}

#[test]
fn a_spike_is_notified_once() {
    let mut detector = detector();
    feed(&mut detector, 0, 3000);
    let spike = detector.observe(at(3000), Some(400.0));
    assert!(spike.notify, "{spike:?}");
    assert_eq!(spike.severity, Some(Severity::Critical));
    assert!((spike.confidence() - 1.0).abs() < f64::EPSILON);
    assert!(!detector.observe(at(3001), Some(400.0)).notify);
    assert_eq!(feed(&mut detector, 3002, 3200), 0);
}

#[test]
fn a_daily_wave_is_calm_and_its_absence_is_not() {
    let mut detector = detector();
    feed(&mut detector, 0, 288 * 3);
    assert!(feed(&mut detector, 288 * 3, 288 * 14) <= 2);
    let notified = (288 * 14..288 * 15)
        .filter(|row| detector.observe(at(*row), Some(50.0)).notify)
        .count();
    assert!((1..=3).contains(&notified), "{notified}");
}

#[test]
fn a_series_that_never_moved_does_not_divide_by_zero() {
    let mut detector = detector();
    for row in 0..2000 {
        let score = detector.observe(at(row), Some(7.5));
        assert!(!score.notify && score.sigma == 0.0 && score.anomaly.is_finite());
    }
    let moved = detector.observe(at(2000), Some(7.6));
    assert!(moved.notify && moved.sigma.is_finite(), "{moved:?}");
}

#[test]
fn gaps_score_nothing_and_teach_nothing() {
    let mut with_gaps = detector();
    let mut without = detector();
    for row in 0..1000 {
        for gap in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(with_gaps.observe(at(row), gap), Score::default());
        }
        let value = Some(calm(row));
        assert_eq!(
            with_gaps.observe(at(row), value),
            without.observe(at(row), value)
        );
    }
    assert_eq!(with_gaps, without);
}

#[test]
fn one_row_says_nothing() {
    let score = detector().observe(START_S, Some(1e300));
    assert!(!score.notify && score.severity.is_none());
}

#[test]
fn a_week_without_rows_is_no_anomaly() {
    let mut detector = detector();
    feed(&mut detector, 0, 3000);
    assert_eq!(feed(&mut detector, 3000 + 7 * 288, 3000 + 8 * 288), 0);
}

#[test]
fn a_clock_that_jumps_changes_no_calm() {
    let mut detector = detector();
    feed(&mut detector, 0, 3000);
    let mut notified = 0;
    for (row, back_s) in (3000..3600).zip([0, 1, 300, 3600].into_iter().cycle()) {
        notified += usize::from(detector.observe(at(row) - back_s, Some(calm(row))).notify);
    }
    for wall_s in [i64::MIN, i64::MAX, 0, -1, START_S] {
        detector.observe(wall_s, Some(50.0));
    }
    assert!(notified <= 1, "{notified}");
}

#[test]
fn another_interval_is_followed() {
    let mut detector = detector();
    feed(&mut detector, 0, 3000);
    let rows = (3000..9000).step_by(6);
    let notified = rows
        .filter(|row| detector.observe(at(*row), Some(calm(*row))).notify)
        .count();
    assert!(notified <= 1, "{notified}");
    assert!(detector.observe(at(9000), Some(400.0)).notify);
}

#[test]
fn a_counter_that_starts_anew_is_said_once() {
    let mut detector = detector();
    let mut notified = Vec::new();
    for row in 0..3000_i64 {
        let value = f64::from(i32::try_from(row % 2000).unwrap()) * 10.0;
        if detector.observe(at(row), Some(value)).notify {
            notified.push(row);
        }
    }
    assert!(notified.contains(&2000), "{notified:?}");
    assert!(notified.len() <= 4, "{notified:?}");
}

#[test]
fn units_and_offsets_do_not_matter() {
    for (factor, offset) in [(1024.0, 0.0), (1e-6, 0.0), (1e9, 0.0), (1.0, 1000.0)] {
        let (mut here, mut there) = (detector(), detector());
        for row in 0..3000 {
            let value = if row % 700 == 699 { 200.0 } else { calm(row) };
            let a = here.observe(at(row), Some(value)).anomaly;
            let b = there
                .observe(at(row), Some(value * factor + offset))
                .anomaly;
            assert!((a - b).abs() < 0.05, "{row} x {factor} + {offset}: {a} {b}");
        }
    }
}

#[test]
fn sensitivities_follow_the_founding_limits() {
    let limits = [Sensitivity::Low, Sensitivity::Medium, Sensitivity::High];
    assert_eq!(limits.map(Sensitivity::sigma_min), [5.0, 3.0, 2.0]);
}

/// A row as the outside can send it: any time, any value or none.
fn row() -> impl Strategy<Value = (i64, Option<f64>)> {
    let step_s = prop_oneof![
        8 => Just(300_i64),
        1 => 0..100_000_i64,
        1 => -100_000..0_i64,
        1 => any::<i64>(),
    ];
    let value = prop_oneof![
        6 => (0.0..100.0_f64).prop_map(Some),
        1 => any::<f64>().prop_map(Some),
        1 => Just(Some(1e300)),
        1 => Just(Some(-1e300)),
        1 => Just(None),
    ];
    (step_s, value)
}

proptest! {
    /// Whatever comes: scores stay in bounds, a replay is the same to the last bit, a file cut at
    /// any row has the same scores before it, and a copy written and read there goes on the same.
    #[test]
    fn bounded_causal_and_repeatable(
        steps in prop::collection::vec(row(), 1..400),
        cut in 0..400_usize,
    ) {
        let mut wall_s = START_S;
        let rows: Vec<_> = steps
            .into_iter()
            .map(|(step_s, value)| {
                wall_s = wall_s.wrapping_add(step_s);
                (wall_s, value)
            })
            .collect();
        let cut = cut.min(rows.len());
        let run = |detector: &mut SeriesDetector, rows: &[(i64, Option<f64>)]| -> Vec<Score> {
            rows.iter().map(|(wall_s, value)| detector.observe(*wall_s, *value)).collect()
        };
        let whole = run(&mut detector(), &rows);
        for score in &whole {
            prop_assert!((0.0..=1.0).contains(&score.anomaly), "{score:?}");
            prop_assert!(score.sigma >= 0.0 && score.sigma.is_finite());
            prop_assert!(score.views.iter().all(|points| points.is_finite()));
        }
        let mut first = detector();
        prop_assert_eq!(&run(&mut first, &rows[..cut]), &whole[..cut]);
        let text = serde_json::to_string(&first).unwrap();
        let mut copy: SeriesDetector = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&copy, &first);
        prop_assert_eq!(&run(&mut copy, &rows[cut..]), &whole[cut..]);
    }
}
