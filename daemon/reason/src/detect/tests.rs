//! The loop's judgement as a whole, by wakes into [`State::apply`].

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::{
    loss::QueueCounters,
    sample::Measure,
    time::{At, BootId},
    wake::{Effect, Wake},
};
use proptest::prelude::*;

use super::*;
use crate::{
    detect::limits::Role,
    pipeline::State,
    policy::{Policy, RoleOf},
};

const HOUR: u64 = 120;
const DAY: u64 = 24 * HOUR;
const CPU: Measure = Measure::CpuBusyRatio;

fn state() -> State {
    state_with(Policy::default())
}

fn state_with(policy: Policy) -> State {
    let mut state = State::new("host-1".into(), BootId("boot-1".into()), policy, Vec::new());
    state.apply(at(0), Wake::Tick);
    state
}

/// Rows of 30 s from a midnight on.
fn at(row: u64) -> At {
    At {
        boot_ns: (row + 1) * 30_000_000_000,
        wall_ms: 20_000 * 86_400_000 + i64::try_from(row).unwrap() * 30_000,
    }
}

fn sample(at: At, measure: Measure, value: f64) -> Sample {
    let subject = match measure {
        Measure::DiskUsedRatio | Measure::JournalShareRatio => Subject::Mount("/srv".into()),
        Measure::UnitAnonBytes => Subject::Unit("app.service".to_owned().try_into().unwrap()),
        _ => Subject::Host,
    };
    Sample {
        at,
        series: Series { subject, measure },
        value,
    }
}

/// Feeds one sample; the anomalies it raised.
fn feed(state: &mut State, row: u64, measure: Measure, value: f64) -> Vec<Anomaly> {
    let before = state.anomalies().cloned().collect::<Vec<_>>();
    let samples = vec![sample(at(row), measure, value)];
    state.apply(at(row), Wake::Samples(samples));
    let new = state
        .anomalies()
        .filter(|anomaly| !before.contains(anomaly));
    new.cloned().collect()
}

/// Noise of a fixed sequence, 0 to 1.
fn noise(row: u64) -> f64 {
    let mut bits = row.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    f64::from(u16::try_from(bits >> 48).unwrap()) / 65_536.0
}

/// A disk at 45 %, which a backup fills to 92 % each night from 2:00 to 3:00.
fn nightly(row: u64) -> f64 {
    let base = 0.45 + 0.004 * noise(row);
    let since = (row % DAY).saturating_sub(2 * HOUR);
    match since {
        1..=40 => base + 0.47 * since as f64 / 40.0,
        41..=HOUR => 0.92,
        _ => base,
    }
}

/// Seven nights and the morning after.
fn after_seven_nights() -> State {
    let mut state = state();
    for row in 0..7 * DAY {
        let anomalies = feed(&mut state, row, Measure::DiskUsedRatio, nightly(row));
        assert!(row < 3 * DAY || anomalies.is_empty(), "{row} {anomalies:?}");
    }
    state
}

#[test]
fn the_nightly_backup_is_silent_once_it_is_learned_and_noon_is_not() {
    let mut state = after_seven_nights();
    assert!(
        state.anomalies().count() > 0,
        "what nobody has learned is told"
    );
    for row in 7 * DAY..7 * DAY + 12 * HOUR {
        let anomalies = feed(&mut state, row, Measure::DiskUsedRatio, nightly(row));
        assert_eq!(anomalies, [], "{row}");
    }
    let noon = 7 * DAY + 12 * HOUR;
    let raised: Vec<_> = (noon..noon + 2)
        .flat_map(|row| feed(&mut state, row, Measure::DiskUsedRatio, 0.92))
        .collect();
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert!((raised[0].expected - 0.45).abs() < 0.03, "{raised:?}");
    assert!(raised[0].severity >= Severity::Warning);
}

#[test]
fn a_backup_that_goes_on_filling_is_no_habit() {
    let mut state = after_seven_nights();
    let two = 7 * DAY + 2 * HOUR;
    let mut raised = Vec::new();
    for row in 7 * DAY..two + HOUR {
        let value = nightly(row).max(0.45 + row.saturating_sub(two) as f64 * 0.006);
        raised.extend(feed(
            &mut state,
            row,
            Measure::DiskUsedRatio,
            value.min(1.0),
        ));
    }
    assert!(!raised.is_empty());
    assert!(raised[0].observed > 0.94, "{raised:?}");
}

#[test]
fn eighty_five_percent_and_ten_an_hour_is_raised_with_its_lead_time() {
    let mut state = state();
    let raised: Vec<_> = (0..20)
        .flat_map(|row| {
            let value = 0.85 + 0.1 * row as f64 / HOUR as f64;
            feed(&mut state, row, Measure::DiskUsedRatio, value)
        })
        .collect();
    assert_eq!(raised.len(), 1, "{raised:?}");
    let forecast = raised[0].forecast.unwrap();
    assert!((forecast.growth_per_hour - 0.1).abs() < 0.005);
    // An hour and a half, less the minutes in which it became sure.
    assert!(
        (4800..5400).contains(&forecast.exhausted_in_s),
        "{forecast:?}"
    );
    assert_eq!(raised[0].severity, Severity::Critical);
    assert!(raised[0].observed < 0.86, "within five minutes: {raised:?}");
}

#[test]
fn a_full_disk_of_a_database_is_critical_earlier() {
    let policy = |role| Policy {
        roles: vec![RoleOf {
            subject: "mount /srv".into(),
            role,
        }],
        ..Policy::default()
    };
    let severity = |role| {
        let mut state = state_with(policy(role));
        (0..10).for_each(|row| _ = feed(&mut state, row, Measure::DiskUsedRatio, 0.9));
        state.anomalies().next().map(|anomaly| anomaly.severity)
    };
    assert_eq!(severity(Role::Database), Some(Severity::Critical));
    assert_eq!(severity(Role::General), Some(Severity::Warning));
    assert_eq!(severity(Role::LogServer), None);
}

#[test]
fn a_hog_is_caught_at_its_second_sample_young_and_old() {
    for calm in [40, 2 * DAY] {
        let mut state = state();
        let mut anomalies = 0;
        for row in 0..calm {
            anomalies += feed(&mut state, row, CPU, 0.05 + 0.03 * noise(row)).len();
        }
        assert_eq!(anomalies, 0);
        assert_eq!(feed(&mut state, calm, CPU, 0.95), []);
        let raised = feed(&mut state, calm + 1, CPU, 0.96);
        assert_eq!(raised.len(), 1, "after {calm} samples");
        assert!(raised[0].deviation > 5.0);
        let more = (2..100).flat_map(|row| feed(&mut state, calm + row, CPU, 0.95));
        assert_eq!(more.count(), 0, "said once");
    }
}

/// Samples of 30 s until a service of 40 MiB that now takes 25 MiB each is told, after so much calm.
fn samples_until_a_leak_is_told(calm: u64) -> Option<u64> {
    const MIB: f64 = 1024.0 * 1024.0;
    let mut state = state();
    for row in 0..calm {
        feed(
            &mut state,
            row,
            Measure::UnitAnonBytes,
            MIB * (40.0 + noise(row)),
        );
    }
    (1..120).find(|leaked| {
        let value = MIB * (40.0 + 25.0 * *leaked as f64);
        !feed(&mut state, calm + leaked, Measure::UnitAnonBytes, value).is_empty()
    })
}

#[test]
fn a_leak_is_caught_young_and_old() {
    // Of a service known for a day in two minutes; before that, growth must be sure by itself.
    for (calm, within) in [(HOUR, 30), (6 * HOUR, 30), (DAY + 100, 4), (7 * DAY, 4)] {
        let told = samples_until_a_leak_is_told(calm);
        assert!(told.is_some_and(|told| told <= within), "{calm}: {told:?}");
    }
}

#[test]
fn one_sample_is_noise() {
    let mut state = state();
    for row in 0..2 * DAY {
        let value = if row % 700 == 699 {
            0.9
        } else {
            0.05 + 0.03 * noise(row)
        };
        assert_eq!(feed(&mut state, row, CPU, value), [], "{row}");
    }
}

#[test]
fn a_window_with_loss_is_not_learned() {
    let mut state = state();
    for row in 0..500 {
        let queues = QueueCounters {
            queue_full: row + 1,
            ..QueueCounters::default()
        };
        state.apply(
            at(row),
            Wake::Counters {
                hooks: Vec::new(),
                queues,
            },
        );
        feed(&mut state, row, CPU, 0.2);
    }
    assert_eq!(state.baselines().warm, 0);
    let series = sample(at(0), CPU, 0.0).series;
    assert_eq!(state.baseline(&series).unwrap().samples, 0);
}

#[test]
fn the_view_says_what_was_fed() {
    let mut state = state();
    for row in 0..3 * DAY {
        feed(&mut state, row, CPU, 0.2 + 0.1 * noise(row));
    }
    let view = state.baseline(&sample(at(0), CPU, 0.0).series).unwrap();
    assert_eq!(view.warmth, view::Warmth::Warm);
    assert_eq!(view.samples, 3 * DAY);
    for (number, near) in [
        (view.mean, 0.25),
        (view.spread, 0.029),
        (view.p50, 0.25),
        (view.p95, 0.295),
        (view.p99, 0.299),
        (view.expected_now, 0.25),
        (view.smooth_15m, 0.25),
        (view.mean_30d, 0.25),
        (view.spread_30d, 0.029),
    ] {
        assert!((number - near).abs() < 0.01, "{number} {near} {view:?}");
    }
    assert_eq!(state.baseline_list().baselines, [view]);
}

#[test]
fn what_is_kept_of_a_series_fits_four_kibibytes() {
    assert!(size_of::<Track>() <= 4096, "{}", size_of::<Track>());
}

#[test]
fn more_series_than_there_is_room_for_are_counted() {
    let mut detector = Detector::default();
    let number = |at: At, mount: usize| Sample {
        series: Series {
            subject: Subject::Mount(format!("/{mount}")),
            measure: Measure::DiskUsedRatio,
        },
        ..sample(at, Measure::DiskUsedRatio, 0.5)
    };
    for mount in 0..SERIES_MAX + 5 {
        detector.detect(&[number(at(0), mount)], true, &Policy::default());
    }
    assert_eq!(detector.tracks.len(), SERIES_MAX);
    assert_eq!(detector.list().turned_away, 5);
    // Two days later those that are gone give way.
    detector.detect(&[number(at(2 * DAY), 9999)], true, &Policy::default());
    assert!(detector.view(&number(at(0), 9999).series).is_some());
}

#[test]
fn severities_follow_the_founding_limits() {
    assert_eq!(severity(1.99), None);
    assert_eq!(severity(2.0), Some(Severity::Info));
    assert_eq!(severity(3.0), Some(Severity::Warning));
    assert_eq!(severity(5.0), Some(Severity::Critical));
}

/// A wake's samples as the outside can send them, and how many rows later the next come.
fn wakes() -> impl Strategy<Value = Vec<(u64, Vec<(usize, f64)>)>> {
    let value = prop_oneof![
        6 => 0.0..1.0_f64,
        1 => any::<f64>(),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
    ];
    let step = prop_oneof![8 => Just(1_u64), 1 => Just(0_u64), 1 => 0..50_000_u64];
    let samples = prop::collection::vec((0..4_usize, value), 0..6);
    prop::collection::vec((step, samples), 0..80)
}

fn play(wakes: &[(u64, Vec<(usize, f64)>)], turned: bool) -> (Vec<Vec<Effect>>, Vec<u8>) {
    let measures = [
        CPU,
        Measure::DiskUsedRatio,
        Measure::MemoryUsedRatio,
        Measure::LoadPerCpu,
    ];
    let mut state = state();
    let mut row = 0;
    let mut effects = Vec::new();
    for (step, samples) in wakes {
        row += step;
        let mut samples: Vec<_> = samples
            .iter()
            .map(|(measure, value)| sample(at(row), measures[*measure], *value))
            .collect();
        if turned {
            samples.reverse();
        }
        effects.push(state.apply(at(row), Wake::Samples(samples)));
    }
    (effects, state.baselines_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The same wakes give the same effects and the same state; so do samples of one moment in
    /// another order.
    #[test]
    fn a_replay_is_the_same(wakes in wakes()) {
        let (effects, bytes) = play(&wakes, false);
        let (again, bytes_again) = play(&wakes, false);
        prop_assert_eq!(&effects, &again);
        prop_assert_eq!(&bytes, &bytes_again);
        let (_, bytes_turned) = play(&wakes, true);
        prop_assert_eq!(&bytes, &bytes_turned);
    }
}
