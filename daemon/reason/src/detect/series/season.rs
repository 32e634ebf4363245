//! What a series usually is at each time of day, and by how much it usually differs from that.

use serde::{Deserialize, Serialize};

use crate::bits;

/// Quarters of an hour of a day.
const SLOTS: usize = 96;
const SLOT_S: i64 = 900;
const DAY_S: i64 = 86_400;
/// Weight of one whole slot of a new day.
const RATE: f32 = 0.2;
/// How far an expectation leans to the overall mean: one day's noise is no habit.
const LEAN: f32 = 0.1;

/// Mean and mean deviation for each quarter of an hour, as exponentially weighted means over days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Season {
    #[serde(with = "bits")]
    means: [f32; SLOTS],
    #[serde(with = "bits")]
    spreads: [f32; SLOTS],
    counts: Counts,
}

/// Rows seen in each slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u16>", into = "Vec<u16>")]
struct Counts([u16; SLOTS]);

impl From<Counts> for Vec<u16> {
    fn from(counts: Counts) -> Self {
        counts.0.to_vec()
    }
}

impl TryFrom<Vec<u16>> for Counts {
    type Error = String;

    fn try_from(counts: Vec<u16>) -> Result<Self, String> {
        counts.try_into().map(Self).map_err(|counts: Vec<u16>| {
            format!(
                "a day has {} slots, {SLOTS} expected: the state is damaged",
                counts.len()
            )
        })
    }
}

/// A moment's place in the day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    slot: usize,
    /// The slot whose middle is next nearest, and its weight, 0 to 0.5.
    neighbour: usize,
    share: f32,
}

impl Default for Season {
    fn default() -> Self {
        Self {
            means: [0.0; SLOTS],
            spreads: [0.0; SLOTS],
            counts: Counts([0; SLOTS]),
        }
    }
}

impl Place {
    pub(super) fn new(wall_s: i64) -> Self {
        let in_day_s = wall_s.rem_euclid(DAY_S);
        let slot = usize::try_from(in_day_s / SLOT_S).unwrap_or(0) % SLOTS;
        let off_middle_s = in_day_s % SLOT_S - SLOT_S / 2;
        let neighbour = if off_middle_s < 0 {
            (slot + SLOTS - 1) % SLOTS
        } else {
            (slot + 1) % SLOTS
        };
        Self {
            slot,
            neighbour,
            share: to_f32(off_middle_s.abs()) / to_f32(SLOT_S),
        }
    }
}

impl Season {
    /// What is usual at `place`; `mean` is the overall mean.
    pub(super) fn expected(&self, place: Place, mean: f32) -> f32 {
        if self.counts.0[place.slot] == 0 {
            return mean;
        }
        let own = self.means[place.slot];
        let share = if self.counts.0[place.neighbour] == 0 {
            0.0
        } else {
            place.share
        };
        let between = own + (self.means[place.neighbour] - own) * share;
        between + (mean - between) * LEAN
    }

    /// Mean deviation from what is usual at `place`; `None` on the first day.
    pub(super) fn spread(&self, place: Place) -> Option<f32> {
        (self.counts.0[place.slot] > 0).then(|| self.spreads[place.slot])
    }

    /// Learns a value that was `residual` off, and stands for `weight_s` seconds.
    pub(super) fn learn(&mut self, place: Place, value: f32, residual: f32, weight_s: f32) {
        let slot = place.slot;
        let share = (weight_s / to_f32(SLOT_S)).min(1.0);
        let rate = (1.0 / (f32::from(self.counts.0[slot]) + 1.0)).max(RATE * share);
        self.means[slot] += rate * (value - self.means[slot]);
        self.spreads[slot] += rate * (residual.abs() - self.spreads[slot]);
        self.counts.0[slot] = self.counts.0[slot].saturating_add(1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
fn to_f32(seconds: i64) -> f32 {
    seconds as f32
}
