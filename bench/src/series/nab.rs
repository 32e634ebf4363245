//! The rules of the Numenta Anomaly Benchmark (v1.1), written from their published description.
//!
//! Rows with a score at or above the threshold are detections. A window counts once, by its best
//! detection; the earlier, the better. A detection outside costs, less so just behind a window.

use crate::series::read::Labelled;

/// Weights of a hit, a false detection and a miss.
#[derive(Clone, Copy)]
pub struct Profile {
    hit: f64,
    false_row: f64,
    miss: f64,
}

/// The benchmark's own three: standard, few false detections, few misses.
pub const PROFILES: [Profile; 3] = [
    Profile {
        hit: 1.0,
        false_row: 0.11,
        miss: 1.0,
    },
    Profile {
        hit: 1.0,
        false_row: 0.22,
        miss: 1.0,
    },
    Profile {
        hit: 1.0,
        false_row: 0.11,
        miss: 2.0,
    },
];

/// The scored rows of one file.
pub struct File {
    /// Score, what a detection there gains, and its window if it is in one.
    rows: Vec<(f64, f64, Option<usize>)>,
    windows: usize,
    windows_scored: Vec<usize>,
}

impl File {
    /// Takes one file with a score for each of its rows.
    pub fn new(series: &Labelled, scores: &[f32]) -> Self {
        let rows: Vec<_> = gains(series.rows.len(), &series.events)
            .into_iter()
            .zip(scores)
            .map(|((gain, window), score)| (f64::from(*score), gain, window))
            .skip(series.scored_from)
            .collect();
        let windows_scored = (0..series.events.len())
            .filter(|window| rows.iter().any(|row| row.2 == Some(*window)))
            .collect();
        Self {
            rows,
            windows: series.events.len(),
            windows_scored,
        }
    }

    fn total(&self, threshold: f64, profile: Profile) -> f64 {
        let mut best: Vec<Option<f64>> = vec![None; self.windows];
        let mut total = 0.0;
        for (_, gain, window) in self.rows.iter().filter(|row| row.0 >= threshold) {
            match window {
                None => total += profile.false_row * gain,
                Some(window) => {
                    let best = &mut best[*window];
                    *best = Some(best.map_or(*gain, |best| best.max(*gain)));
                }
            }
        }
        for window in &self.windows_scored {
            total += best[*window].map_or(-profile.miss, |gain| {
                (profile.hit * gain).max(-profile.miss)
            });
        }
        total
    }
}

/// The score of `files` at one threshold: 100 is perfect, 0 is a detector that says nothing.
pub fn score(files: &[&File], threshold: f64, profile: Profile) -> f64 {
    let total: f64 = files
        .iter()
        .map(|file| file.total(threshold, profile))
        .sum();
    normalised(total, files, profile)
}

fn normalised(total: f64, files: &[&File], profile: Profile) -> f64 {
    let null: f64 = files
        .iter()
        .map(|file| -profile.miss * to_f64(file.windows_scored.len()))
        .sum();
    let perfect: f64 = files
        .iter()
        .map(|file| profile.hit * to_f64(file.windows))
        .sum();
    100.0 * (total - null) / (perfect - null)
}

/// The threshold with the best score; all are tried.
pub fn best_threshold(files: &[&File], profile: Profile) -> f64 {
    let mut rows = Vec::new();
    let mut windows = 0;
    let mut scored = 0;
    for file in files {
        for (score, gain, window) in &file.rows {
            rows.push((*score, *gain, window.map(|window| window + windows)));
        }
        windows += file.windows;
        scored += file.windows_scored.len();
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut standing = vec![-profile.miss; windows];
    let mut total = -profile.miss * to_f64(scored);
    let mut best = (total, f64::INFINITY);
    for (place, (score, gain, window)) in rows.iter().enumerate() {
        match window {
            None => total += profile.false_row * gain,
            Some(window) => {
                let better = standing[*window].max(profile.hit * gain);
                total += better - standing[*window];
                standing[*window] = better;
            }
        }
        let group_ends = rows.get(place + 1).is_none_or(|next| next.0 < *score);
        if group_ends && total > best.0 {
            best = (total, *score);
        }
    }
    best.1
}

/// For each row: what a detection there gains, without weights, and its window.
fn gains(rows: usize, windows: &[(usize, usize)]) -> Vec<(f64, Option<usize>)> {
    let mut gains = vec![(-1.0, None); rows];
    let mut before: Option<(usize, f64)> = None;
    let mut from = 0;
    for (number, &(left, right)) in windows.iter().enumerate() {
        fade(&mut gains[..left], from, before);
        let width = to_f64(right - left + 1);
        for (row, gain) in gains.iter_mut().enumerate().take(right + 1).skip(left) {
            let place = -to_f64(right - row + 1) / width;
            *gain = (sigmoid(place) / sigmoid(-1.0), Some(number));
        }
        before = Some((right, width));
        from = right + 1;
    }
    fade(&mut gains, from, before);
    gains
}

/// Rows behind a window cost less, the nearer they are to it.
fn fade(gains: &mut [(f64, Option<usize>)], from: usize, before: Option<(usize, f64)>) {
    if let Some((right, width)) = before {
        for (row, gain) in gains.iter_mut().enumerate().skip(from) {
            gain.0 = sigmoid(to_f64(row - right) / (width - 1.0));
        }
    }
}

/// Near 1 at a window's left edge (-1), 0 at its right edge (0), -1 far behind.
fn sigmoid(place: f64) -> f64 {
    if place > 3.0 {
        -1.0
    } else {
        2.0 / (1.0 + (5.0 * place).exp()) - 1.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "rows of a file are few")]
fn to_f64(number: usize) -> f64 {
    number as f64
}
