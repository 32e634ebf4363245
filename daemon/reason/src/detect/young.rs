//! The first day of a series, in which ranks say nothing yet: only a clear jump after calm counts.
//!
//! After 20 samples that differ little, two samples in a row far above them are an anomaly. Far is a
//! fixed step for each measure, and eight times what samples differ among themselves: a host that
//! builds and tests is not calm. Then learning starts over. Falls are not looked at.

use hostmedic_model::sample::Measure;
use serde::{Deserialize, Serialize};

use super::measure;
use crate::{
    baseline::{Normal, floor},
    bits,
};

/// Calm samples before anything is said.
const CALM_MIN: u16 = 20;
/// Samples in a row that must be far above.
const IN_ROW: u8 = 2;
/// Times the mean difference of samples from their mean.
const TIMES_USUAL: f64 = 8.0;
/// Samples that mean and difference remember.
const MEMORY: f64 = 30.0;

const MEAN: usize = 0;
const DIFFERENCE: usize = 1;

/// The newest samples of a young series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Young {
    #[serde(with = "bits")]
    state: [f32; 2],
    samples: u16,
    far_in_row: u8,
}

impl Young {
    /// Judges a sample, then learns it; what was normal, when this is a clear jump.
    pub(super) fn judge(&mut self, measure: Measure, value: f64) -> Option<Normal> {
        let mean = f64::from(self.state[MEAN]);
        let difference = f64::from(self.state[DIFFERENCE]);
        let far = measure::jump(measure, mean).max(TIMES_USUAL * difference);
        if self.samples >= CALM_MIN && value - mean >= far {
            self.far_in_row += 1;
            if self.far_in_row < IN_ROW {
                return None;
            }
            *self = Self::default();
            return Some(Normal {
                mean,
                spread: difference.max(floor(measure, mean)),
            });
        }
        self.far_in_row = 0;
        let rate = 1.0 / (f64::from(self.samples) + 1.0).min(MEMORY);
        self.state[MEAN] += (rate * (value - mean)) as f32;
        if self.samples > 0 {
            self.state[DIFFERENCE] += (rate * ((value - mean).abs() - difference)) as f32;
        }
        self.samples = self.samples.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Measure = Measure::CpuBusyRatio;

    fn calm(samples: u32) -> Young {
        let mut young = Young::default();
        for sample in 0..samples {
            let value = 0.05 + 0.01 * f64::from(sample % 3);
            assert_eq!(young.judge(CPU, value), None);
        }
        young
    }

    #[test]
    fn a_hog_after_calm_is_said_at_its_second_sample() {
        let mut young = calm(20);
        assert_eq!(young.judge(CPU, 0.95), None);
        let normal = young.judge(CPU, 0.95);
        assert!(normal.is_some_and(|normal| normal.deviation(0.95) > 5.0));
        assert_eq!(young.judge(CPU, 0.95), None);
    }

    #[test]
    fn one_sample_is_noise_and_so_is_a_short_history() {
        let mut young = calm(100);
        for sample in 0..50 {
            assert_eq!(young.judge(CPU, 0.95), None, "{sample}");
            assert_eq!(young.judge(CPU, 0.05), None, "{sample}");
        }
        let mut young = calm(19);
        assert_eq!(young.judge(CPU, 0.95), None);
        assert_eq!(young.judge(CPU, 0.95), None);
    }

    #[test]
    fn a_host_that_builds_is_not_calm() {
        let mut young = Young::default();
        // Some samples of building, some of nothing.
        for sample in 0..3000_u32 {
            let busy = (sample / 7 % 3 == 0) || sample % 11 < 3;
            let value = if busy { 0.98 } else { 0.04 };
            if sample > 20 {
                assert_eq!(young.judge(CPU, value), None, "{sample}");
            } else {
                young.judge(CPU, value);
            }
        }
    }
}
