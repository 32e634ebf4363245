//! How often something happens a minute, against the same subject's own past.
//!
//! Counts of a minute are taken to be Poisson with a spread of their own: `phi` is how many times
//! wider than Poisson they have been. The square root of such a count has a spread of about
//! `sqrt(phi) / 2` whatever its mean (Anscombe, 1948), so one distance fits quiet and busy subjects.

use serde::{Deserialize, Serialize};

use crate::bits;

/// Minutes that the past reaches back: a day.
const PAST_MINUTES: u32 = 1440;
/// Minutes to have watched before anything is judged.
const WARM_MINUTES: u32 = 30;

/// How sure a surge must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strictness {
    /// Distance in spreads of the square root.
    pub(crate) spreads: f64,
    /// A count below it matters to nobody.
    pub(crate) count_min: f64,
    /// Minutes in a row.
    pub(crate) minutes: u32,
}

/// Counts of one kind about one subject.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    /// The running minute, and what was counted in it.
    minute: u64,
    count: f64,
    /// Mean and mean square of the minutes before, and how many they were (at most a day).
    mean: f64,
    square: f64,
    learned: u32,
    /// Minutes in a row, before the running one, that were beyond the limit.
    hot: u32,
    /// A surge was told and has not ended.
    pub(crate) is_on: bool,
}

/// What is kept of a [`Rate`] over a restart: a surge that goes on is one again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Past {
    minute: u64,
    /// Mean and mean square.
    #[serde(with = "bits")]
    moments: [f64; 2],
    learned: u32,
}

/// A count beyond what the past lets expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Surge {
    pub(crate) observed: f64,
    pub(crate) expected: f64,
}

impl Rate {
    /// Nothing has happened for the `watched` minutes before `minute`.
    pub(crate) fn new(minute: u64, watched: u64) -> Self {
        Self {
            minute,
            count: 0.0,
            mean: 0.0,
            square: 0.0,
            learned: u32::try_from(watched).map_or(PAST_MINUTES, |past| past.min(PAST_MINUTES)),
            hot: 0,
            is_on: false,
        }
    }

    /// What it has learned.
    pub(crate) fn past(&self) -> Past {
        Past {
            minute: self.minute,
            moments: [self.mean, self.square],
            learned: self.learned,
        }
    }

    /// Goes on from there, at `minute` or later; `None` if counts cannot have led to it.
    pub(crate) fn resume(past: &Past, minute: u64) -> Option<Self> {
        let [mean, square] = past.moments;
        let is_sound = past
            .moments
            .iter()
            .all(|number| number.is_finite() && *number >= 0.0)
            && past.learned <= PAST_MINUTES
            && past.minute <= minute;
        is_sound.then_some(Self {
            minute: past.minute,
            count: 0.0,
            mean,
            square,
            learned: past.learned,
            hot: 0,
            is_on: false,
        })
    }

    /// Counts, and says whether a surge begins here. `is_whole` tells whether the minute that ends
    /// may be learned from: one with losses may not.
    pub(crate) fn add(
        &mut self,
        minute: u64,
        count: u64,
        is_whole: impl Fn(u64) -> bool,
        strict: Strictness,
    ) -> Option<Surge> {
        self.roll(minute, is_whole, strict);
        self.count += count as f64;
        let is_hot = self.is_beyond(strict);
        if self.is_on || !is_hot || self.hot + 1 < strict.minutes {
            return None;
        }
        self.is_on = true;
        Some(Surge {
            observed: self.count,
            expected: self.mean,
        })
    }

    /// Ends the minutes before `minute`.
    pub(crate) fn roll(&mut self, minute: u64, is_whole: impl Fn(u64) -> bool, strict: Strictness) {
        let passed = minute.saturating_sub(self.minute);
        if passed == 0 {
            return;
        }
        let is_hot = self.is_beyond(strict);
        self.hot = if is_hot && passed == 1 {
            self.hot + 1
        } else {
            0
        };
        self.is_on &= is_hot && passed == 1;
        if is_whole(self.minute) {
            // A surge counts as much as the limit allows: it is learned, but slowly.
            self.learn(self.count.min(self.limit(strict)));
        }
        self.learn_nothing(passed - 1);
        self.minute = minute;
        self.count = 0.0;
    }

    fn learn(&mut self, count: f64) {
        self.learned = (self.learned + 1).min(PAST_MINUTES);
        let share = 1.0 / f64::from(self.learned);
        self.mean += (count - self.mean) * share;
        self.square += (count * count - self.square) * share;
    }

    /// Learns minutes in which nothing happened, however many, at once.
    fn learn_nothing(&mut self, minutes: u64) {
        let room = PAST_MINUTES - self.learned;
        let filling = u32::try_from(minutes).map_or(room, |minutes| minutes.min(room));
        if filling > 0 {
            let before = f64::from(self.learned);
            let kept = before / (before + f64::from(filling));
            self.learned += filling;
            self.mean *= kept;
            self.square *= kept;
        }
        let fading = minutes - u64::from(filling);
        let kept =
            (1.0 - 1.0 / f64::from(PAST_MINUTES)).powi(i32::try_from(fading).unwrap_or(i32::MAX));
        self.mean *= kept;
        self.square *= kept;
    }

    fn is_beyond(&self, strict: Strictness) -> bool {
        self.learned >= WARM_MINUTES
            && self.count >= strict.count_min
            && self.count > self.limit(strict)
    }

    /// Counts above it are not to be expected.
    fn limit(&self, strict: Strictness) -> f64 {
        let variance = (self.square - self.mean * self.mean).max(0.0);
        // Below one event a minute the ratio says little.
        let phi = (variance / self.mean.max(1.0)).max(1.0);
        // The mean itself is known no better than the minutes allow.
        let doubt = 3.0 * ((phi * self.mean + 1.0) / f64::from(self.learned.max(1))).sqrt();
        let root = (self.mean + doubt).sqrt() + strict.spreads * phi.sqrt() / 2.0;
        root * root
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STRICT: Strictness = Strictness {
        spreads: 6.0,
        count_min: 5.0,
        minutes: 2,
    };

    fn play(counts: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut rate = Rate::new(0, 0);
        let minutes = (0_u64..).zip(counts);
        minutes
            .filter_map(|(minute, count)| rate.add(minute, count, |_| true, STRICT).map(|_| minute))
            .collect()
    }

    #[test]
    fn a_host_that_always_drops_is_quiet() {
        assert_eq!(
            play((0..3000).map(|minute| 180 + (minute * 7) % 23)),
            [0_u64; 0]
        );
    }

    #[test]
    fn a_bursty_one_is_quiet_about_its_bursts() {
        let bursts = |minute: u64| if minute.is_multiple_of(30) { 900 } else { 3 };
        // The first bursts come before its habit is known.
        let told = play((0..4000).map(bursts));
        assert!(told.iter().all(|minute| *minute < 200), "{told:?}");
    }

    #[test]
    fn a_surge_is_told_once_in_its_second_minute() {
        let told = play((0..300).map(|minute| if minute >= 200 { 900 } else { 180 }));
        assert_eq!(told, [201]);
    }

    #[test]
    fn a_surge_that_stays_becomes_the_habit() {
        let mut rate = Rate::new(0, 1440);
        for minute in 0..5000 {
            rate.add(minute, 500, |_| true, STRICT);
        }
        assert!(!rate.is_on);
        assert!((rate.mean - 500.0).abs() < 50.0, "{}", rate.mean);
    }

    #[test]
    fn minutes_with_losses_teach_nothing() {
        let mut rate = Rate::new(0, 60);
        for minute in 0..100 {
            rate.add(minute, 0, |_| false, STRICT);
        }
        assert_eq!(rate.learned, 60);
    }

    proptest! {
        #[test]
        fn silence_at_once_is_silence_minute_by_minute(quiet in 1_u64..3000, count in 0_u64..10_000) {
            let (mut slow, mut fast) = (Rate::new(0, 40), Rate::new(0, 40));
            for rate in [&mut slow, &mut fast] {
                rate.add(0, count, |_| true, STRICT);
            }
            for minute in 1..=quiet {
                slow.roll(minute, |_| true, STRICT);
            }
            fast.roll(quiet, |_| true, STRICT);
            prop_assert!((slow.mean - fast.mean).abs() <= 1e-6 * (1.0 + slow.mean));
            prop_assert_eq!(slow.learned, fast.learned);
        }

        #[test]
        fn any_counts_leave_numbers_finite(
            counts in prop::collection::vec((0_u64..=u64::MAX, 0_u64..=u64::MAX), 1..100)
        ) {
            let mut rate = Rate::new(0, 0);
            for (minute, count) in counts {
                rate.add(minute, count, |_| true, STRICT);
                prop_assert!(rate.mean.is_finite() && rate.square.is_finite());
                prop_assert!(rate.limit(STRICT).is_finite());
            }
        }
    }
}
