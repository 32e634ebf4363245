//! The library of playbooks as the matcher knows it: built once, asked with each incident's text.
//!
//! Texts and vectors come in from outside; nothing here embeds, reads or waits.

use hostmedic_model::vector::Vector;

use super::{
    COEFFICIENTS,
    bm25::Bm25,
    confidence::{Confidence, Record, Route, TIE_SCORE},
    dense::{Meanings, Nearest},
    entry::Entry,
    learned::{Learned, Verdict},
    phrase::Phrases,
    score::{Evidence, Parts},
    terms,
};

/// How many matches an answer has at most.
pub const MATCHES_MAX: usize = 5;
/// Up to this many playbooks each is looked at; that takes less than a millisecond. Above, the index
/// and the shared words choose whom to look at.
const SCAN_MAX: usize = 1000;
/// How many vectors are asked of the index, and how many playbooks of the shared words.
const NEAREST_MAX: usize = 256;
const LEXICAL_MAX: usize = 64;
/// With fewer candidates than this the filter has taken nearly all, and everyone is looked at.
const CANDIDATES_MIN: usize = 32;
/// What the best of many unrelated playbooks scores. In a small library the second may score far
/// less; a lead over it says no more than a lead over this.
const RIVAL_MIN: f32 = 0.35;

struct Known {
    name: String,
    meanings: Meanings,
    phrases: Phrases,
    learned: Learned,
}

/// Every playbook that can be matched.
pub struct Catalogue {
    known: Vec<Known>,
    lexical: Bm25,
    index: Option<Box<dyn Nearest>>,
}

/// One question.
pub struct Query<'a> {
    /// What is told of the incident.
    pub text: &'a str,
    /// Its meaning.
    pub vector: &'a Vector,
    /// Which playbooks may be an answer at all, by name: the structured filter.
    pub admits: &'a dyn Fn(&str) -> bool,
    /// What is known of a playbook beyond the text, by name.
    pub evidence: &'a dyn Fn(&str) -> Evidence,
}

impl<'a> Query<'a> {
    /// A question without filter or evidence.
    pub fn plain(text: &'a str, vector: &'a Vector) -> Self {
        Self {
            text,
            vector,
            admits: &|_| true,
            evidence: &|_| Evidence {
                trigger_fired: false,
                patterns: 0,
                recurrences_helped: 0,
            },
        }
    }
}

/// A playbook that may fit, with every part of why.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its name.
    pub playbook: String,
    /// What its score is made of.
    pub parts: Parts,
    /// The sum of the parts.
    pub score: f32,
    /// Its lead over the best other one; negative for all but the best.
    pub margin: f32,
    /// How sure the matcher is of it.
    pub confidence: Confidence,
}

/// A playbook that was looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored<'a> {
    /// Its name.
    pub playbook: &'a str,
    /// What its score is made of.
    pub parts: Parts,
    /// The sum of the parts.
    pub score: f32,
    /// How often it helped, and how often not.
    pub record: Record,
    /// How often it has helped with this very fault before.
    pub recurrences_helped: u32,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// At most [`MATCHES_MAX`], best first.
    pub matches: Vec<Candidate>,
    /// Whether the first two fit equally well.
    pub tie: bool,
    /// What may follow.
    pub route: Route,
}

impl Catalogue {
    /// Learns the library. `embed` is asked for each text once.
    pub fn build(entries: &[Entry], mut embed: impl FnMut(&str) -> Vector) -> Self {
        let mut meanings = |entry: &Entry| {
            let texts: Vec<_> = entry.texts().iter().map(|text| embed(text)).collect();
            let not_for: Vec<_> = entry.not_for.iter().map(|text| embed(text)).collect();
            Meanings::new(&texts, &not_for)
        };
        let texts: Vec<_> = entries.iter().map(Entry::texts).collect();
        let documents = texts.iter();
        Self {
            known: entries
                .iter()
                .map(|entry| Known {
                    name: entry.name.clone(),
                    meanings: meanings(entry),
                    phrases: Phrases::read(&entry.signals),
                    learned: Learned::default(),
                })
                .collect(),
            lexical: Bm25::build(documents.map(|texts| texts.iter().map(String::as_str).collect())),
            index: None,
        }
    }

    /// The vectors an index should be built from, each under the key of its playbook.
    pub fn vectors(&self) -> impl Iterator<Item = (u32, Vector)> {
        (0..).zip(&self.known).flat_map(|(key, known)| {
            let vectors = known.meanings.vectors();
            vectors.map(move |vector| (key, vector))
        })
    }

    /// Uses `index`, built from [`Self::vectors`], where looking at everyone would take too long.
    #[must_use]
    pub fn with_index(self, index: Box<dyn Nearest>) -> Self {
        Self {
            index: Some(index),
            ..self
        }
    }

    /// How many playbooks there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Adds what `incident`, with the meaning `vector`, taught about `playbook`; a later verdict on
    /// the same incident replaces the earlier. False where there is no such playbook.
    pub fn learn(
        &mut self,
        playbook: &str,
        incident: &str,
        vector: &Vector,
        verdict: Verdict,
    ) -> bool {
        let Some(known) = self.known.iter_mut().find(|known| known.name == playbook) else {
            return false;
        };
        known.learned.add(incident, vector, verdict);
        known.meanings.confirm(known.learned.confirmed());
        true
    }

    /// Takes back what `incident` has taught. Whether it had taught anything.
    pub fn unlearn(&mut self, incident: &str) -> bool {
        let mut any = false;
        for known in &mut self.known {
            if known.learned.remove(incident) {
                known.meanings.confirm(known.learned.confirmed());
                any = true;
            }
        }
        any
    }

    /// The playbooks that fit best, and what may follow.
    pub fn rank(&self, query: &Query<'_>) -> Ranked {
        let scored = self.scored(query);
        let best = scored.first().map_or(0.0, |scored| scored.score);
        let second = scored.get(1).map_or(0.0, |scored| scored.score);
        let matches: Vec<_> = scored
            .iter()
            .take(MATCHES_MAX)
            .enumerate()
            .map(|(place, scored)| {
                let rival = if place == 0 { second } else { best };
                let margin = scored.score - rival.max(RIVAL_MIN);
                Candidate {
                    playbook: scored.playbook.to_owned(),
                    parts: scored.parts,
                    score: scored.score,
                    margin,
                    confidence: Confidence::new(
                        COEFFICIENTS.probability(scored.score, margin),
                        scored.record,
                        scored.recurrences_helped,
                    ),
                }
            })
            .collect();
        let tie = scored.len() > 1 && best - second < TIE_SCORE;
        let first = matches.first();
        Ranked {
            route: first.map_or(Route::None, |first| Route::of(first.confidence.value, tie)),
            tie,
            matches,
        }
    }

    /// Every playbook that was looked at, best first; equal ones by name.
    pub fn scored(&self, query: &Query<'_>) -> Vec<Scored<'_>> {
        let bm25 = self.lexical.scores(query.text);
        let text = terms::sequence(query.text);
        let candidates = self.candidates(query, &bm25).into_iter();
        let mut scored: Vec<_> = candidates
            .map(|at| {
                let known = &self.known[at];
                let evidence = (query.evidence)(&known.name);
                let parts = known.parts(query.vector, bm25[at], &text, evidence);
                Scored {
                    playbook: &known.name,
                    parts,
                    score: parts.score(),
                    record: known.learned.record(),
                    recurrences_helped: evidence.recurrences_helped,
                }
            })
            .collect();
        scored.sort_by(|a, b| {
            let by_name = || a.playbook.cmp(b.playbook);
            b.score.total_cmp(&a.score).then_with(by_name)
        });
        scored
    }

    /// Whom to look at, in rising order.
    fn candidates(&self, query: &Query<'_>, bm25: &[f32]) -> Vec<usize> {
        let admitted: Vec<_> = (0..self.known.len())
            .filter(|at| (query.admits)(&self.known[*at].name))
            .collect();
        let Some(index) = self.index.as_ref().filter(|_| admitted.len() > SCAN_MAX) else {
            return admitted;
        };
        let mut chosen = vec![false; self.known.len()];
        for key in index.nearest(query.vector, NEAREST_MAX) {
            if let Some(chosen) = chosen.get_mut(key as usize) {
                *chosen = true;
            }
        }
        let mut by_words: Vec<_> = admitted
            .iter()
            .copied()
            .filter(|at| bm25[*at] > 0.0)
            .collect();
        by_words.sort_by(|a, b| bm25[*b].total_cmp(&bm25[*a]));
        for at in by_words.into_iter().take(LEXICAL_MAX) {
            chosen[at] = true;
        }
        let few: Vec<_> = admitted
            .iter()
            .copied()
            .filter(|at| {
                let known = &self.known[*at];
                // The index does not know the incidents learned since.
                chosen[*at]
                    || known.learned.confirmed().next().is_some()
                    || (query.evidence)(&known.name) != Evidence::default()
            })
            .collect();
        if few.len() < CANDIDATES_MIN {
            admitted
        } else {
            few
        }
    }
}

impl Known {
    fn parts(&self, vector: &Vector, bm25: f32, text: &[String], evidence: Evidence) -> Parts {
        let nearness = self.meanings.nearness(vector, self.learned.confirmed());
        // A string that stands in the text shares its words.
        let phrases = if bm25 > 0.0 {
            self.phrases.found_in(text)
        } else {
            0
        };
        Parts {
            nearness,
            bm25,
            phrases: phrases + evidence.patterns,
            trigger_fired: evidence.trigger_fired,
            not_for_excess: self.meanings.excess_not_for(vector, nearness),
        }
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_model::vector::DIMENSIONS;

    use super::*;

    /// A bag of words: each goes to a place of its own, more or less.
    fn embed(text: &str) -> Vector {
        let mut values = [0.0; DIMENSIONS];
        let terms = terms::sequence(text).into_iter();
        for term in terms.filter(|term| terms::is_telling(term)) {
            let place = term
                .bytes()
                .fold(7, |sum: usize, byte| sum * 31 + usize::from(byte));
            values[place % DIMENSIONS] += 1.0;
        }
        Vector::direction_of(&values)
    }

    fn entry(name: &str, summary: &str, signals: &[&str], not_for: &[&str]) -> Entry {
        Entry {
            name: name.to_owned(),
            summary: summary.to_owned(),
            symptoms: Vec::new(),
            signals: signals.iter().map(|text| (*text).to_owned()).collect(),
            not_for: not_for.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    fn library() -> Catalogue {
        let entries = [
            entry(
                "oom",
                "a service was killed because memory ran out",
                &["Out of memory: Killed process"],
                &[],
            ),
            entry(
                "disk",
                "the disk is full and nothing can be written",
                &["No space left on device"],
                &["the journal alone is too large"],
            ),
            entry("clock", "the clock of the host drifts away", &[], &[]),
        ];
        Catalogue::build(&entries, embed)
    }

    fn ask(catalogue: &Catalogue, text: &str, evidence: &dyn Fn(&str) -> Evidence) -> Ranked {
        let vector = embed(text);
        catalogue.rank(&Query {
            evidence,
            ..Query::plain(text, &vector)
        })
    }

    const NOTHING: fn(&str) -> Evidence = |_| Evidence::default();
    const OOM: &str = "kernel: Out of memory: Killed process 12 (java), a service was killed";

    #[test]
    fn the_right_one_comes_first_with_its_parts() {
        let answer = ask(&library(), OOM, &NOTHING);
        let first = &answer.matches[0];
        assert_eq!(first.playbook, "oom");
        assert_eq!(first.parts.phrases, 1);
        assert!(first.parts.bm25 > 0.0 && first.margin > 0.0);
        assert_eq!(first.score, first.parts.score());
        assert!(answer.matches[1].margin < 0.0);
    }

    #[test]
    fn none_is_an_answer() {
        for text in ["", "the coffee machine of the kitchen", "\u{0}\u{1b}[31m"] {
            assert_eq!(
                ask(&library(), text, &NOTHING).route,
                Route::None,
                "{text:?}"
            );
        }
        let empty = Catalogue::build(&[], embed);
        let answer = ask(&empty, OOM, &NOTHING);
        assert_eq!((answer.route, answer.matches.len()), (Route::None, 0));
    }

    #[test]
    fn two_equal_ones_are_no_answer() {
        let one = entry(
            "one",
            "a service was killed because memory ran out",
            &["Out of memory: Killed process"],
            &[],
        );
        let two = Entry {
            name: "two".to_owned(),
            ..one.clone()
        };
        let catalogue = Catalogue::build(&[one, two], embed);
        let fired = |_: &str| Evidence {
            trigger_fired: true,
            patterns: 2,
            recurrences_helped: 9,
        };
        let answer = ask(&catalogue, OOM, &fired);
        assert!(answer.tie);
        assert!(answer.route <= Route::Inform);
    }

    #[test]
    fn evidence_decides_between_neighbours() {
        let fired = |name: &str| Evidence {
            trigger_fired: name == "disk",
            ..Evidence::default()
        };
        let text = "a service can nothing be written memory";
        let plain = ask(&library(), text, &NOTHING);
        let with = ask(&library(), text, &fired);
        assert_eq!(with.matches[0].playbook, "disk");
        let confidence = |ranked: &Ranked| {
            let disk = ranked.matches.iter().find(|found| found.playbook == "disk");
            disk.unwrap().confidence.value
        };
        assert!(confidence(&with) > confidence(&plain));
    }

    #[test]
    fn the_filter_comes_first() {
        let vector = embed(OOM);
        let answer = library().rank(&Query {
            admits: &|name| name != "oom",
            ..Query::plain(OOM, &vector)
        });
        assert!(answer.matches.iter().all(|found| found.playbook != "oom"));
    }

    #[test]
    fn what_it_is_not_for_counts_against_it() {
        let answer = ask(&library(), "the journal alone is too large", &NOTHING);
        let disk = answer.matches.iter().find(|found| found.playbook == "disk");
        assert!(disk.unwrap().parts.not_for() > 0.0);
    }

    #[test]
    fn what_was_learned_helps_and_can_be_taken_back() {
        let mut catalogue = library();
        let text = "checkout vanished at night without a trace";
        let before = ask(&catalogue, text, &NOTHING);
        for incident in ["a", "b"] {
            assert!(catalogue.learn("oom", incident, &embed(text), Verdict::Helped));
        }
        assert!(!catalogue.learn("gone", "a", &embed(text), Verdict::Helped));
        let after = ask(&catalogue, text, &NOTHING);
        assert_eq!(after.matches[0].playbook, "oom");
        assert!(after.matches[0].score > before.matches[0].score + 0.3);
        assert!(after.matches[0].confidence.record_shift > 0.0);
        assert!(catalogue.unlearn("a") && catalogue.unlearn("b") && !catalogue.unlearn("a"));
        assert_eq!(ask(&catalogue, text, &NOTHING), before);
    }
}
