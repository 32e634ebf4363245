//! Weight, mean and sum of squared deviations: what mean and spread are made of.
//!
//! Welford 1962 for single values, Chan, Golub and `LeVeque` 1983 to merge.

use serde::{Deserialize, Serialize};

use crate::{bits, detect::series::merge};

/// Moments of values that each stand for some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Moments(#[serde(with = "bits")] [f32; 3]);

impl Moments {
    /// Moments of values of which only mean and variance are known.
    pub(super) fn new(weight: f32, mean: f32, variance: f32) -> Self {
        Self([weight, mean, weight * variance])
    }

    /// Takes in a value that stands for `weight`.
    pub(super) fn add(&mut self, value: f32, weight: f32) {
        let [all, mean, squares] = &mut self.0;
        *all += weight;
        let delta = value - *mean;
        *mean += delta * weight / *all;
        *squares += weight * delta * (value - *mean);
    }

    #[must_use]
    pub(super) fn merge(self, other: Self) -> Self {
        Self(merge(self.0, other.0))
    }

    /// The same values, each greater by `offset`.
    #[must_use]
    pub(super) fn moved(self, offset: f32) -> Self {
        let [weight, mean, squares] = self.0;
        Self([weight, mean + offset, squares])
    }

    pub(super) fn weight(self) -> f32 {
        self.0[0]
    }

    pub(super) fn mean(self) -> f32 {
        self.0[1]
    }

    pub(super) fn variance(self) -> f32 {
        if self.0[0] > 0.0 {
            (self.0[2] / self.0[0]).max(0.0)
        } else {
            0.0
        }
    }
}
