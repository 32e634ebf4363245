//! From samples to rows: a detector's row stands for 20 seconds at least.
//!
//! Ranks call a thousandth of the rows rare. Of one row a second, that would be 86 a day.

use hostmedic_model::time::At;
use serde::{Deserialize, Serialize};

use crate::bits;

/// Shortest row.
const ROW_S: f32 = 20.0;

/// Samples towards the next row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    #[serde(with = "bits")]
    sum: [f64; 1],
    #[serde(with = "bits")]
    seconds: [f32; 1],
    samples: u32,
}

impl Row {
    /// Takes a sample in; the mean of its row, when it ends one.
    pub(super) fn add(&mut self, step_s: f32, value: f64) -> Option<f64> {
        self.sum[0] += value;
        self.seconds[0] += step_s;
        self.samples = self.samples.saturating_add(1);
        if self.seconds[0] < ROW_S {
            return None;
        }
        let mean = self.sum[0] / f64::from(self.samples);
        *self = Self::default();
        Some(mean)
    }
}

/// Seconds from one sample to the next by the clock that moved less; 0 where none moved forward.
///
/// The boot clock starts anew with each boot and the wall clock jumps; what both agree on is true.
pub(super) fn seconds_between(before: At, after: At) -> f32 {
    if before == At::default() {
        return 0.0;
    }
    let by_boot_ns = after.boot_ns.saturating_sub(before.boot_ns);
    let by_wall_ms = after.wall_ms.saturating_sub(before.wall_ms).max(0);
    let by_boot_s = by_boot_ns as f32 / 1e9;
    let by_wall_s = by_wall_ms as f32 / 1e3;
    if by_boot_ns == 0 || by_wall_ms == 0 {
        by_boot_s.max(by_wall_s)
    } else {
        by_boot_s.min(by_wall_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot_s: u64, wall_s: i64) -> At {
        At {
            boot_ns: boot_s * 1_000_000_000,
            wall_ms: wall_s * 1000,
        }
    }

    #[test]
    fn clocks_that_jump_and_boots_do_not_stretch_time() {
        let before = at(1000, 50_000);
        for (after, seconds) in [
            (at(1030, 50_030), 30.0),
            // The wall clock jumped ahead, back, the host was booted, and both at once.
            (at(1030, 90_000), 30.0),
            (at(1030, 10_000), 30.0),
            (at(60, 50_100), 100.0),
            (at(60, 40_000), 0.0),
            (before, 0.0),
        ] {
            let found = seconds_between(before, after);
            assert!((found - seconds).abs() < 1e-3, "{after:?}: {found}");
        }
        assert!(seconds_between(At::default(), before) == 0.0);
    }

    #[test]
    fn a_sample_of_30_s_is_a_row_and_of_1_s_is_not() {
        let mut row = Row::default();
        assert_eq!(row.add(30.0, 0.1), Some(0.1));
        assert_eq!(row.add(30.0, 0.7), Some(0.7));
        let means: Vec<_> = (0..40).filter_map(|_| row.add(1.0, 3.0)).collect();
        assert_eq!(means, [3.0, 3.0]);
    }
}
