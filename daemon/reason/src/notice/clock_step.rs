//! A wall clock that was set: from then on moments in logs and timers mean something else.

use hostmedic_model::{anomaly::Severity, time::At};

/// A step below it harms nobody; NTP steps from 128 ms on.
const STEP_MS: u64 = 2000;
/// A step from this on makes timers and certificates wrong.
const FAR_MS: u64 = 60_000;
/// adjtimex(2) slews by at most 500 ppm: this share of the time that passed is no step.
const SLEW_SHARE: u64 = 1000;

/// The two clocks when they were last compared.
#[derive(Clone, Debug, Default)]
pub(super) struct ClockStep {
    last: Option<At>,
}

impl ClockStep {
    /// By how many milliseconds the wall clock was set since the last look, and how bad that is.
    pub(super) fn look(&mut self, at: At) -> Option<(i64, Severity)> {
        let Some(last) = self.last else {
            self.last = Some(at);
            return None;
        };
        if at.boot_ns <= last.boot_ns {
            // An answer that was delayed brings both clocks of an earlier moment.
            return None;
        }
        self.last = Some(at);
        let passed_ms = (at.boot_ns - last.boot_ns) / 1_000_000;
        let step_ms = at
            .wall_ms
            .saturating_sub(last.wall_ms)
            .saturating_sub(i64::try_from(passed_ms).unwrap_or(i64::MAX));
        let far = step_ms.unsigned_abs();
        if far <= STEP_MS + passed_ms / SLEW_SHARE {
            return None;
        }
        let severity = if far >= FAR_MS {
            Severity::Warning
        } else {
            Severity::Info
        };
        Some((step_ms, severity))
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
    fn both_directions_are_seen_once() {
        let mut clock = ClockStep::default();
        assert_eq!(clock.look(at(10, 1000)), None);
        assert_eq!(clock.look(at(11, 1001)), None);
        assert_eq!(clock.look(at(12, 1012)), Some((10_000, Severity::Info)));
        assert_eq!(clock.look(at(13, 1013)), None);
        assert_eq!(
            clock.look(at(14, 14)),
            Some((-1_000_000, Severity::Warning))
        );
        assert_eq!(clock.look(at(15, 15)), None);
    }

    #[test]
    fn a_suspend_and_a_late_answer_are_no_steps() {
        let mut clock = ClockStep::default();
        clock.look(at(10, 1000));
        // `CLOCK_BOOTTIME` runs on while the host sleeps.
        assert_eq!(clock.look(at(36_010, 37_000)), None);
        assert_eq!(clock.look(at(36_005, 36_995)), None);
        assert_eq!(clock.look(at(36_011, 37_001)), None);
    }
}
