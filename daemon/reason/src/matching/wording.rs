//! How the words of a text go with those of the incidents that each playbook was right for.
//!
//! A language model of single words for each playbook, of its texts and its examples, with Dirichlet
//! smoothing by all of them: Zhai and Lafferty, "A Study of Smoothing Methods for Language Models Applied
//! to Ad Hoc Information Retrieval", SIGIR 2001, equation 6. A text's likelihood under a model, over that
//! under the words of all, says how well it goes with the model; over that under the other models, which
//! one it goes with. Each document has a word or has it not: a line of a log says one thing ten times.
//!
//! A playbook with few examples has no model, and its place is neither better nor worse for that: it gets
//! what the best one that has a model gets.

use std::collections::{BTreeMap, BTreeSet};

use hostmedic_model::told::{nameless, telling};

use super::{entry::Entry, terms};

/// A playbook with fewer examples has no model.
const EXAMPLES_MIN: usize = 5;
/// How many words of all stand beside a playbook's own (mu). Flat from 3 to 100.
const SMOOTHING: f64 = 30.0;
/// What each unit of log odds against the best model takes off, and how many count.
const BEHIND: f64 = 0.02;
const BEHIND_NATS_MAX: f64 = 20.0;
/// What a text that goes with the model as well as can be adds.
const ALONG: f64 = 0.1;
/// That is so from this likelihood ratio on, for one word; for n, by the root of n, as chance adds up.
const ALONG_NATS: f64 = 5.0;

/// The words of every playbook that has enough examples.
#[derive(Clone, Default)]
pub(crate) struct Wording {
    /// Per word: the model, and what the word adds to its log likelihood ratio beyond
    /// [`Model::without`].
    gains: BTreeMap<Box<str>, Vec<(u32, f32)>>,
    /// In rising order of their playbooks.
    models: Vec<Model>,
}

#[derive(Clone)]
struct Model {
    playbook: usize,
    /// The log likelihood ratio of a word that it has never met.
    without: f64,
}

impl Wording {
    /// Learns from texts and examples.
    pub(crate) fn learn(entries: &[Entry]) -> Self {
        let mut counts = BTreeMap::<String, BTreeMap<u32, u32>>::new();
        let mut lengths = Vec::new();
        let taught = entries.iter().enumerate();
        for (playbook, entry) in taught.filter(|(_, entry)| entry.examples.len() >= EXAMPLES_MIN) {
            let model = lengths.len() as u32;
            let mut length = 0_u32;
            let examples = entry.examples.iter().map(|example| telling(example));
            for document in entry.texts().into_iter().chain(examples) {
                for word in words(&document) {
                    *counts.entry(word).or_default().entry(model).or_default() += 1;
                    length += 1;
                }
            }
            lengths.push((playbook, f64::from(length)));
        }
        let share = |model: u32, count: u32| f64::from(count) / lengths[model as usize].1;
        let gains = counts.into_iter().map(|(word, counts)| {
            let shares = counts.iter().map(|(model, count)| share(*model, *count));
            // Each model has the same say in what is usual, however many examples it has.
            let usual = shares.sum::<f64>() / lengths.len() as f64;
            let gain = |count| (1.0 + f64::from(count) / (SMOOTHING * usual)).ln() as f32;
            let gains = counts
                .into_iter()
                .map(|(model, count)| (model, gain(count)));
            (word.into_boxed_str(), gains.collect())
        });
        Self {
            gains: gains.collect(),
            models: lengths
                .iter()
                .map(|(playbook, length)| Model {
                    playbook: *playbook,
                    without: (SMOOTHING / (length + SMOOTHING)).ln(),
                })
                .collect(),
        }
    }

    /// Whether a playbook has a model.
    pub(crate) fn knows(&self, playbook: usize) -> bool {
        self.place(playbook).is_some()
    }

    fn place(&self, playbook: usize) -> Option<usize> {
        let found = self
            .models
            .binary_search_by_key(&playbook, |model| model.playbook);
        found.ok()
    }

    /// What `text` adds to the score of each of `playbooks`, which are in question; the same for all
    /// where fewer than two have a model.
    pub(crate) fn of(&self, text: &str, playbooks: &[usize]) -> Vec<f32> {
        let ratios = self.log_likelihood_ratios(text);
        let own = |playbook: &usize| self.place(*playbook).map(|place| ratios.nats[place]);
        let in_question: Vec<_> = playbooks.iter().filter_map(own).collect();
        if in_question.len() < 2 {
            return vec![0.0; playbooks.len()];
        }
        let best = in_question.iter().copied().fold(f64::MIN, f64::max);
        let odds: f64 = in_question.iter().map(|nats| (nats - best).exp()).sum();
        let all = best + odds.ln();
        let along_max = ALONG_NATS * (ratios.words as f64).sqrt();
        let worth = |nats: f64| {
            let along = (nats / along_max.max(1.0)).clamp(0.0, 1.0);
            (ALONG * along - BEHIND * (all - nats).min(BEHIND_NATS_MAX)) as f32
        };
        let playbooks = playbooks.iter();
        playbooks
            .map(|playbook| worth(own(playbook).unwrap_or(best)))
            .collect()
    }

    fn log_likelihood_ratios(&self, text: &str) -> Ratios {
        let words = words(text);
        let known: Vec<_> = words
            .iter()
            .filter_map(|word| self.gains.get(word.as_str()))
            .collect();
        let without = |model: &Model| model.without * known.len() as f64;
        let mut nats: Vec<_> = self.models.iter().map(without).collect();
        for (model, gain) in known.into_iter().flatten() {
            nats[*model as usize] += f64::from(*gain);
        }
        Ratios {
            nats,
            words: words.len(),
        }
    }
}

/// How well a text goes with each model.
struct Ratios {
    nats: Vec<f64>,
    words: usize,
}

fn words(text: &str) -> BTreeSet<String> {
    let mut words: BTreeSet<_> = terms::sequence(&nameless(text)).into_iter().collect();
    words.retain(|word| terms::is_telling(word));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, examples: &[&str]) -> Entry {
        Entry {
            name: name.to_owned(),
            summary: format!("what {name} is for"),
            examples: examples.iter().map(ToString::to_string).collect(),
            ..Entry::default()
        }
    }

    fn library() -> Vec<Entry> {
        vec![
            entry(
                "memory",
                &["out of memory, process java was killed by the kernel"; 6],
            ),
            entry("none", &[]),
            entry("disk", &["the disk is full, java cannot write its log"; 6]),
            entry("few", &["the disk is full, java cannot write its log"; 4]),
        ]
    }

    fn worth(text: &str, playbooks: &[usize]) -> Vec<f32> {
        Wording::learn(&library()).of(text, playbooks)
    }

    #[test]
    fn the_words_of_examples_tell_playbooks_apart() {
        let memory = worth("process php was killed, out of memory", &[0, 1, 2, 3]);
        assert!(memory[0] > memory[2] + 0.05, "{memory:?}");
        let disk = worth("php: cannot write, disk full", &[0, 1, 2, 3]);
        assert!(disk[2] > disk[0] + 0.05, "{disk:?}");
        assert!(memory[0] > 0.0 && disk[2] > 0.0, "{memory:?} {disk:?}");
    }

    #[test]
    fn without_examples_a_playbook_stands_beside_the_best() {
        let wording = Wording::learn(&library());
        assert_eq!(
            [0, 1, 2, 3].map(|playbook| wording.knows(playbook)),
            [true, false, true, false]
        );
        for text in ["the disk is full", "out of memory", "snow", ""] {
            let worth = wording.of(text, &[0, 1, 2, 3]);
            let best = worth[0].max(worth[2]);
            assert_eq!((worth[1], worth[3]), (best, best), "{text}");
        }
    }

    #[test]
    fn what_is_not_in_question_has_no_say() {
        let both = worth("the disk is full", &[0, 2]);
        assert!(both[0] < both[1]);
        assert_eq!(worth("the disk is full", &[0, 1, 3]), [0.0; 3]);
        assert_eq!(worth("the disk is full", &[]), [0.0; 0]);
    }

    #[test]
    fn a_word_that_nobody_knows_decides_nothing() {
        let worth = worth("qwertz uiop", &[0, 2]);
        // Half of the odds each: ln 2 behind all.
        assert!(
            (worth[0] - worth[1]).abs() < 1e-6 && worth[0] < 0.0,
            "{worth:?}"
        );
    }

    #[test]
    fn the_name_of_the_unit_has_no_say() {
        let told = |name: &str| worth(&format!("Service {name}.service: it failed"), &[0, 2]);
        assert_eq!(told("disk-full"), told("out-of-memory"));
    }

    #[test]
    fn no_word_moves_it_far() {
        let long = "disk full write log ".repeat(5000) + "memory";
        for worth in worth(&long, &[0, 1, 2, 3]) {
            assert!((-0.4..=0.1).contains(&worth), "{worth}");
        }
    }
}
