//! The made-up night in numbers: a disk that fills, and what was normal before.

use hostmedic_model::view::{BaselineList, BaselineView, Point, SeriesView, Warmth};

use super::*;

/// Samples shown, one every 30 s.
const POINTS: u64 = 60;

/// `medic baseline`: one series that is warm and one that is new.
pub fn baselines() -> BaselineList {
    let warming = BaselineView {
        series: Series {
            subject: Subject::Host,
            measure: Measure::LoadPerCpu,
        },
        warmth: Warmth::Warming { share: 0.25 },
        samples: 60,
        ..filling()
    };
    BaselineList {
        baselines: vec![filling(), warming],
        turned_away: 3,
    }
}

/// `medic baseline SERIES`: calm, and then not.
pub fn series() -> SeriesView {
    let baseline = filling();
    let value = |point: u64| 0.62 + 0.006 * point.saturating_sub(40) as f64;
    let points = (0..POINTS).map(|point| Point {
        wall_ms: at(point * 30_000).wall_ms,
        value: value(point),
    });
    let observed = value(POINTS - 1);
    let deviation = (observed - baseline.mean) / baseline.spread;
    SeriesView {
        points: points.collect(),
        anomalies: vec![Anomaly {
            at: at((POINTS - 1) * 30_000),
            series: baseline.series.clone(),
            observed,
            expected: baseline.mean,
            spread: baseline.spread,
            deviation,
            severity: Severity::Critical,
            confidence: 1.0,
            forecast: None,
            together: Vec::new(),
        }],
        baseline,
    }
}

fn filling() -> BaselineView {
    BaselineView {
        series: Series {
            subject: Subject::Mount("/var".to_owned()),
            measure: Measure::DiskUsedRatio,
        },
        warmth: Warmth::Warm,
        samples: 20_160,
        last_at: at((POINTS - 1) * 30_000),
        last: 0.734,
        mean: 0.62,
        spread: 0.01,
        p50: 0.62,
        p95: 0.63,
        p99: 0.64,
        expected_now: 0.62,
        spread_now: 0.01,
        smooth_15m: 0.69,
        mean_30d: 0.58,
        spread_30d: 0.03,
        growth_per_hour: 0.72,
    }
}
