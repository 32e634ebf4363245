//! When a high score becomes a notification: once an episode, not once a row.

use serde::{Deserialize, Serialize};

use crate::bits;

/// Seconds after a notification without another.
const QUIET_S: i64 = 3600;
/// By how much a score must top its episode to be worth another notification.
const HIGHER: f64 = 0.3;

/// The episode that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Notifier {
    /// Seconds of observed time since the last notification; saturates.
    since_s: i64,
    /// Seconds since the score was last at the threshold.
    calm_s: i64,
    /// Highest score of the episode.
    #[serde(with = "bits")]
    top: [f64; 1],
}

impl Default for Notifier {
    fn default() -> Self {
        Self {
            since_s: QUIET_S,
            calm_s: QUIET_S,
            top: [f64::NEG_INFINITY],
        }
    }
}

impl Notifier {
    /// Whether a notification goes out at this row, `interval_s` after the one before.
    ///
    /// `over` is the score above the threshold.
    pub(super) fn row(&mut self, over: f64, interval_s: i64) -> bool {
        self.since_s = self.since_s.saturating_add(interval_s).min(QUIET_S);
        self.calm_s = self.calm_s.saturating_add(interval_s).min(QUIET_S);
        if over < 0.0 {
            return false;
        }
        let fresh = self.calm_s >= QUIET_S;
        self.calm_s = 0;
        if self.since_s < QUIET_S || !(fresh || over >= self.top[0] + HIGHER) {
            self.top[0] = self.top[0].max(over);
            return false;
        }
        self.since_s = 0;
        self.top[0] = over;
        true
    }
}
