//! An interface whose link goes and comes again and again: a bad cable, plug or port, which each
//! change alone does not show.

use std::collections::VecDeque;

use hostmedic_model::subject::Subject;

use super::table::Table;

/// Losses of the link within [`WITHIN_S`] that are flapping. A pulled cable is one; a switch that
/// restarts takes the link two or three times, as its ports come up, are set up and come up again.
const DOWNS_MIN: u64 = 4;
pub(super) const WITHIN_S: u64 = 600;
/// A bout is over when no more than this is left of it in the window.
const OVER_DOWNS: u64 = 1;
/// Losses are counted by the minute, so that a link that flaps all the time needs no more room.
const MINUTE_S: u64 = 60;
const LINKS_MAX: usize = 1024;

/// Losses of each interface's link.
#[derive(Clone, Debug)]
pub(super) struct LinkFlaps {
    links: Table<Subject, Link>,
}

#[derive(Clone, Debug, Default)]
struct Link {
    /// Minute and losses in it, oldest first; those of the window, so at most ten.
    downs: VecDeque<(u64, u64)>,
    /// Whether this bout was told of.
    is_told: bool,
}

impl LinkFlaps {
    pub(super) fn new() -> Self {
        Self {
            links: Table::new(LINKS_MAX),
        }
    }

    /// The losses in the window when they become flapping, once for each bout.
    pub(super) fn hear(&mut self, subject: &Subject, downs: u64, now_s: u64) -> Option<u64> {
        if downs == 0 {
            return None;
        }
        let link = self.links.touch(subject, now_s, Link::default);
        let minute = now_s / MINUTE_S;
        link.downs
            .retain(|(then, _)| minute.saturating_sub(*then) < WITHIN_S / MINUTE_S);
        if link.count() <= OVER_DOWNS {
            link.is_told = false;
        }
        match link.downs.back_mut() {
            Some((newest, count)) if *newest == minute => *count = count.saturating_add(downs),
            _ => link.downs.push_back((minute, downs)),
        }
        let count = link.count();
        if link.is_told || count < DOWNS_MIN {
            return None;
        }
        link.is_told = true;
        Some(count)
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.links.forgotten()
    }
}

impl Link {
    fn count(&self) -> u64 {
        self.downs
            .iter()
            .fold(0, |sum, (_, downs)| sum.saturating_add(*downs))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Moments at which flapping was told of, with the count.
    fn play(downs: impl IntoIterator<Item = (u64, u64)>) -> Vec<(u64, u64)> {
        let eth0 = Subject::Interface("eth0".to_owned());
        let mut flaps = LinkFlaps::new();
        downs
            .into_iter()
            .filter_map(|(now_s, downs)| Some((now_s, flaps.hear(&eth0, downs, now_s)?)))
            .collect()
    }

    #[test]
    fn a_pulled_cable_and_a_switch_that_restarts_are_no_flapping() {
        assert_eq!(play([(100, 1), (130, 0)]), []);
        assert_eq!(play([(100, 1), (150, 1), (180, 1), (210, 0)]), []);
        // Once an hour for a week.
        assert_eq!(play((0..168).map(|hour| (hour * 3600, 1))), []);
    }

    #[test]
    fn a_bad_cable_is_told_once_and_again_after_calm() {
        let bout = |begin: u64| (0..200).map(move |n| (begin + n * 30, 1));
        assert_eq!(play(bout(0)), [(90, 4)]);
        assert_eq!(
            play(bout(0).chain(bout(20_000))),
            [(90, 4), (20_090, 4)],
            "each bout is news"
        );
    }

    #[test]
    fn many_losses_between_two_readings_count_all() {
        assert_eq!(play([(30, 7)]), [(30, 7)]);
        assert_eq!(play([(30, u64::MAX), (60, u64::MAX)]), [(30, u64::MAX)]);
    }

    #[test]
    fn one_that_slows_down_is_the_same_bout_until_it_is_calm() {
        let slow = (1..20).map(|n| (90 + n * 250, 1));
        let again = (0..4).map(|n| (5_000 + n * 10, 1));
        let fast = (0..4).map(|n| (n * 30, 1));
        assert_eq!(play(fast.chain(slow).chain(again)), [(90, 4)]);
    }

    #[test]
    fn links_do_not_share_what_they_lost() {
        let mut flaps = LinkFlaps::new();
        for name in ["eth0", "eth1", "eth2", "eth3"] {
            let subject = Subject::Interface(name.to_owned());
            assert_eq!(flaps.hear(&subject, 1, 10), None);
        }
    }

    proptest! {
        /// Whatever comes: a row is small, and who is told of was lost often enough.
        #[test]
        fn it_stays_small_and_never_cries_early(
            steps in prop::collection::vec((0_u64..400, 0_u64..3), 1..300),
        ) {
            let eth0 = Subject::Interface("eth0".to_owned());
            let mut flaps = LinkFlaps::new();
            let mut heard: Vec<(u64, u64)> = Vec::new();
            let mut now_s = 0;
            for (step_s, downs) in steps {
                now_s += step_s;
                heard.push((now_s, downs));
                let told = flaps.hear(&eth0, downs, now_s);
                let rows = flaps.links.get(&eth0).map_or(0, |link| link.downs.len());
                prop_assert!(rows <= 10, "{rows} rows");
                let within = heard.iter().filter(|(then, _)| now_s - then <= WITHIN_S);
                let lost: u64 = within.map(|(_, downs)| downs).sum();
                prop_assert!(told.is_none_or(|told| told >= DOWNS_MIN && told <= lost));
            }
        }
    }
}
