//! Words by which a text tells what a playbook is not for.
//!
//! `not_for` names the neighbour by what gives it away: a file limit of the whole host and not of one process
//! says `file-max`. By meaning the text is as near to the playbook as to that line; what tells are the words
//! of the line that the playbook itself does not use, weighed by how rare they are.

use std::collections::{BTreeMap, BTreeSet};

use super::{bm25, entry::Entry, terms};

/// What a line takes off for each unit of rarity of its words, were all of them in the text.
const WORTH: f32 = 0.1;
/// What all of it takes off at most.
const WORTH_MAX: f32 = 0.4;

/// A line of some playbook's `not_for`.
#[derive(Clone, Copy)]
struct Line {
    playbook: u32,
    /// Rarity of its own words together.
    worth: f32,
}

/// The words of all playbooks' `not_for`.
#[derive(Clone, Default)]
pub(crate) struct Against {
    lines: Vec<Line>,
    /// By term: lines that have it, and its rarity.
    terms: BTreeMap<Box<str>, (Vec<u32>, f32)>,
}

fn telling(text: &str) -> impl Iterator<Item = String> {
    let terms = terms::sequence(text).into_iter();
    terms.filter(|term| terms::is_telling(term))
}

impl Against {
    pub(crate) fn read(entries: &[Entry]) -> Self {
        let mut having = BTreeMap::<String, usize>::new();
        let own: Vec<BTreeSet<String>> = entries
            .iter()
            .map(|entry| {
                entry
                    .texts()
                    .iter()
                    .flat_map(|text| telling(text))
                    .collect()
            })
            .collect();
        for (entry, own) in entries.iter().zip(&own) {
            let not_for = entry.not_for.iter().flat_map(|line| telling(line));
            let all: BTreeSet<String> = not_for.chain(own.iter().cloned()).collect();
            for term in all {
                *having.entry(term).or_default() += 1;
            }
        }
        let rarity =
            |term: &str| bm25::rarity(entries.len(), having.get(term).copied().unwrap_or_default());
        let mut against = Self::default();
        for ((playbook, entry), own) in (0..).zip(entries).zip(&own) {
            for line in &entry.not_for {
                let at = u32::try_from(against.lines.len()).unwrap_or(u32::MAX);
                let foreign: BTreeSet<_> =
                    telling(line).filter(|term| !own.contains(term)).collect();
                let mut worth = 0.0;
                for term in foreign {
                    let rarity = rarity(&term);
                    worth += rarity;
                    let (lines, _) =
                        (against.terms.entry(term.into())).or_insert_with(|| (Vec::new(), rarity));
                    lines.push(at);
                }
                against.lines.push(Line { playbook, worth });
            }
        }
        against
    }

    /// What the words of a text take off, by playbook; only those of which a line shares one.
    pub(crate) fn worths(&self, text: &str) -> BTreeMap<u32, f32> {
        let mut shared = BTreeMap::<u32, f32>::new();
        for term in telling(text).collect::<BTreeSet<_>>() {
            let Some((lines, rarity)) = self.terms.get(term.as_str()) else {
                continue;
            };
            for line in lines {
                *shared.entry(*line).or_default() += rarity;
            }
        }
        let mut worths = BTreeMap::<u32, f32>::new();
        for (line, shared) in shared {
            let Line { playbook, worth } = self.lines[line as usize];
            // Half of its words are a quarter of the line: the others may be what it is about.
            let found = (WORTH * shared * shared / worth).min(WORTH_MAX);
            let most = worths.entry(playbook).or_default();
            *most = most.max(found);
        }
        worths
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn library() -> Against {
        let entry = |name: &str, summary: &str, not_for: &[&str]| Entry {
            name: name.to_owned(),
            summary: summary.to_owned(),
            not_for: not_for.iter().map(|line| (*line).to_owned()).collect(),
            ..Entry::default()
        };
        Against::read(&[
            entry(
                "files",
                "a process has too many open files",
                &[
                    "the limit of the whole host (file-max reached)",
                    "too many open files",
                ],
            ),
            entry("cable", "packets are dropped", &[]),
        ])
    }

    #[test]
    fn the_words_of_a_neighbour_count_and_its_own_do_not() {
        let worth = |text: &str| library().worths(text).get(&0).copied().unwrap_or_default();
        assert_eq!(worth("a process with too many open files"), 0.0);
        let some = worth("too many open files, file-max");
        let all = worth("VFS: file-max limit of the whole host reached, too many open files");
        assert!(0.0 < some && some < all && all <= WORTH_MAX, "{some} {all}");
        assert_eq!(library().worths("packets are dropped").get(&1), None);
    }

    proptest! {
        #[test]
        fn no_text_takes_off_more_than_the_most(text: String) {
            for worth in library().worths(&text).values() {
                prop_assert!((0.0..=WORTH_MAX).contains(worth));
            }
        }
    }
}
