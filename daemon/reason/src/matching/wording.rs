//! How the words of a text go with those of the incidents that each playbook was right for, and with those
//! of the incidents that none is for.
//!
//! A language model of single words for each playbook, of its texts and its examples, and one of the
//! incidents that none is for, with Dirichlet smoothing by all of them: Zhai and Lafferty, "A Study of
//! Smoothing Methods for Language Models Applied to Ad Hoc Information Retrieval", SIGIR 2001, equation 6.
//! A text's likelihood under a model, over that under the words of all, says how well it goes with the
//! model; over that under the other models, which one it goes with. Each document has a word or has it
//! not: a line of a log says one thing ten times.
//!
//! A playbook with few examples has no model, and its place is neither better nor worse for that: it gets
//! what the best one that has a model gets. Whether the text is one for any playbook at all shifts all
//! of them alike, those without a model, too.

use std::collections::{BTreeMap, BTreeSet};

use hostmedic_model::told::{nameless, telling};

use super::{library::Library, terms};

/// A playbook with fewer examples has no model.
const EXAMPLES_MIN: usize = 5;
/// With fewer incidents that no playbook is for, nothing is said of that.
const UNMATCHED_MIN: usize = 20;
/// How many words of all stand beside a model's own (mu). Flat from 3 to 100.
const SMOOTHING: f64 = 30.0;
/// What each unit of log odds against the best model takes off, and how many count.
const BEHIND: f64 = 0.02;
const BEHIND_NATS_MAX: f64 = 20.0;
/// What a text that goes with the model as well as can be adds.
const ALONG: f64 = 0.1;
/// That is so from this likelihood ratio on, for one word; for n, by the root of n, as chance adds up.
const ALONG_NATS: f64 = 5.0;
/// What each unit of log odds against its being for none adds, and how many count.
const FAMILIAR: f64 = 0.06;
const FAMILIAR_NATS_MAX: f64 = 20.0;
/// What one word can say at most about that: else one rare word that three incidents happen to share
/// outweighs a whole text.
const WORD_NATS_MAX: f64 = 1.0;

/// The words of every playbook that has enough examples, and of what none is for.
#[derive(Clone, Default)]
pub(crate) struct Wording {
    /// Per word: the model, and what the word adds to its log likelihood ratio beyond
    /// [`Self::without`].
    gains: BTreeMap<Box<str>, Vec<(u32, f32)>>,
    /// The playbooks that have a model, rising; theirs are the first.
    playbooks: Vec<usize>,
    /// By model: the log likelihood ratio of a word that it has never met. One more than there are
    /// playbooks where that of the incidents that none is for is the last.
    without: Vec<f64>,
}

/// What the words say of some playbooks.
pub(crate) struct Said {
    /// What is added to the score of each.
    pub(crate) wording: Vec<f32>,
    /// What is added to the scores of all.
    pub(crate) familiar: f32,
}

impl Wording {
    /// Learns from texts, examples and incidents that none is for.
    pub(crate) fn learn(library: &Library) -> Self {
        let told = |incidents: &[String]| -> Vec<String> {
            incidents.iter().map(|it| telling(it)).collect()
        };
        let entries = library.playbooks.iter().enumerate();
        let taught: Vec<_> = entries
            .filter(|(_, entry)| entry.examples.len() >= EXAMPLES_MIN)
            .collect();
        let mut corpora: Vec<Vec<String>> = taught
            .iter()
            .map(|(_, entry)| [entry.texts(), told(&entry.examples)].concat())
            .collect();
        if !taught.is_empty() && library.unmatched.len() >= UNMATCHED_MIN {
            corpora.push(told(&library.unmatched));
        }
        let mut counts = BTreeMap::<String, BTreeMap<u32, u32>>::new();
        let mut lengths = Vec::new();
        for (model, documents) in (0_u32..).zip(&corpora) {
            let mut length = 0_u32;
            for word in documents.iter().flat_map(|document| words(document)) {
                *counts.entry(word).or_default().entry(model).or_default() += 1;
                length += 1;
            }
            lengths.push(f64::from(length));
        }
        let share = |model: u32, count: u32| f64::from(count) / lengths[model as usize];
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
        let without = lengths.iter();
        Self {
            gains: gains.collect(),
            playbooks: taught.iter().map(|(playbook, _)| *playbook).collect(),
            without: without
                .map(|length| (SMOOTHING / (length + SMOOTHING)).ln())
                .collect(),
        }
    }

    /// Whether a playbook has a model.
    pub(crate) fn knows(&self, playbook: usize) -> bool {
        self.place(playbook).is_some()
    }

    fn place(&self, playbook: usize) -> Option<usize> {
        self.playbooks.binary_search(&playbook).ok()
    }

    /// What `text` adds to the scores of `playbooks`, which are in question.
    pub(crate) fn of(&self, text: &str, playbooks: &[usize]) -> Said {
        let ratios = self.log_likelihood_ratios(text);
        let places: Vec<_> = playbooks
            .iter()
            .map(|playbook| self.place(*playbook))
            .collect();
        Said {
            wording: worths(&ratios, &places),
            familiar: self.familiar(&ratios, &places),
        }
    }

    /// Whether the words go with those of any of the playbooks at `places`, or with none.
    fn familiar(&self, ratios: &Ratios, places: &[Option<usize>]) -> f32 {
        let in_question = places.iter().flatten();
        let best = in_question.map(|place| ratios.bounded[*place]);
        let best = best.reduce(f64::max);
        let none = ratios.bounded.get(self.playbooks.len());
        let odds = best.zip(none).map_or(0.0, |(best, none)| best - none);
        (FAMILIAR * odds.clamp(-FAMILIAR_NATS_MAX, FAMILIAR_NATS_MAX)) as f32
    }

    fn log_likelihood_ratios(&self, text: &str) -> Ratios {
        let words = words(text);
        let known: Vec<_> = words
            .iter()
            .filter_map(|word| self.gains.get(word.as_str()))
            .collect();
        let bounded = |nats: f64| nats.clamp(-WORD_NATS_MAX, WORD_NATS_MAX);
        let all = |of: &dyn Fn(f64) -> f64| -> Vec<f64> {
            let without = self.without.iter();
            without
                .map(|without| of(*without) * known.len() as f64)
                .collect()
        };
        let mut ratios = Ratios {
            nats: all(&|without| without),
            bounded: all(&bounded),
            words: words.len(),
        };
        for (model, gain) in known.into_iter().flatten() {
            let (model, gain) = (*model as usize, f64::from(*gain));
            let without = self.without[model];
            ratios.nats[model] += gain;
            ratios.bounded[model] += bounded(without + gain) - bounded(without);
        }
        ratios
    }
}

/// How well a text goes with each model.
struct Ratios {
    nats: Vec<f64>,
    /// The same with no more than [`WORD_NATS_MAX`] from each word.
    bounded: Vec<f64>,
    words: usize,
}

/// What is added to the score of each playbook; the same for all where fewer than two have a model.
fn worths(ratios: &Ratios, places: &[Option<usize>]) -> Vec<f32> {
    let own = |place: &Option<usize>| place.map(|place| ratios.nats[place]);
    let in_question: Vec<_> = places.iter().filter_map(own).collect();
    if in_question.len() < 2 {
        return vec![0.0; places.len()];
    }
    let best = in_question.iter().copied().fold(f64::MIN, f64::max);
    let odds: f64 = in_question.iter().map(|nats| (nats - best).exp()).sum();
    let all = best + odds.ln();
    let along_max = ALONG_NATS * (ratios.words as f64).sqrt();
    let worth = |nats: f64| {
        let along = (nats / along_max.max(1.0)).clamp(0.0, 1.0);
        (ALONG * along - BEHIND * (all - nats).min(BEHIND_NATS_MAX)) as f32
    };
    let places = places.iter();
    places
        .map(|place| worth(own(place).unwrap_or(best)))
        .collect()
}

fn words(text: &str) -> BTreeSet<String> {
    let mut words: BTreeSet<_> = terms::sequence(&nameless(text)).into_iter().collect();
    words.retain(|word| terms::is_telling(word));
    words
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entry;
    use super::*;

    fn entry(name: &str, examples: &[&str]) -> Entry {
        Entry {
            name: name.to_owned(),
            summary: format!("what {name} is for"),
            examples: examples.iter().map(ToString::to_string).collect(),
            ..Entry::default()
        }
    }

    fn library() -> Library {
        Library::from(vec![
            entry(
                "memory",
                &["out of memory, process java was killed by the kernel"; 6],
            ),
            entry("none", &[]),
            entry("disk", &["the disk is full, java cannot write its log"; 6]),
            entry("few", &["the disk is full, java cannot write its log"; 4]),
        ])
    }

    fn worth(text: &str, playbooks: &[usize]) -> Vec<f32> {
        Wording::learn(&library()).of(text, playbooks).wording
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
            let worth = wording.of(text, &[0, 1, 2, 3]).wording;
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

    /// The library, and as many incidents that none of it is for.
    fn with_unmatched(text: &str, count: usize) -> Wording {
        Wording::learn(&Library {
            unmatched: vec![text.to_owned(); count],
            ..library()
        })
    }

    #[test]
    fn what_none_is_for_is_not_familiar() {
        let wording = with_unmatched("the printer has no paper, java waits for it", 20);
        let familiar = |text: &str| wording.of(text, &[0, 1, 2, 3]).familiar;
        assert!(familiar("the kernel killed java, out of memory") > 0.05);
        assert!(familiar("the printer of the kitchen has no paper") < -0.05);
        assert_eq!(familiar("qwertz uiop"), 0.0);
        // Where what it would be right for is not in question, it is for none.
        let memory = "the kernel killed java, out of memory";
        assert!(wording.of(memory, &[2]).familiar < familiar(memory));
        assert_eq!(wording.of(memory, &[1, 3]).familiar, 0.0);
        // Which playbook it would be is another question.
        let with = wording.of(memory, &[0, 1, 2, 3]).wording;
        assert!(with[0] > with[2] && with[1] == with[0]);
    }

    #[test]
    fn a_few_incidents_or_no_examples_say_nothing_of_that() {
        let few = with_unmatched("the printer has no paper", UNMATCHED_MIN - 1);
        assert_eq!(few.of("the printer has no paper", &[0, 2]).familiar, 0.0);
        let alone = Wording::learn(&Library {
            unmatched: vec!["the printer has no paper".to_owned(); 50],
            ..Library::default()
        });
        assert_eq!(alone.of("the printer has no paper", &[]).familiar, 0.0);
    }

    #[test]
    fn one_word_says_little_of_that() {
        let wording = with_unmatched("the printer has no paper, java waits for it", 2000);
        let one = wording.of("paper", &[0, 2]).familiar;
        let limit = (2.0 * FAMILIAR * WORD_NATS_MAX) as f32;
        assert!(one < 0.0 && one >= -limit, "{one}");
        // However long the text is.
        let many: String = ('a'..='z').map(|c| format!("word{c}{c}x ")).collect();
        let wording = with_unmatched(&many, 50);
        let all = wording.of(&many, &[0, 2]).familiar;
        assert!((-1.2..-0.6).contains(&all), "{all}");
    }
}
