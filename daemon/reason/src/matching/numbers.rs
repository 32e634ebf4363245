//! Numbers that the text tells, beside the limits of the playbooks' triggers.
//!
//! The daemon tells a number as `disk space used (disk_used_ratio) is 94 %` (`describe/numbers.rs`). By
//! meaning, such a sentence is near to every playbook about disks; what tells them apart is whose limit
//! the number keeps. Where the daemon knows the facts themselves, a trigger that fired says more; this is
//! for texts alone, and for measures that nothing reads yet. What stands between quotation marks comes
//! from logs and is not looked at.

use std::collections::BTreeMap;

use super::entry::Entry;

/// What a number that keeps a limit is worth, shared among the playbooks that ask for that measure.
const HOLDS: f32 = 0.2;
/// What one that does not takes off: the playbook would not act on it.
const FAILS: f32 = 0.2;
/// How many of those count.
const FAILS_MAX: usize = 2;
/// Bytes of a mebibyte, in which the daemon tells memory.
const MIB: f64 = 1_048_576.0;

/// One playbook's limit on a measure.
#[derive(Clone, Copy)]
struct Limit {
    playbook: u32,
    is_above: bool,
    limit: f64,
}

/// The limits of all playbooks, by measure.
#[derive(Clone, Default)]
pub(crate) struct Numbers(BTreeMap<Box<str>, Vec<Limit>>);

impl Numbers {
    pub(crate) fn read(entries: &[Entry]) -> Self {
        let mut by_measure = BTreeMap::<Box<str>, Vec<Limit>>::new();
        for (playbook, entry) in (0..).zip(entries) {
            for number in &entry.numbers {
                let limits = by_measure.entry(number.measure.as_str().into());
                limits.or_default().push(Limit {
                    playbook,
                    is_above: number.is_above,
                    limit: number.limit,
                });
            }
        }
        Self(by_measure)
    }

    /// What the numbers of a text are worth, by playbook; only those of which it tells one.
    pub(crate) fn worths(&self, text: &str) -> BTreeMap<u32, f32> {
        let mut found = BTreeMap::<u32, (f32, usize)>::new();
        for (measure, number) in told(text) {
            let Some(limits) = self.0.get(measure) else {
                continue;
            };
            let share = HOLDS / limits.len() as f32;
            for limit in limits {
                let (holds, fails) = found.entry(limit.playbook).or_default();
                let is_kept = if limit.is_above {
                    number > limit.limit
                } else {
                    number < limit.limit
                };
                if is_kept {
                    *holds += share;
                } else {
                    *fails += 1;
                }
            }
        }
        let worth =
            |(holds, fails): (f32, usize)| holds.min(HOLDS) - FAILS * fails.min(FAILS_MAX) as f32;
        found
            .into_iter()
            .map(|(playbook, found)| (playbook, worth(found)))
            .collect()
    }
}

/// The numbers that a text tells, each measure once: the first is the one that was noticed.
fn told(text: &str) -> BTreeMap<&str, f64> {
    const IS: &str = " is ";
    let mut told = BTreeMap::new();
    // Every second part stands between quotation marks.
    for own in text.split('"').step_by(2) {
        for (at, _) in own.match_indices(IS) {
            let before = own[..at].strip_suffix(')').unwrap_or(&own[..at]);
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let name_at = before.trim_end_matches(is_name).len();
            let (measure, after) = (&before[name_at..], &own[at + IS.len()..]);
            if measure.contains('_')
                && let Some(number) = number(after)
            {
                told.entry(measure).or_insert(number);
            }
        }
    }
    told
}

/// The number at the begin of a text, in the unit of its measure.
fn number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let number: f64 = digits.trim_end_matches('.').parse().ok()?;
    Some(if unit.starts_with(" %") {
        number / 100.0
    } else if unit.starts_with(" MiB") {
        number * MIB
    } else {
        number
    })
}

#[cfg(test)]
mod tests {
    use hostmedic_model::playbook::NumberLimit;
    use proptest::prelude::*;

    use super::*;

    fn library() -> Numbers {
        let entry = |limits: &[(&str, bool, f64)]| Entry {
            numbers: limits
                .iter()
                .map(|(measure, is_above, limit)| NumberLimit {
                    measure: (*measure).to_owned(),
                    is_above: *is_above,
                    limit: *limit,
                })
                .collect(),
            ..Entry::default()
        };
        Numbers::read(&[
            entry(&[
                ("disk_used_ratio", true, 0.85),
                ("journal_share_ratio", true, 0.3),
            ]),
            entry(&[
                ("disk_used_ratio", true, 0.85),
                ("logs_share_ratio", true, 0.3),
            ]),
            entry(&[
                ("postgres_archive_lag_bytes", true, 1e9),
                ("disk_fill_eta_s", false, 14_400.0),
            ]),
        ])
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u32, f32)]) {
        let worths: Vec<_> = library().worths(text).into_iter().collect();
        assert_eq!(worths.len(), expected.len(), "{worths:?}");
        for (found, expected) in worths.iter().zip(expected) {
            let near = (found.1 - expected.1).abs() < 1e-6;
            assert!(found.0 == expected.0 && near, "{worths:?}");
        }
    }

    #[test]
    fn a_number_speaks_for_whose_limit_it_keeps_and_against_others() {
        let disk = "File system /var: disk space used (disk_used_ratio) is 97 %, 10 spreads above the usual 55 %.";
        check(disk, &[(0, 0.1), (1, 0.1)]);
        let journal =
            format!("{disk} journal_share_ratio is 41 %. logs_share_ratio is 4 %. since 5m.");
        check(&journal, &[(0, 0.2), (1, -0.1)]);
        check(
            "postgres_archive_lag_bytes is 212000 MiB. disk_fill_eta_s is 9800.00.",
            &[(2, 0.2)],
        );
        check("disk_fill_eta_s is 98000.00", &[(2, -0.2)]);
    }

    #[test]
    fn what_a_log_says_and_other_words_do_not_count() {
        check("its log has \"journal_share_ratio is 99 %\". since 5m", &[]);
        check("the disk is 97 % full, journal_share_ratio is unknown", &[]);
        check("is  is (disk_used_ratio) is", &[]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(\\PC|disk_used_ratio|journal_share_ratio| is |[0-9.%])*") {
            for worth in library().worths(&text).values() {
                prop_assert!((-0.4..=0.2).contains(worth), "{worth}");
            }
        }
    }
}
