//! All measures of the host, judged together once a minute.
//!
//! Rows are means over a minute, whatever the interval of the samples: the detector's threshold was
//! measured at that pace. Where samples are rarer, each is a row.

use std::time::Duration;

use hostmedic_model::{
    sample::{Measure, Sample},
    time::At,
};
use serde::{Deserialize, Serialize};

use super::{host::HostDetector, row::seconds_between};
use crate::bits;

/// The host's measures, in the order of the detector's columns.
const COLUMNS: [Measure; 11] = [
    Measure::CpuBusyRatio,
    Measure::MemoryUsedRatio,
    Measure::LoadPerCpu,
    Measure::ExecPerS,
    Measure::CpuPressureSomeRatio,
    Measure::MemoryPressureSomeRatio,
    Measure::IoPressureSomeRatio,
    Measure::SwapUsedRatio,
    Measure::ConntrackUsedRatio,
    Measure::PacketDropsPerS,
    Measure::TcpRetransmitsPerS,
];
/// The pace of the detector.
const INTERVAL: Duration = Duration::from_secs(60);
/// A row ends when it is so old; timers are not exact.
const ROW_S: f32 = 55.0;

/// The host's detector and the row that is being filled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Together {
    detector: HostDetector,
    at: At,
    #[serde(with = "bits")]
    seconds: [f32; 1],
    #[serde(with = "bits")]
    sums: [f64; COLUMNS.len()],
    samples: [u32; COLUMNS.len()],
}

impl Default for Together {
    fn default() -> Self {
        Self {
            detector: HostDetector::new(COLUMNS.len(), INTERVAL),
            at: At::default(),
            seconds: [0.0],
            sums: [0.0; COLUMNS.len()],
            samples: [0; COLUMNS.len()],
        }
    }
}

impl Together {
    /// Takes a sample of the host in.
    pub(super) fn add(&mut self, sample: &Sample) {
        let column = COLUMNS
            .iter()
            .position(|measure| *measure == sample.series.measure);
        if let Some(column) = column {
            self.sums[column] += sample.value;
            self.samples[column] = self.samples[column].saturating_add(1);
        }
    }

    /// Ends the samples of moment `at`; the measures to blame, heaviest first, when the host is not
    /// itself.
    pub(super) fn judge(&mut self, at: At) -> Vec<Measure> {
        self.seconds[0] += seconds_between(self.at, at);
        self.at = at;
        if self.seconds[0] < ROW_S {
            return Vec::new();
        }
        let mut values = [None; COLUMNS.len()];
        for ((value, sum), samples) in values.iter_mut().zip(self.sums).zip(self.samples) {
            *value = (samples > 0).then(|| sum / f64::from(samples));
        }
        self.seconds = [0.0];
        self.sums = [0.0; COLUMNS.len()];
        self.samples = [0; COLUMNS.len()];
        let wall_s = at.wall_ms.div_euclid(1000);
        if !self.detector.observe(wall_s, &values).notify {
            return Vec::new();
        }
        let blamed = self.detector.blame(COLUMNS.len());
        blamed
            .iter()
            .filter_map(|blame| COLUMNS.get(blame.metric).copied())
            .collect()
    }

    /// Whether a state that was read back is one that samples can lead to.
    pub(super) fn is_sound(&self) -> bool {
        self.detector.is_sound(COLUMNS.len())
    }
}
