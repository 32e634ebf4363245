//! The newest numbers of each series, for people who look: nothing is decided by them.

use std::collections::{BTreeMap, VecDeque};

use hostmedic_model::{
    sample::{Sample, Series},
    view::Point,
};

/// Numbers kept of one series: six hours at 30 s.
const POINTS_MAX: usize = 720;
/// Series kept; 1024 of them take 12 MB at most, and a usual host has 200.
const SERIES_MAX: usize = 1024;

/// The recent past of every series.
#[derive(Debug, Default)]
pub(crate) struct History(BTreeMap<Series, VecDeque<Point>>);

impl History {
    /// Keeps what was just taken. Series beyond the limit are those that came last.
    pub(crate) fn take(&mut self, samples: &[Sample]) {
        for sample in samples {
            if !self.0.contains_key(&sample.series) && self.0.len() >= SERIES_MAX {
                continue;
            }
            let points = self.0.entry(sample.series.clone()).or_default();
            if points.len() == POINTS_MAX {
                points.pop_front();
            }
            points.push_back(Point {
                wall_ms: sample.at.wall_ms,
                value: sample.value,
            });
        }
    }

    /// What is kept of one series, oldest first.
    pub(crate) fn of(&self, series: &Series) -> Vec<Point> {
        let points = self.0.get(series);
        points.into_iter().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_model::{sample::Measure, subject::Subject, time::At};

    use super::*;

    #[test]
    fn the_oldest_go_first_and_memory_is_bounded() {
        let mut history = History::default();
        let series = |number: usize| Series {
            subject: Subject::Mount(number.to_string()),
            measure: Measure::DiskUsedRatio,
        };
        for round in 0..POINTS_MAX + 5 {
            history.take(&[Sample {
                at: At::default(),
                series: series(0),
                value: round as f64,
            }]);
        }
        let kept = history.of(&series(0));
        assert_eq!(kept.len(), POINTS_MAX);
        assert_eq!(kept[0].value, 5.0);
        for number in 0..2 * SERIES_MAX {
            history.take(&[Sample {
                at: At::default(),
                series: series(number),
                value: 0.0,
            }]);
        }
        assert_eq!(history.0.len(), SERIES_MAX);
        assert!(history.of(&series(2 * SERIES_MAX - 1)).is_empty());
    }
}
