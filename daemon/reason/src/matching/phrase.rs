//! Which fixed strings of the playbooks stand in a text word for word, and what that is worth.
//!
//! A string of rare words that one playbook alone names is the best evidence a text can give; one
//! that five name says little, and one of common words less. One word alone is no evidence: at least
//! two in a row.

use std::collections::{BTreeMap, BTreeSet};

use super::{bm25::Bm25, terms};

/// What one unit of a string's rarity, the sum of its words' inverse document frequencies, is worth.
const WORTH: f32 = 0.01;
/// Rarity above which a string gains nothing more: three words that one playbook of sixty has.
const RARITY_MAX: f32 = 12.0;
/// How many of a playbook's strings count, the best ones.
const COUNTED: usize = 2;

/// The fixed strings of one playbook that were found in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// How many.
    pub count: usize,
    /// What the best of them are worth together, in units of the score.
    pub worth: f32,
}

/// The signals of all playbooks as sequences of terms, by their first one.
#[derive(Clone, Default)]
pub(crate) struct Phrases(BTreeMap<Box<str>, Vec<Phrase>>);

#[derive(Clone)]
struct Phrase {
    /// The terms behind the first.
    rest: Box<[Box<str>]>,
    /// The playbooks that name it, in rising order.
    owners: Vec<u32>,
    worth: f32,
}

impl Phrases {
    /// Reads signals as playbooks name them. `words` tells how rare each word is among them.
    pub(crate) fn read<'a>(playbooks: impl Iterator<Item = &'a [String]>, words: &Bm25) -> Self {
        let mut owners = BTreeMap::<Vec<String>, BTreeSet<u32>>::new();
        for (playbook, signals) in (0..).zip(playbooks) {
            let phrases = signals.iter().map(|signal| terms::sequence(signal));
            for phrase in phrases.filter(|phrase| phrase.len() >= 2) {
                owners.entry(phrase).or_default().insert(playbook);
            }
        }
        let mut by_first = BTreeMap::<Box<str>, Vec<Phrase>>::new();
        for (phrase, owners) in owners {
            let rarity: f32 = phrase.iter().map(|term| words.rarity(term)).sum();
            let mut phrase = phrase.into_iter().map(String::into_boxed_str);
            let Some(first) = phrase.next() else { continue };
            by_first.entry(first).or_default().push(Phrase {
                rest: phrase.collect(),
                worth: WORTH * rarity.min(RARITY_MAX) / owners.len() as f32,
                owners: owners.into_iter().collect(),
            });
        }
        Self(by_first)
    }

    /// What stands in a text, given as [`terms::sequence`], by playbook; only those of which
    /// something does. A string that stands there twice counts once.
    pub(crate) fn found_in(&self, text: &[String]) -> BTreeMap<u32, Found> {
        let mut seen = BTreeSet::new();
        let mut worths = BTreeMap::<u32, Vec<f32>>::new();
        for (at, first) in text.iter().enumerate() {
            let rest = &text[at + 1..];
            let phrases = self.0.get(first.as_str()).into_iter().flatten().enumerate();
            for (place, phrase) in phrases {
                let head = rest.iter().take(phrase.rest.len());
                let stands = head
                    .map(String::as_str)
                    .eq(phrase.rest.iter().map(AsRef::as_ref));
                if stands && seen.insert((first, place)) {
                    for owner in &phrase.owners {
                        worths.entry(*owner).or_default().push(phrase.worth);
                    }
                }
            }
        }
        let found = worths.into_iter().map(|(owner, mut worths)| {
            worths.sort_by(|a, b| b.total_cmp(a));
            let found = Found {
                count: worths.len(),
                worth: worths.iter().take(COUNTED).sum(),
            };
            (owner, found)
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(playbooks: &[&[&str]], text: &str) -> Vec<Found> {
        let signals: Vec<Vec<String>> = playbooks
            .iter()
            .map(|signals| signals.iter().map(ToString::to_string).collect())
            .collect();
        let words = Bm25::build(
            signals
                .iter()
                .map(|signals| signals.iter().map(String::as_str).collect()),
        );
        let phrases = Phrases::read(signals.iter().map(Vec::as_slice), &words);
        let found = phrases.found_in(&terms::sequence(text));
        (0..)
            .take(playbooks.len())
            .map(|at| found.get(&at).copied().unwrap_or_default())
            .collect()
    }

    fn counts(playbooks: &[&[&str]], text: &str) -> Vec<usize> {
        found(playbooks, text)
            .iter()
            .map(|found| found.count)
            .collect()
    }

    #[test]
    fn strings_are_found_in_any_form_and_single_words_are_not() {
        let signals: &[&str] = &["Out of memory: Killed process", "oom_reaper", "java", ""];
        let count = |text| counts(&[signals], text);
        assert_eq!(
            count("kernel: Out of memory: Killed process 218 (java)"),
            [1]
        );
        assert_eq!(
            count("oom_reaper: reaped; out of memory: killed process"),
            [2]
        );
        assert_eq!(
            count("out of memory: killed process. Out of memory: killed process"),
            [1]
        );
        assert_eq!(count("the process was killed out of memory"), [0]);
        assert_eq!(count("out of memory: killed"), [0]);
        assert_eq!(count(""), [0]);
    }

    #[test]
    fn what_one_alone_names_is_worth_more() {
        let all: [&[&str]; 4] = [
            &["No space left on device", "tmpdir quota exceeded"],
            &["No space left on device", "apt archives cache"],
            &["No space left on device"],
            &["too many open files"],
        ];
        let shared = found(&all, "write: No space left on device");
        assert_eq!(shared[0], shared[2]);
        assert!(shared[0].worth > 0.0 && shared[3].count == 0);
        let alone = found(&all, "too many open files");
        assert!(
            alone[3].worth > 2.0 * shared[0].worth,
            "{alone:?} {shared:?}"
        );
        // As rare, for two have each word; one alone has the first in this order, two the second.
        let all: [&[&str]; 4] = [
            &["disk quota exceeded"],
            &["exceeded quota of the disk"],
            &["mount point vanished"],
            &["mount point vanished"],
        ];
        let alone = found(&all, "disk quota exceeded")[0].worth;
        let shared = found(&all, "mount point vanished");
        assert_eq!(shared[2], shared[3]);
        assert!(
            (alone - 2.0 * shared[2].worth).abs() < 1e-6,
            "{alone} {shared:?}"
        );
    }

    #[test]
    fn the_best_two_count() {
        let all: [&[&str]; 4] = [
            &["No space left on device", "tmpdir quota exceeded"],
            &["No space left on device", "apt archives cache"],
            &["No space left on device"],
            &["too many open files"],
        ];
        let both = found(&all, "tmpdir quota exceeded: No space left on device");
        assert_eq!(both[0].count, 2);
        assert!(both[0].worth > both[1].worth + 0.5 * WORTH);
    }
}
