//! What must hold of the host detector on any rows at all.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// Ten minutes between rows: a day is 144 rows, so that tests see weeks.
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// A day's wave and a little noise, other for each metric.
fn calm(row: u32, metric: u32) -> f64 {
    let hour = f64::from(row % 144) / 144.0 * std::f64::consts::TAU;
    let noise = row.wrapping_mul(2_654_435_761).wrapping_add(metric * 97) >> 7;
    let noise = noise.wrapping_mul(2_246_822_519) >> 16;
    10.0 + hour.sin() + f64::from(noise % 1000) / 1000.0
}

fn calm_row(row: u32) -> Vec<Option<f64>> {
    (0..8).map(|metric| Some(calm(row, metric))).collect()
}

/// A host that has been calm for `rows` rows.
fn after(rows: u32) -> HostDetector {
    let mut detector = HostDetector::new(8, TEN_MINUTES);
    for row in 0..rows {
        detector.observe(i64::from(row) * 600, &calm_row(row));
    }
    detector
}

/// Scores of `rows`, one a minute.
fn scores(detector: &mut HostDetector, rows: &[Vec<Option<f64>>]) -> Vec<HostScore> {
    let rows = (0..).step_by(60).zip(rows);
    rows.map(|(wall_s, row)| detector.observe(wall_s, row))
        .collect()
}

#[test]
fn a_host_that_leaves_itself_is_told_once_and_the_metrics_are_named() {
    let mut detector = after(3000);
    let mut notified = 0;
    for row in 3000..3006 {
        let mut values = calm_row(row);
        for value in &mut values[2..6] {
            *value = value.map(|value| value + 20.0);
        }
        let score = detector.observe(i64::from(row) * 600, &values);
        if score.notify {
            assert!(score.anomaly >= NOTIFY_AT);
            let blamed = detector.blame(4);
            assert!(blamed.iter().all(|blame| (2..6).contains(&blame.metric)));
            notified += 1;
        }
    }
    assert_eq!(notified, 1);
}

/// Both metrics leave themselves in the same rows, as far by their own noise, but one of them has
/// been much further in the month before.
#[test]
fn of_those_that_move_together_the_furthest_in_its_range_is_named() {
    let mut detector = HostDetector::new(8, TEN_MINUTES);
    for row in 0..3000 {
        let mut values = calm_row(row);
        if row == 1800 {
            values[2] = Some(500.0);
        }
        detector.observe(i64::from(row) * 600, &values);
    }
    for row in 3000..3003 {
        let mut values = calm_row(row);
        for value in [2, 5] {
            values[value] = Some(60.0);
        }
        detector.observe(i64::from(row) * 600, &values);
        let blamed: Vec<usize> = detector.blame(2).iter().map(|blame| blame.metric).collect();
        assert_eq!(blamed, [5, 2], "row {row}");
    }
}

/// Rows a minute apart: one that jumps, one that comes back, and then nothing but noise.
#[test]
fn a_row_late_in_an_event_says_how_it_began() {
    let mut detector = HostDetector::new(8, MINUTE);
    let mut evidence = Vec::new();
    for row in 0..4380 {
        let mut values: Vec<_> = (0..8).map(|metric| Some(calm(row, metric))).collect();
        if row == 4320 {
            values[6] = Some(50.0);
        }
        detector.observe(i64::from(row) * 60, &values);
        let first = detector.blame(1);
        if (4320..4340).contains(&row) {
            assert_eq!(first[0].metric, 6, "row {row}");
            evidence.push(first[0].evidence);
        }
    }
    assert!(evidence[1..].is_sorted_by(|one, other| one > other));
    assert!(detector.metrics[6].blame() < 0.05 * evidence[1]);
}

#[test]
fn the_first_day_accuses_nobody() {
    let mut detector = after(100);
    let score = detector.observe(60_000, &[Some(1e9); 8]);
    assert!(score.anomaly < 0.01 && !score.notify, "{score:?}");
}

#[test]
fn metrics_that_never_move_divide_by_nothing() {
    let mut detector = HostDetector::new(3, TEN_MINUTES);
    for row in 0..1000 {
        let score = detector.observe(row * 600, &[Some(0.0), Some(1e300), Some(-7.0)]);
        assert!(score.anomaly < 0.01, "{row} {score:?}");
    }
    let score = detector.observe(600_000, &[Some(1.0), Some(-1e300), Some(-8.0)]);
    assert!(score.anomaly.is_finite() && score.notify, "{score:?}");
}

#[test]
fn a_gap_is_not_zero() {
    let mut detector = after(3000);
    let score = detector.observe(1_800_000, &[None; 8]);
    assert!(score.anomaly < 0.01, "{score:?}");
    let score = detector.observe(1_800_600, &[Some(f64::NAN), Some(f64::INFINITY)]);
    assert!(score.anomaly < 0.01, "{score:?}");
    assert!(detector.blame(8).is_empty());
}

#[test]
fn a_week_of_silence_and_clock_steps_are_no_anomaly() {
    for step_s in [7 * 86_400, -3600, -400 * 86_400, i64::MIN / 2, i64::MAX / 2] {
        let mut detector = after(3000);
        // The hour of the day is another one after the step; the level decides.
        let score = detector.observe(1_800_000_i64.saturating_add(step_s), &calm_row(3000));
        assert!(score.anomaly < NOTIFY_AT, "{step_s} {score:?}");
    }
}

#[test]
fn metrics_may_come_later_and_go() {
    let mut detector = after(3000);
    for row in 3000..4000 {
        let mut values = calm_row(row);
        values.push(Some(5.0));
        detector.observe(i64::from(row) * 600, &values);
    }
    let score = detector.observe(2_400_000, &calm_row(4000)[..4]);
    assert!(score.anomaly < NOTIFY_AT, "{score:?}");
    let flood = vec![Some(1.0); METRICS_MAX + 1];
    HostDetector::new(0, MINUTE).observe(0, &flood);
}

/// `rows` of eight metrics, some of them off for a while, and `constant` ones that never move.
fn padded(rows: u32, constant: usize) -> Vec<HostScore> {
    let mut detector = HostDetector::new(8 + constant, TEN_MINUTES);
    let observe = |row: u32| {
        let mut values = calm_row(row);
        if row % 500 < 3 {
            values[3] = values[3].map(|value| value + 9.0);
            values[5] = values[5].map(|value| value - f64::from(row % 7));
        }
        values.resize(8 + constant, Some(4.0));
        detector.observe(i64::from(row) * 600, &values)
    };
    (0..rows).map(observe).collect()
}

/// How many metrics are counted among the worst must depend on those that move alone, and so must
/// the forest's cuts.
#[test]
fn metrics_that_stand_still_change_no_score() {
    let bare = padded(3000, 0);
    assert!(bare.iter().any(|score| score.notify));
    for (row, (bare, padded)) in bare.iter().zip(padded(3000, 24)).enumerate() {
        assert_eq!(*bare, padded, "row {row}");
    }
}

/// Every metric creeps up by a quarter of its noise a row: no row is unusual by its change.
#[test]
fn a_level_that_stays_off_is_found_without_a_jump() {
    let mut detector = after(3000);
    let mut notified = false;
    for row in 3000..3030_u32 {
        let crept = 0.25 * f64::from(row - 3000);
        let mut values = calm_row(row);
        for value in &mut values {
            *value = value.map(|value| value + crept);
        }
        let score = detector.observe(i64::from(row) * 600, &values);
        assert!(RESTLESS.score(detector.smooth[0]) < THRESHOLD, "row {row}");
        if score.notify {
            assert!(!detector.blame(8).is_empty());
            notified = true;
        }
    }
    assert!(notified && SHIFTED.score(detector.smooth[1]) >= THRESHOLD);
}

#[test]
fn a_gap_is_no_time_in_which_a_level_lasted() {
    for (gap_s, shifted) in [
        (600, true),
        (3600, true),
        (30 * 86_400, false),
        (-3600, true),
    ] {
        let mut detector = after(3000);
        let before = detector.smooth[1];
        let values: Vec<_> = (0..8).map(|_| Some(30.0)).collect();
        detector.observe(2999 * 600 + gap_s, &values);
        // What was usual a month ago is not recent; the level itself tells then.
        let seen = detector.evidence[0].shift > 3.0;
        assert_eq!(seen, shifted, "{gap_s} {:?}", detector.evidence[0]);
        // One row moves it as far as one row can, however long nobody looked.
        let most = weight(600.0, SMOOTH_S) * (1.4 - before);
        let moved = detector.smooth[1] - before;
        assert!(moved.is_finite() && moved < most, "{gap_s} {moved} {most}");
        for row in 0..20 {
            detector.observe(2999 * 600 + gap_s + 600 * (row + 1), &[None; 8]);
        }
        assert!((detector.smooth[1] - FLOOR.log10()).abs() < 0.01, "{gap_s}");
    }
}

#[test]
fn no_row_and_no_metric_is_fine() {
    let mut detector = HostDetector::new(0, Duration::ZERO);
    assert!(detector.blame(3).is_empty());
    assert!(detector.observe(0, &[]).anomaly.is_finite());
    let mut detector = HostDetector::new(1, Duration::MAX);
    assert!(detector.observe(0, &[Some(1.0)]).anomaly.is_finite());
}

/// Cuts a stream at several rows: what was scored before must not depend on what follows.
#[test]
fn nothing_looks_ahead() {
    let rows: Vec<_> = (0..6000)
        .map(|row| {
            let mut values = calm_row(row);
            values[0] = Some(f64::from(row % 1000 / 990) * 50.0 + calm(row, 0));
            values
        })
        .collect();
    let whole = scores(&mut HostDetector::new(8, TEN_MINUTES), &rows);
    for cut in [1, 700, 2891, 5999] {
        let part = scores(&mut HostDetector::new(8, TEN_MINUTES), &rows[..cut]);
        assert_eq!(part, whole[..cut], "cut at {cut}");
    }
}

/// The forest has grown by row 3000, so its state is in the copy too.
#[test]
fn a_detector_read_back_goes_on_bit_for_bit() {
    let mut detector = after(3000);
    let text = serde_json::to_string(&detector).unwrap();
    let mut copy: HostDetector = serde_json::from_str(&text).unwrap();
    for row in 3000..4000 {
        let wall_s = i64::from(row) * 600;
        let mut values = calm_row(row);
        if (3100..3110).contains(&row) {
            values[0] = Some(40.0);
        }
        assert_eq!(
            detector.observe(wall_s, &values),
            copy.observe(wall_s, &values)
        );
        assert_eq!(detector.blame(8), copy.blame(8));
    }
    assert_eq!(
        serde_json::to_string(&detector).unwrap(),
        serde_json::to_string(&copy).unwrap()
    );
}

/// The daemon's earlier states know neither ranges nor blame.
#[test]
fn a_state_without_ranges_and_blame_goes_on_with_the_same_scores() {
    let mut detector = after(3000);
    let mut state = serde_json::to_value(&detector).unwrap();
    for metric in state["metrics"].as_array_mut().unwrap() {
        assert!(metric.as_object_mut().unwrap().remove("blame").is_some());
        let window = metric["window"].as_object_mut().unwrap();
        assert!(window.remove("extremes").is_some());
    }
    let mut older: HostDetector = serde_json::from_value(state).unwrap();
    for row in 3000..3010 {
        let mut values = calm_row(row);
        values[3] = Some(40.0);
        let wall_s = i64::from(row) * 600;
        let score = older.observe(wall_s, &values);
        assert_eq!(score, detector.observe(wall_s, &values), "row {row}");
        assert_eq!(older.blame(1)[0].metric, 3, "row {row}");
    }
}

#[test]
fn state_stays_within_its_bounds() {
    let detector = after(6000);
    let per_metric = (detector.size_bytes() - 82_000) / 8;
    assert!(per_metric < 4096, "{per_metric}");
}

fn any_value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        4 => (-100.0..100.0_f64).prop_map(Some),
        1 => any::<f64>().prop_map(Some),
        1 => Just(None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any numbers, any clock: scores stay in 0..=1, and a second run says the same.
    #[test]
    fn any_rows_are_judged_alike_twice(
        rows in prop::collection::vec(
            (any::<i64>(), prop::collection::vec(any_value(), 0..6)), 1..400),
    ) {
        let run = || {
            let mut detector = HostDetector::new(2, Duration::from_secs(3600));
            rows.iter()
                .map(|(wall_s, values)| detector.observe(*wall_s, values))
                .collect::<Vec<_>>()
        };
        let first = run();
        for score in &first {
            prop_assert!((0.0..=1.0).contains(&score.anomaly), "{score:?}");
            prop_assert!(score.mean_square_rank >= 0.0 && score.forest_rank >= 0.0);
        }
        prop_assert_eq!(first, run());
    }
}

/// Every metric is `by` off in the rows from 3000 on; the scores.
fn off(by: f64, rows: u32) -> Vec<HostScore> {
    let mut detector = after(3000);
    (3000..3000 + rows)
        .map(|row| {
            let values: Vec<_> = calm_row(row)
                .into_iter()
                .map(|value| value.map(|value| value + by))
                .collect();
            detector.observe(i64::from(row) * 600, &values)
        })
        .collect()
}

#[test]
fn what_lasts_weighs_more_than_a_jump_of_one_row() {
    let jump = off(20.0, 1)[0];
    let lasting = off(3.0, 6);
    assert!(jump.notify && lasting[0].anomaly < NOTIFY_AT, "{jump:?}");
    assert!(
        lasting[5].anomaly > jump.anomaly + 0.1,
        "{jump:?} {lasting:?}"
    );
}

#[test]
fn a_state_of_a_version_that_knew_no_lasting_is_read() {
    let mut state = serde_json::to_value(after(300)).unwrap();
    assert!(state.as_object_mut().unwrap().remove("lasting").is_some());
    let mut detector: HostDetector = serde_json::from_value(state).unwrap();
    assert!(detector.is_sound(8));
    detector.observe(300 * 600, &calm_row(300));
    assert!(detector.is_sound(8));
}
