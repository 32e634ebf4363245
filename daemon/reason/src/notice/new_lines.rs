//! A kind of line that a unit never wrote before, and now writes again and again.
//!
//! What a unit writes in its first half hour, and what has been about for ten minutes without
//! becoming many, is its habit and is not told of.

use std::collections::VecDeque;

use hostmedic_model::{
    signal::{LogLines, LogPriority},
    subject::UnitName,
    unit::UnitState,
};

use super::table::Table;

/// A unit must have been watched for so long: what it writes until then is its habit.
const WARM_S: u64 = 1800;
/// While a unit starts it writes what it does not write otherwise.
const GRACE_S: u64 = 120;
/// So long a kind of line is new.
const NEW_S: u64 = 600;
/// Lines of one kind within it are many.
pub(super) const WITHIN_S: u64 = 60;
const ERRORS_MIN: u64 = 5;
const WARNINGS_MIN: u64 = 20;
/// What becomes many within this time after something was told of the same unit belongs to it: the
/// lines of one stack trace are kinds of their own.
const TOGETHER_S: u64 = 60;

/// Units that were seen, units whose lines are kept, and kinds of lines of one of them. The miner
/// knows 64 kinds of a unit at a time; twice as many must have come and gone.
const UNITS_MAX: usize = 4096;
const WRITERS_MAX: usize = 256;
const KINDS_MAX: usize = 128;
/// Summaries of one kind that count: one comes every few seconds.
const RECENT_MAX: usize = 64;

/// Since when units are watched, and what they write.
#[derive(Clone, Debug)]
pub(super) struct NewLines {
    units: Table<UnitName, Watched>,
    writers: Table<UnitName, Writer>,
}

#[derive(Clone, Debug)]
struct Watched {
    since_s: u64,
    invocation: Option<String>,
    /// When it was last started, if that was seen.
    started_s: Option<u64>,
}

#[derive(Clone, Debug)]
struct Writer {
    /// What came before this is habit.
    judged_from_s: u64,
    kinds: Table<u64, Kind>,
    told_s: Option<u64>,
}

#[derive(Clone, Debug)]
enum Kind {
    Habit,
    New {
        /// When it came; a start of the unit lasts for a while.
        since_s: u64,
        /// Lines, and when they were heard.
        recent: VecDeque<(u64, u64)>,
        is_told: bool,
    },
}

impl NewLines {
    pub(super) fn new() -> Self {
        Self {
            units: Table::new(UNITS_MAX),
            writers: Table::new(WRITERS_MAX),
        }
    }

    /// Takes in a state of a unit.
    pub(super) fn state(&mut self, name: &UnitName, state: &UnitState, now_s: u64) {
        let unit = self.units.touch(name, now_s, || Watched {
            since_s: now_s,
            invocation: state.invocation_id.clone(),
            started_s: None,
        });
        if state.invocation_id.is_some() && state.invocation_id != unit.invocation {
            unit.invocation.clone_from(&state.invocation_id);
            unit.started_s = Some(now_s);
        }
    }

    /// Takes in lines; gives how many there are within [`WITHIN_S`] if they are new, many, and not
    /// told of yet.
    pub(super) fn hear(&mut self, name: &UnitName, lines: &LogLines, now_s: u64) -> Option<u64> {
        if !is_service(name) {
            return None;
        }
        let unit = self.units.touch(name, now_s, || Watched {
            since_s: now_s,
            invocation: None,
            started_s: None,
        });
        // Whether a unit whose habits were forgotten is among the new ones nobody knows.
        let since_s = if self.writers.forgotten() == 0 {
            unit.since_s
        } else {
            now_s
        };
        let writer = self.writers.touch(name, now_s, || Writer {
            judged_from_s: since_s + WARM_S,
            kinds: Table::new(KINDS_MAX),
            told_s: None,
        });
        let grace_ends_s = unit.started_s.map_or(0, |started_s| started_s + GRACE_S);
        let judged_from_s = writer.judged_from_s;
        // The same holds for the kinds: who has more than can be kept has no settled ones.
        let is_settled = writer.kinds.forgotten() == 0;
        let kind = writer.kinds.touch(&lines.id, now_s, || {
            if now_s < judged_from_s || !is_settled {
                return Kind::Habit;
            }
            Kind::New {
                since_s: now_s.max(grace_ends_s),
                recent: VecDeque::new(),
                is_told: false,
            }
        });
        let Kind::New {
            since_s,
            recent,
            is_told,
        } = kind
        else {
            return None;
        };
        if now_s.saturating_sub(*since_s) > NEW_S {
            *kind = Kind::Habit;
            return None;
        }
        if now_s < grace_ends_s {
            return None;
        }
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back((now_s, lines.count));
        recent.retain(|(at_s, _)| now_s.saturating_sub(*at_s) < WITHIN_S);
        let count = recent.iter().map(|(_, count)| *count).sum();
        let least = match lines.priority {
            LogPriority::Warning => WARNINGS_MIN,
            _ => ERRORS_MIN,
        };
        if *is_told || count < least {
            return None;
        }
        *is_told = true;
        let together = |told_s| now_s.saturating_sub(told_s) < TOGETHER_S;
        if writer.told_s.is_some_and(together) {
            return None;
        }
        writer.told_s = Some(now_s);
        Some(count)
    }

    /// Whether lines of this kind are new for their unit.
    pub(super) fn is_new(&self, name: &UnitName, id: u64) -> bool {
        let kind = self
            .writers
            .get(name)
            .and_then(|writer| writer.kinds.get(&id));
        matches!(kind, Some(Kind::New { .. }))
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.units.forgotten() + self.writers.forgotten()
    }
}

/// Sessions of people write what people do; only services have a habit.
fn is_service(unit: &UnitName) -> bool {
    unit.as_str().ends_with(".service") && !unit.as_str().starts_with("user@")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::unit::ActiveState;
    use proptest::prelude::*;

    use super::*;

    const ERROR: LogPriority = LogPriority::Error;
    /// Long after everything is warm.
    const LATER_S: u64 = 10_000;

    fn unit(name: &str) -> UnitName {
        UnitName::new(name).unwrap()
    }

    fn lines(id: u64, count: u64, priority: LogPriority) -> LogLines {
        LogLines {
            template: format!("kind {id}"),
            id,
            count,
            priority,
            left_out: 0,
        }
    }

    fn state(invocation: &str) -> UnitState {
        UnitState {
            active: ActiveState::Active,
            sub: "running".to_owned(),
            result: String::new(),
            invocation_id: Some(invocation.to_owned()),
            n_restarts: 0,
        }
    }

    /// A host whose `web.service` ran when the daemon started.
    fn watching() -> NewLines {
        let mut new = NewLines::new();
        new.state(&unit("web.service"), &state("a"), 0);
        new
    }

    /// The moments at which a notice came of lines at these.
    fn told(
        new: &mut NewLines,
        id: u64,
        count: u64,
        priority: LogPriority,
        at: impl IntoIterator<Item = u64>,
    ) -> Vec<(u64, u64)> {
        let web = unit("web.service");
        at.into_iter()
            .filter_map(|now_s| {
                let told = new.hear(&web, &lines(id, count, priority), now_s)?;
                Some((now_s, told))
            })
            .collect()
    }

    #[test]
    fn a_new_burst_is_told_once() {
        let mut new = watching();
        let burst = (LATER_S..LATER_S + 3000).step_by(5);
        assert_eq!(told(&mut new, 1, 2, ERROR, burst), [(LATER_S + 10, 6)]);
        assert!(!new.is_new(&unit("web.service"), 1), "it is a habit by now");
        // Of warnings there must be more.
        let burst = (20_000..20_100).step_by(5);
        assert_eq!(
            told(&mut new, 2, 2, LogPriority::Warning, burst),
            [(20_045, 20)]
        );
    }

    #[test]
    fn a_few_lines_are_no_burst_and_then_a_habit() {
        let mut new = watching();
        let seldom = (LATER_S..LATER_S + 900).step_by(20);
        assert_eq!(told(&mut new, 1, 1, ERROR, seldom), []);
        assert_eq!(told(&mut new, 1, 500, ERROR, [LATER_S + 900]), []);
    }

    #[test]
    fn what_a_unit_writes_in_its_first_half_hour_is_its_habit() {
        let mut new = watching();
        assert_eq!(told(&mut new, 1, 500, ERROR, [10, 20, LATER_S]), []);
        // One that nobody saw before warms up from its first line.
        let late = unit("late.service");
        assert_eq!(new.hear(&late, &lines(1, 500, ERROR), LATER_S), None);
        assert_eq!(new.hear(&late, &lines(2, 500, ERROR), LATER_S + 1799), None);
        let after = LATER_S + 1800;
        assert_eq!(new.hear(&late, &lines(3, 500, ERROR), after), Some(500));
    }

    #[test]
    fn a_start_has_its_own_lines_but_not_for_ever() {
        let mut new = watching();
        new.state(&unit("web.service"), &state("b"), LATER_S);
        assert_eq!(told(&mut new, 1, 500, ERROR, [LATER_S, LATER_S + 60]), []);
        // What goes on after the start is trouble.
        let after = LATER_S + GRACE_S;
        assert_eq!(told(&mut new, 1, 500, ERROR, [after]), [(after, 500)]);
    }

    #[test]
    fn the_kinds_of_one_burst_are_told_together() {
        let mut new = watching();
        let mut count = 0;
        for id in 0..20 {
            count += told(&mut new, id, 9, ERROR, [LATER_S + id]).len();
        }
        assert_eq!(count, 1);
        // What comes an hour later is another matter.
        assert_eq!(told(&mut new, 99, 9, ERROR, [LATER_S + 3600]).len(), 1);
    }

    #[test]
    fn who_writes_ever_other_lines_is_not_told_of_and_costs_no_other_unit_its_habits() {
        let mut new = watching();
        let calm = unit("calm.service");
        new.hear(&calm, &lines(1, 1, ERROR), 0);
        for id in 0..10_000 {
            new.hear(&unit("web.service"), &lines(id, 1, ERROR), 10);
        }
        let news = (20_000..20_500).filter_map(|id| {
            let now_s = LATER_S + id * 100;
            new.hear(&unit("web.service"), &lines(id, 50, ERROR), now_s)
        });
        assert_eq!(news.count(), 0);
        assert_eq!(new.hear(&calm, &lines(1, 500, ERROR), LATER_S), None);
        assert_eq!(new.hear(&calm, &lines(2, 500, ERROR), LATER_S), Some(500));
        let session = unit("session-1.scope");
        assert_eq!(new.hear(&session, &lines(2, 500, ERROR), LATER_S), None);
    }

    proptest! {
        #[test]
        fn any_lines_stay_within_the_room(
            heard in prop::collection::vec((0_u16..500, 0_u64..300, 0_u64..9000), 0..2000),
        ) {
            let mut new = NewLines::new();
            for (number, id, now_s) in heard {
                let name = unit(&format!("u{number}.service"));
                new.hear(&name, &lines(id, u64::MAX / 4096, ERROR), now_s);
            }
            prop_assert!(new.writers.len() <= WRITERS_MAX && new.units.len() <= UNITS_MAX);
            for (_, writer) in new.writers.iter_mut() {
                prop_assert!(writer.kinds.len() <= KINDS_MAX);
            }
        }
    }
}
