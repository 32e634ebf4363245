//! What came regularly and comes no more: a missing signal is a signal.

use hostmedic_model::subject::{Subject, UnitName};
use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::bits;

/// Numbers, or starts, that must have come before their absence means anything.
const NUMBERS_MIN: u32 = 20;
const STARTS_MIN: u32 = 5;
/// Nothing is silent before this, however fast it came.
const SILENCE_MIN_S: u64 = 300;
/// A timer may be late by this: `RandomizedDelaySec`, a busy host.
const LATE_S: u64 = 600;
/// Numbers that must have come in this run: what is not asked for any more, or less often, since the
/// daemon was set up anew is no silence.
const NUMBERS_HEARD_MIN: u32 = 2;
const KEPT_MAX: usize = 4096;

/// How regularly something came, by the seconds that were watched: time that the host was asleep or
/// the daemon blind does not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Habit {
    last_s: u64,
    /// Longest pause, slowly forgotten.
    #[serde(with = "bits::one")]
    pause_s: f64,
    times: u32,
    is_told: bool,
    /// How often it came in this run.
    #[serde(skip)]
    heard: u32,
}

/// What is kept over a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    numbers: Vec<(Subject, u64, Habit)>,
    starts: Vec<(UnitName, u64, Option<String>, Habit)>,
}

impl Kept {
    /// How many habits.
    pub(super) fn len(&self) -> usize {
        self.numbers.len() + self.starts.len()
    }
}

impl Habit {
    fn new(now_s: u64) -> Self {
        Self {
            last_s: now_s,
            pause_s: 0.0,
            times: 0,
            is_told: false,
            heard: 0,
        }
    }

    /// Whether it can have come about by `now_s`.
    fn is_sound(&self, now_s: u64) -> bool {
        self.last_s <= now_s && self.pause_s.is_finite() && self.pause_s >= 0.0
    }

    fn came(&mut self, now_s: u64) {
        let pause_s = now_s.saturating_sub(self.last_s);
        if pause_s == 0 {
            return;
        }
        self.pause_s = (pause_s as f64).max(self.pause_s * 0.95);
        self.times = self.times.saturating_add(1);
        self.heard = self.heard.saturating_add(1);
        self.last_s = now_s;
        self.is_told = false;
    }

    /// Seconds since it came last, told once when they are more than `pauses` of its longest pause
    /// and `grace_s`.
    fn missed(&mut self, now_s: u64, times_min: u32, pauses: f64, grace_s: u64) -> Option<Missed> {
        let since_s = now_s.saturating_sub(self.last_s);
        let is_missed =
            self.times >= times_min && since_s as f64 > pauses * self.pause_s + grace_s as f64;
        (is_missed && !std::mem::replace(&mut self.is_told, is_missed)).then_some(Missed {
            since_s,
            pause_s: self.pause_s,
        })
    }
}

/// How long it did not come, and how long its pauses were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Missed {
    pub(super) since_s: u64,
    pub(super) pause_s: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Silence {
    numbers: Table<Subject, Habit>,
    starts: Table<UnitName, (Option<String>, Habit)>,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self {
            numbers: Table::new(KEPT_MAX),
            starts: Table::new(KEPT_MAX),
        }
    }

    /// What is to be kept over a restart.
    pub(super) fn kept(&self) -> Kept {
        Kept {
            numbers: self
                .numbers
                .rows()
                .map(|(subject, touched_s, habit)| (subject.clone(), touched_s, habit.clone()))
                .collect(),
            starts: self
                .starts
                .rows()
                .map(|(unit, touched_s, (run, habit))| {
                    (unit.clone(), touched_s, run.clone(), habit.clone())
                })
                .collect(),
        }
    }

    /// Goes on from what was kept when `now_s` seconds had been watched; `None` if nothing that came
    /// can have led to it.
    pub(super) fn resume(kept: Kept, now_s: u64) -> Option<Self> {
        let mut silence = Self::new();
        for (subject, touched_s, habit) in kept.numbers {
            if !habit.is_sound(now_s) {
                return None;
            }
            silence
                .numbers
                .touch(&subject, touched_s.min(now_s), || habit);
        }
        for (unit, touched_s, run, habit) in kept.starts {
            if !habit.is_sound(now_s) {
                return None;
            }
            silence
                .starts
                .touch(&unit, touched_s.min(now_s), || (run, habit));
        }
        Some(silence)
    }

    /// A number about `subject` came.
    pub(super) fn number(&mut self, subject: &Subject, now_s: u64) {
        self.numbers
            .touch(subject, now_s, || Habit::new(now_s))
            .came(now_s);
    }

    /// A unit is in this run now.
    pub(super) fn run(&mut self, unit: &UnitName, invocation: &str, now_s: u64) {
        let (known, habit) = self.starts.touch(unit, now_s, || (None, Habit::new(now_s)));
        if known.as_deref() != Some(invocation) {
            if known.is_some() {
                habit.came(now_s);
            }
            *known = Some(invocation.to_owned());
        }
    }

    /// Subjects whose numbers stay away. `is_expected` tells whether there should be any.
    pub(super) fn silent(
        &mut self,
        now_s: u64,
        is_expected: impl Fn(&Subject) -> bool,
    ) -> Vec<(Subject, Missed)> {
        let mut silent = Vec::new();
        let mut gone = Vec::new();
        let numbers = self.numbers.iter_mut();
        for (subject, habit) in numbers.filter(|(_, habit)| habit.heard >= NUMBERS_HEARD_MIN) {
            if let Some(missed) = habit.missed(now_s, NUMBERS_MIN, 5.0, SILENCE_MIN_S) {
                if is_expected(subject) {
                    silent.push((subject.clone(), missed));
                } else {
                    gone.push(subject.clone());
                }
            }
        }
        for subject in gone {
            self.numbers.remove(&subject);
        }
        silent
    }

    /// Whether `unit`, which a timer starts, should have been started by now.
    pub(super) fn not_started(&mut self, unit: &UnitName, now_s: u64) -> Option<Missed> {
        let (_, habit) = self.starts.get_mut(unit)?;
        habit.missed(now_s, STARTS_MIN, 2.0, LATE_S)
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.numbers.forgotten() + self.starts.forgotten()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn numbers_that_stop_are_told_once_and_again_after_they_came() {
        let mut silence = Silence::new();
        let count = |silence: &mut Silence, now_s| silence.silent(now_s, |_| true).len();
        for now_s in (0..600).step_by(10) {
            silence.number(&Subject::Host, now_s);
            assert_eq!(count(&mut silence, now_s), 0);
        }
        assert_eq!(count(&mut silence, 900), 0);
        assert_eq!(count(&mut silence, 1000), 1);
        assert_eq!(count(&mut silence, 2000), 0);
        silence.number(&Subject::Host, 2001);
        assert_eq!(count(&mut silence, 2002), 0);
    }

    #[test]
    fn what_came_seldom_or_is_not_expected_is_not_missed() {
        let mut silence = Silence::new();
        for now_s in 0..10 {
            silence.number(&Subject::Host, now_s * 10);
        }
        assert!(silence.silent(100_000, |_| true).is_empty());
        for now_s in 0..30 {
            silence.number(&Subject::Host, now_s * 10);
        }
        assert!(silence.silent(100_000, |_| false).is_empty());
    }

    #[test]
    fn work_that_is_not_started_is_missed_after_two_pauses() {
        let backup = UnitName::new("backup.service").unwrap();
        let mut silence = Silence::new();
        for run in 0..8_u64 {
            silence.run(&backup, &run.to_string(), run * 3600);
            silence.run(&backup, &run.to_string(), run * 3600 + 60);
        }
        let last_s = 7 * 3600;
        assert_eq!(silence.not_started(&backup, last_s + 7200), None);
        let missed = silence.not_started(&backup, last_s + 7801).unwrap();
        assert_eq!((missed.since_s, missed.pause_s), (7801, 3600.0));
        assert_eq!(silence.not_started(&backup, last_s + 9000), None);
    }
}
