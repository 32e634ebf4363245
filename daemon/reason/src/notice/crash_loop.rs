//! A unit that systemd starts again and again: each crash alone looks like a hiccup.

use std::collections::VecDeque;

use hostmedic_model::{
    subject::UnitName,
    unit::{ActiveState, UnitState},
};

use super::table::Table;

/// Crashes within [`WITHIN_S`] that make a loop: a unit with a bad day has one or two.
const CRASHES_MIN: usize = 4;
pub(super) const WITHIN_S: u64 = 600;
/// Crashes remembered for one unit.
const CRASHES_MAX: usize = 16;
const UNITS_MAX: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct CrashLoops {
    units: Table<UnitName, Unit>,
}

#[derive(Clone, Debug)]
struct Unit {
    restarts: u32,
    is_failed: bool,
    crashes_s: VecDeque<u64>,
    /// Crashes that were told of.
    told: usize,
}

impl CrashLoops {
    pub(super) fn new() -> Self {
        Self {
            units: Table::new(UNITS_MAX),
        }
    }

    /// The number of crashes in the window, when it is time to tell of it: at 4, 8 and 16.
    pub(super) fn hear(&mut self, name: &UnitName, state: &UnitState, now_s: u64) -> Option<usize> {
        let is_failed = state.active == ActiveState::Failed;
        let unit = self.units.touch(name, now_s, || Unit {
            // What it did before it was first seen is nobody's news.
            restarts: state.n_restarts,
            is_failed,
            crashes_s: VecDeque::new(),
            told: 0,
        });
        let restarts = state.n_restarts.saturating_sub(unit.restarts);
        let restarts = usize::try_from(restarts).unwrap_or(CRASHES_MAX);
        let crashes = restarts.min(CRASHES_MAX) + usize::from(is_failed && !unit.is_failed);
        unit.restarts = state.n_restarts;
        unit.is_failed = is_failed;
        for _ in 0..crashes {
            if unit.crashes_s.len() == CRASHES_MAX {
                unit.crashes_s.pop_front();
            }
            unit.crashes_s.push_back(now_s);
        }
        unit.crashes_s
            .retain(|at_s| now_s.saturating_sub(*at_s) <= WITHIN_S);
        let count = unit.crashes_s.len();
        if count < CRASHES_MIN {
            unit.told = 0;
            return None;
        }
        (count >= CRASHES_MIN.max(unit.told * 2)).then(|| {
            unit.told = count;
            count
        })
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.units.forgotten()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn state(active: ActiveState, n_restarts: u32) -> UnitState {
        UnitState {
            active,
            sub: String::new(),
            result: String::new(),
            invocation_id: None,
            n_restarts,
        }
    }

    fn play(states: impl IntoIterator<Item = (u64, UnitState)>) -> Vec<usize> {
        let unit = UnitName::new("web.service").unwrap();
        let mut loops = CrashLoops::new();
        states
            .into_iter()
            .filter_map(|(now_s, state)| loops.hear(&unit, &state, now_s))
            .collect()
    }

    #[test]
    fn restarts_of_systemd_make_a_loop() {
        let restarts = (0..=16).map(|n| (u64::from(n) * 20, state(ActiveState::Active, n)));
        assert_eq!(play(restarts), [4, 8, 16]);
    }

    #[test]
    fn restarts_between_two_readings_count_too() {
        let at = |now_s, n| (now_s, state(ActiveState::Active, n));
        assert_eq!(play([at(0, 0), at(5, 5)]), [5]);
    }

    #[test]
    fn failing_over_and_over_is_a_loop_as_well() {
        use ActiveState::{Activating, Failed};
        let states = (0..8).flat_map(|n| {
            [
                (n * 60, state(Activating, 0)),
                (n * 60 + 5, state(Failed, 0)),
                (n * 60 + 6, state(Failed, 0)),
            ]
        });
        assert_eq!(play(states), [4, 8]);
    }

    #[test]
    fn now_and_then_is_no_loop() {
        let hourly = (0..50).map(|n| (u64::from(n) * 3600, state(ActiveState::Active, n)));
        assert_eq!(play(hourly), [0_usize; 0]);
        let old_counter = [
            (0, state(ActiveState::Active, 99)),
            (1, state(ActiveState::Active, 0)),
        ];
        assert_eq!(play(old_counter), [0_usize; 0]);
    }
}
