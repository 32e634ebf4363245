//! Counters of the memory controller and what rose between two rounds. Pure.

use std::collections::BTreeMap;

use hostmedic_model::signal::MemoryEvent;

/// The counters of one cgroup's `memory.events.local`; those a kernel lacks are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's names")]
pub struct Counts {
    pub low: u64,
    pub high: u64,
    pub max: u64,
    pub oom: u64,
    pub oom_kill: u64,
    pub oom_group_kill: u64,
}

impl Counts {
    /// By how much each rose; one that fell did not.
    fn since(self, before: Self) -> Self {
        Self {
            low: self.low.saturating_sub(before.low),
            high: self.high.saturating_sub(before.high),
            max: self.max.saturating_sub(before.max),
            oom: self.oom.saturating_sub(before.oom),
            oom_kill: self.oom_kill.saturating_sub(before.oom_kill),
            oom_group_kill: self.oom_group_kill.saturating_sub(before.oom_group_kill),
        }
    }

    /// Those that are not zero.
    pub(super) fn each(self) -> impl Iterator<Item = (MemoryEvent, u64)> {
        let all = [
            (MemoryEvent::Low, self.low),
            (MemoryEvent::High, self.high),
            (MemoryEvent::Max, self.max),
            (MemoryEvent::Oom, self.oom),
            (MemoryEvent::OomKill, self.oom_kill),
            (MemoryEvent::OomGroupKill, self.oom_group_kill),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }
}

/// One cgroup in one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cgroup {
    /// Its identity: a cgroup that was removed and made again has another.
    pub(super) inode: u64,
    pub(super) counts: Counts,
}

/// All that was read at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// Whether every cgroup was read, so that one not in it did not exist.
    pub(super) is_complete: bool,
    /// By path.
    pub(super) cgroups: BTreeMap<String, Cgroup>,
}

impl Round {
    /// What rose since `before`, by path. A cgroup made since then counts from zero; it is known
    /// to be one by another inode, or because the round before was complete without it. Nothing
    /// rose in the first round.
    pub(super) fn since(&self, before: Option<&Self>) -> Vec<(String, Counts)> {
        let Some(before) = before else {
            return Vec::new();
        };
        let rose = self.cgroups.iter().filter_map(|(path, now)| {
            let base = match before.cgroups.get(path) {
                Some(was) if was.inode == now.inode => was.counts,
                None if !before.is_complete => return None,
                Some(_) | None => Counts::default(),
            };
            let rose = now.counts.since(base);
            (rose != Counts::default()).then(|| (path.clone(), rose))
        });
        rose.collect()
    }
}

/// A cgroup on the way from the root to a victim, with what rose in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its path.
    pub path: String,
    /// What rose in the cgroup itself.
    pub rose: Counts,
}

/// The cgroup whose own limit made the kernel kill: the deepest on the victim's path that ran out
/// of memory, else (v1 does not count that) the deepest that met its limit. `None`: no cgroup's,
/// so it was the host's memory that ran out, or what is left does not tell.
pub fn limit_owner(path: &[Step]) -> Option<&str> {
    let deepest = |count: fn(&Counts) -> u64| {
        let hit = path.iter().filter(|step| count(&step.rose) > 0);
        hit.max_by_key(|step| step.path.len())
    };
    let owner = deepest(|rose| rose.oom).or_else(|| deepest(|rose| rose.max))?;
    Some(&owner.path)
}

/// Reads `memory.events` or `memory.events.local`; unknown names are passed over.
pub(super) fn parse_events(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines() {
        let Some((name, count)) = line.split_once(' ') else {
            continue;
        };
        let slot = match name {
            "low" => &mut counts.low,
            "high" => &mut counts.high,
            "max" => &mut counts.max,
            "oom" => &mut counts.oom,
            "oom_kill" => &mut counts.oom_kill,
            "oom_group_kill" => &mut counts.oom_group_kill,
            _ => continue,
        };
        if let Ok(count) = count.trim().parse() {
            *slot = count;
        }
    }
    counts
}

/// `oom_kill` of v1's `memory.oom_control`; 0 on a kernel that does not count it.
pub(super) fn parse_oom_control(text: &str) -> u64 {
    named(text, "oom_kill ").unwrap_or(0)
}

/// `oom_kill` of `/proc/vmstat`.
pub(super) fn vmstat_oom_kills(text: &str) -> Option<u64> {
    named(text, "oom_kill ")
}

fn named(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step(path: &str, max: u64, oom: u64) -> Step {
        let rose = Counts {
            max,
            oom,
            ..Counts::default()
        };
        Step {
            path: path.to_owned(),
            rose,
        }
    }

    fn round(is_complete: bool, cgroups: &[(&str, u64, u64)]) -> Round {
        let cgroup = |&(path, inode, oom_kill): &(&str, u64, u64)| {
            let counts = Counts {
                oom_kill,
                ..Counts::default()
            };
            (path.to_owned(), Cgroup { inode, counts })
        };
        Round {
            is_complete,
            cgroups: cgroups.iter().map(cgroup).collect(),
        }
    }

    #[test]
    fn the_deepest_that_ran_out_owns_the_limit() {
        let path = [step("/s", 9, 1), step("/s/u", 0, 1), step("/s/u/w", 5, 0)];
        assert_eq!(limit_owner(&path), Some("/s/u"));
        assert_eq!(
            limit_owner(&[step("/s", 3, 0), step("/s/u", 0, 0)]),
            Some("/s")
        );
        assert_eq!(limit_owner(&[step("/s", 0, 0)]), None);
        assert_eq!(limit_owner(&[]), None);
    }

    #[test]
    fn a_cgroup_made_again_counts_from_zero_and_a_reset_is_no_rise() {
        let before = round(true, &[("/a", 1, 4), ("/b", 2, 4)]);
        let now = round(true, &[("/a", 9, 5), ("/b", 2, 1), ("/c", 3, 2)]);
        let rose: Vec<_> = now
            .since(Some(&before))
            .into_iter()
            .map(|(path, rose)| (path, rose.oom_kill))
            .collect();
        assert_eq!(rose, [("/a".to_owned(), 5), ("/c".to_owned(), 2)]);
        assert_eq!(now.since(None), []);
    }

    #[test]
    fn after_a_round_cut_short_a_new_path_is_only_a_baseline() {
        let before = round(false, &[]);
        let now = round(true, &[("/c", 3, 2)]);
        assert_eq!(now.since(Some(&before)), []);
    }

    #[test]
    fn names_a_kernel_adds_or_lacks_do_no_harm() {
        let counts = parse_events("low 1\nsock_throttled 7\nmax x\noom 3\nnonsense\n");
        assert_eq!(
            (counts.low, counts.max, counts.oom, counts.oom_kill),
            (1, 0, 3, 0)
        );
        assert_eq!(
            parse_oom_control("oom_kill_disable 1\nunder_oom 0\noom_kill 6\n"),
            6
        );
        assert_eq!(vmstat_oom_kills("nr_free_pages 1\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_ends_in_an_answer(text in "([a-z_]{0,16} ?-?[0-9]{0,22}\n?){0,8}") {
            parse_events(&text);
            parse_oom_control(&text);
            vmstat_oom_kills(&text);
        }

        #[test]
        fn the_same_round_twice_has_no_rise(kills in any::<u64>(), inode in any::<u64>()) {
            let one = round(true, &[("/a", inode, kills)]);
            prop_assert_eq!(one.since(Some(&one)), []);
        }
    }
}
