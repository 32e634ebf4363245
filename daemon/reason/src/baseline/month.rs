//! Mean and spread of the last 25 to 30 days, in parts of five days that fall out whole.

use serde::{Deserialize, Serialize};

use super::{
    moments::Moments,
    week::{pack, unpack},
};

/// Hours in a part.
pub(super) const PART_HOURS: i64 = 120;
/// Closed parts; the running one is in the week.
const PARTS: usize = 5;

/// Five days: mean and standard deviation in two bytes each, and the hours with samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Part(u16, u16, u8);

/// The closed parts, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Month([Part; PARTS]);

impl Month {
    /// Takes a part in, and lets the oldest go.
    pub(super) fn close(&mut self, part: Moments) {
        self.0.rotate_right(1);
        self.0[0] = Part(
            pack(part.mean()),
            pack(part.variance().sqrt()),
            // At most `PART_HOURS`.
            part.weight() as u8,
        );
    }

    /// The same parts, each greater by `offset`.
    #[must_use]
    pub(super) fn moved(mut self, offset: f32) -> Self {
        for part in &mut self.0 {
            part.0 = pack(unpack(part.0) + offset);
        }
        self
    }

    /// Moments of all closed parts.
    pub(super) fn moments(&self) -> Moments {
        self.0.iter().fold(Moments::default(), |sum, part| {
            let spread = unpack(part.1);
            sum.merge(Moments::new(
                f32::from(part.2),
                unpack(part.0),
                spread * spread,
            ))
        })
    }
}
