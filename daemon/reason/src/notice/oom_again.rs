//! The out-of-memory killer that comes back to the same subject: what a restart does not heal.

use std::collections::VecDeque;

use hostmedic_model::subject::Subject;

use super::table::Table;

/// How far back kills belong together.
pub(super) const WITHIN_MS: i64 = 24 * 3_600_000;
/// Kills this close to the one before are the same lack of memory.
const SAME_MS: i64 = 120_000;
const KILLS_MAX: usize = 16;
const SUBJECTS_MAX: usize = 1024;

/// By the wall clock, because kills before a reboot count, too.
#[derive(Clone, Debug)]
pub(super) struct OomAgain {
    kills_ms: Table<Subject, VecDeque<i64>>,
}

impl OomAgain {
    pub(super) fn new() -> Self {
        Self {
            kills_ms: Table::new(SUBJECTS_MAX),
        }
    }

    /// How often within a day, when this is not the first time.
    pub(super) fn hear(&mut self, subject: &Subject, wall_ms: i64) -> Option<usize> {
        // Rows go by age of the wall clock here; one before 1970 is as old as can be.
        let now_s = u64::try_from(wall_ms / 1000).unwrap_or(0);
        let kills = self.kills_ms.touch(subject, now_s, VecDeque::new);
        let is_same = kills
            .back()
            .is_some_and(|last| wall_ms.abs_diff(*last) <= SAME_MS.unsigned_abs());
        if is_same {
            // The newest of them counts, so that a row of kills does not become two.
            kills.pop_back();
        }
        kills.retain(|at_ms| wall_ms.abs_diff(*at_ms) <= WITHIN_MS.unsigned_abs());
        if kills.len() == KILLS_MAX {
            kills.pop_front();
        }
        kills.push_back(wall_ms);
        (!is_same && kills.len() > 1).then_some(kills.len())
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.kills_ms.forgotten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(minutes: &[i64]) -> Vec<usize> {
        let mut oom = OomAgain::new();
        minutes
            .iter()
            .filter_map(|minute| oom.hear(&Subject::Host, minute * 60_000))
            .collect()
    }

    #[test]
    fn kills_of_one_moment_are_one() {
        assert_eq!(play(&[10, 10, 11, 12, 13]), [0_usize; 0]);
    }

    #[test]
    fn each_return_within_a_day_is_told() {
        assert_eq!(play(&[0, 300, 301, 700]), [2, 3]);
    }

    #[test]
    fn after_a_day_it_is_the_first_again() {
        assert_eq!(play(&[0, 24 * 60 + 1]), [0_usize; 0]);
    }
}
