//! Judges samples against their baselines.
//!
//! Each series is judged by itself (`track`), the host's measures also together (`together`). What
//! is kept of a series is bounded, and so is the number of series.

pub mod host;
mod keep;
pub mod limits;
mod measure;
pub mod rank;
mod row;
pub mod series;
#[cfg(test)]
mod tests;
mod together;
mod track;
mod trend;
mod young;

use std::collections::{BTreeMap, VecDeque};

use hostmedic_model::{
    anomaly::{Anomaly, Severity},
    sample::{Sample, Series},
    subject::Subject,
    view::{self, BaselineList, BaselineView},
};

use crate::{baseline::VALUE_MAX, policy::Policy};
use together::Together;
use track::Track;

/// Series with a baseline, at most: 4 KiB each make 4 MiB.
const SERIES_MAX: usize = 1024;
/// A series that was not heard of for so long gives its place to a new one.
const FORGET_MS: i64 = 24 * 3_600_000;
/// Anomalies that are kept to be shown; the oldest goes first.
const ANOMALIES_MAX: usize = 512;

/// Every series' past, and the host's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Detector {
    tracks: BTreeMap<Series, Box<Track>>,
    host: Option<Box<Together>>,
    /// Samples of series that found no room.
    turned_away: u64,
    anomalies: VecDeque<Anomaly>,
}

impl Detector {
    /// Judges samples, then learns them unless `learn` is false (their window had losses).
    ///
    /// Each anomaly is worth a notification. The order of `samples` does not matter.
    pub(crate) fn detect(
        &mut self,
        samples: &[Sample],
        learn: bool,
        policy: &Policy,
    ) -> Vec<Anomaly> {
        let mut samples: Vec<Sample> = samples
            .iter()
            .filter(|sample| sample.value.is_finite())
            .cloned()
            .collect();
        samples.sort_by(|one, other| {
            (one.at, &one.series)
                .cmp(&(other.at, &other.series))
                .then(one.value.total_cmp(&other.value))
        });
        let mut found = Vec::new();
        for sample in &mut samples {
            sample.value = sample.value.clamp(-VALUE_MAX, VALUE_MAX);
            let role = policy.role(&sample.series.subject);
            if let Some(track) = self.track(sample) {
                found.extend(track.judge(sample, role, learn));
            }
        }
        if learn {
            found.extend(self.judge_together(&samples));
        }
        for anomaly in &found {
            if self.anomalies.len() == ANOMALIES_MAX {
                self.anomalies.pop_front();
            }
            self.anomalies.push_back(anomaly.clone());
        }
        found
    }

    /// The host's measures together: an anomaly of the heaviest that is far from its own usual.
    fn judge_together(&mut self, samples: &[Sample]) -> Option<Anomaly> {
        let of_host = samples
            .iter()
            .filter(|sample| sample.series.subject == Subject::Host);
        let newest = of_host.clone().map(|sample| sample.at).max()?;
        let host = self.host.get_or_insert_default();
        of_host.clone().for_each(|sample| host.add(sample));
        let blamed = host.judge(newest);
        // One measure that is off is its own affair, and its own rules wait for a second sample.
        let far: Vec<&Sample> = blamed
            .iter()
            .filter_map(|measure| {
                let mut samples = of_host.clone();
                samples.rfind(|sample| sample.series.measure == *measure)
            })
            .filter(|sample| {
                let track = self.tracks.get(&sample.series);
                track.is_some_and(|track| track.is_far(sample))
            })
            .collect();
        if far.len() < 2 {
            return None;
        }
        far.iter().find_map(|sample| {
            let measures = far.iter().map(|sample| sample.series.measure);
            let others = measures.filter(|other| *other != sample.series.measure);
            let track = self.tracks.get_mut(&sample.series)?;
            track.blame(sample, others.collect())
        })
    }

    /// The series' past, new or known; `None` when there is no room for a new one.
    fn track(&mut self, sample: &Sample) -> Option<&mut Track> {
        if !self.tracks.contains_key(&sample.series) && self.tracks.len() >= SERIES_MAX {
            let oldest = self.tracks.iter().min_by_key(|(_, track)| track.at.wall_ms);
            let unheard = oldest.filter(|(_, track)| {
                sample.at.wall_ms.saturating_sub(track.at.wall_ms) > FORGET_MS
            });
            let Some(unheard) = unheard.map(|(series, _)| series.clone()) else {
                self.turned_away = self.turned_away.saturating_add(1);
                return None;
            };
            self.tracks.remove(&unheard);
        }
        Some(self.tracks.entry(sample.series.clone()).or_default())
    }

    pub(crate) fn count(&self) -> view::Baselines {
        let warm = self.tracks.values().filter(|track| track.is_warm()).count();
        view::Baselines {
            series: u32::try_from(self.tracks.len()).unwrap_or(u32::MAX),
            warm: u32::try_from(warm).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn view(&self, series: &Series) -> Option<BaselineView> {
        Some(self.tracks.get(series)?.view(series))
    }

    pub(crate) fn list(&self) -> BaselineList {
        BaselineList {
            baselines: self
                .tracks
                .iter()
                .map(|(series, track)| track.view(series))
                .collect(),
            turned_away: self.turned_away,
        }
    }

    /// The newest anomalies, oldest first.
    pub(crate) fn anomalies(&self) -> impl DoubleEndedIterator<Item = &Anomaly> {
        self.anomalies.iter()
    }
}

/// Severity of a deviation in spreads; `None` below 2.
pub(crate) fn severity(deviation: f64) -> Option<Severity> {
    if deviation >= 5.0 {
        Some(Severity::Critical)
    } else if deviation >= 3.0 {
        Some(Severity::Warning)
    } else if deviation >= 2.0 {
        Some(Severity::Info)
    } else {
        None
    }
}
