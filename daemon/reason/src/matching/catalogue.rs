//! The library of playbooks as the matcher knows it: built once, asked with each incident's text.
//!
//! Texts and vectors come in from outside; nothing here embeds, reads or waits.

use std::{fmt, sync::Arc};

use hostmedic_model::{
    matched::{EvidenceCheck, MatchedPlaybook},
    told::telling,
    vector::Vector,
};

use super::{
    COEFFICIENTS, COEFFICIENTS_WITH_EXAMPLES,
    against::Against,
    bm25::Bm25,
    confidence::{Confidence, Record, Route, TIE_SCORE, Thresholds},
    dense::{Meanings, Nearest},
    entry::Entry,
    learned::{Learned, Verdict},
    library::Library,
    numbers::Numbers,
    phrase::{Found, Phrases},
    score::{Evidence, Parts, phrases_worth},
    terms,
    wording::Wording,
};

/// How many matches an answer has at most.
pub const MATCHES_MAX: usize = 5;
/// Up to this many playbooks each is looked at; that takes less than a millisecond. Above, the index
/// and the shared words choose whom to look at.
pub const SCAN_MAX: usize = 1000;
/// How many vectors are asked of the index, and how many playbooks of the shared words.
const NEAREST_MAX: usize = 256;
const LEXICAL_MAX: usize = 64;
/// With fewer candidates than this the filter has taken nearly all, and everyone is looked at.
const CANDIDATES_MIN: usize = 32;
/// What the best of many unrelated playbooks scores. In a small library the second may score far
/// less; a lead over it says no more than a lead over this.
const RIVAL_MIN: f32 = 0.35;

#[derive(Clone)]
struct Known {
    name: String,
    meanings: Meanings,
    learned: Learned,
    thresholds: Thresholds,
}

/// Every playbook that can be matched.
#[derive(Clone)]
pub struct Catalogue {
    known: Vec<Known>,
    lexical: Bm25,
    phrases: Phrases,
    numbers: Numbers,
    against: Against,
    wording: Wording,
    index: Option<Arc<dyn Nearest>>,
}

impl fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A million numbers tell nobody anything.
        f.debug_struct("Catalogue")
            .field("playbooks", &self.known.len())
            .finish_non_exhaustive()
    }
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
                chosen: false,
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
    /// How sure it must be.
    pub thresholds: Thresholds,
}

impl Candidate {
    /// As it is recorded, with what the evidence says of it.
    pub fn recorded(&self, evidence: EvidenceCheck) -> MatchedPlaybook {
        // JSON knows no other numbers, and nobody more places.
        let round = |value: f64| {
            let rounded = (value * 1e4).round() / 1e4;
            if rounded.is_finite() { rounded } else { 0.0 }
        };
        let short = |value: f32| round(f64::from(value));
        let (parts, confidence) = (&self.parts, &self.confidence);
        MatchedPlaybook {
            playbook: self.playbook.clone(),
            score: short(self.score),
            nearness: short(parts.nearness.mean()),
            bm25: short(parts.bm25),
            phrases: u32::try_from(parts.phrases).unwrap_or(u32::MAX),
            wording: short(parts.wording),
            familiar: short(parts.familiar),
            numbers: short(parts.numbers()),
            trigger_fired: parts.trigger_fired,
            not_for_excess: short(parts.not_for_excess),
            not_for_words: short(parts.not_for_words),
            margin: short(self.margin),
            matched: round(confidence.matched),
            record_shift: round(confidence.record_shift),
            recurrence_shift: round(confidence.recurrence_shift),
            evidence_shift: round(confidence.evidence_shift),
            confidence: round(confidence.value),
            evidence,
        }
    }
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
    /// Whether structure chose it.
    pub chosen: bool,
    /// How sure the matcher must be of it.
    pub thresholds: Thresholds,
    /// Whether its examples have a say in the score.
    pub has_examples: bool,
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

/// What may follow from the best of `matches`.
pub(crate) fn route_of(matches: &[Candidate], tie: bool) -> Route {
    let first = matches.first();
    first.map_or(Route::None, |first| {
        first.thresholds.route(first.confidence.value, tie)
    })
}

impl Catalogue {
    /// Learns the library. `embed` is asked for each text once.
    pub fn build(library: &Library, mut embed: impl FnMut(&str) -> Vector) -> Self {
        let entries = &library.playbooks;
        let mut meanings = |entry: &Entry| {
            let texts: Vec<_> = entry.texts().iter().map(|text| embed(text)).collect();
            let not_for: Vec<_> = entry.not_for.iter().map(|text| embed(text)).collect();
            Meanings::new(&texts, &not_for)
        };
        let texts: Vec<_> = entries.iter().map(Entry::texts).collect();
        let documents = texts.iter();
        let lexical =
            Bm25::build(documents.map(|texts| texts.iter().map(String::as_str).collect()));
        let signals = entries.iter().map(|entry| entry.signals.as_slice());
        Self {
            known: entries
                .iter()
                .map(|entry| Known {
                    name: entry.name.clone(),
                    meanings: meanings(entry),
                    learned: Learned::default(),
                    thresholds: entry.thresholds,
                })
                .collect(),
            phrases: Phrases::read(signals, &lexical),
            numbers: Numbers::read(entries),
            against: Against::read(entries),
            wording: Wording::learn(library),
            lexical,
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
            index: Some(Arc::from(index)),
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
                // What makes the text familiar is in all scores, and no lead of any.
                let unrelated = RIVAL_MIN + scored.parts.familiar;
                let margin = scored.score - rival.max(unrelated);
                let coefficients = if scored.has_examples {
                    COEFFICIENTS_WITH_EXAMPLES
                } else {
                    COEFFICIENTS
                };
                Candidate {
                    playbook: scored.playbook.to_owned(),
                    parts: scored.parts,
                    score: scored.score,
                    margin,
                    confidence: Confidence::new(
                        coefficients.probability(scored.score, margin),
                        scored.record,
                        scored.recurrences_helped,
                        scored.chosen,
                    ),
                    thresholds: scored.thresholds,
                }
            })
            .collect();
        let tie = scored.len() > 1 && best - second < TIE_SCORE;
        Ranked {
            route: route_of(&matches, tie),
            tie,
            matches,
        }
    }

    /// Every playbook that was looked at, best first; equal ones by name.
    pub fn scored(&self, query: &Query<'_>) -> Vec<Scored<'_>> {
        let told = telling(query.text);
        let bm25 = self.lexical.scores(&told);
        let phrases = self.phrases.found_in(&terms::sequence(&told));
        let numbers = self.numbers.worths(query.text);
        let against = self.against.worths(&told);
        let candidates = self.candidates(query, &bm25);
        let said = self.wording.of(&told, &candidates);
        let mut scored: Vec<_> = candidates
            .into_iter()
            .zip(said.wording)
            .map(|(at, wording)| {
                let known = &self.known[at];
                let evidence = (query.evidence)(&known.name);
                let found = phrases.get(&(at as u32)).copied().unwrap_or_default();
                let parts = Parts {
                    wording,
                    familiar: said.familiar,
                    numbers: numbers.get(&(at as u32)).copied().unwrap_or_default(),
                    not_for_words: against.get(&(at as u32)).copied().unwrap_or_default(),
                    ..known.parts(query.vector, bm25[at], found, evidence)
                };
                Scored {
                    playbook: &known.name,
                    parts,
                    score: parts.score(),
                    record: known.learned.record(),
                    recurrences_helped: evidence.recurrences_helped,
                    chosen: evidence.chosen,
                    thresholds: known.thresholds,
                    has_examples: self.wording.knows(at),
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
    fn parts(&self, vector: &Vector, bm25: f32, found: Found, evidence: Evidence) -> Parts {
        let nearness = self.meanings.nearness(vector, self.learned.confirmed());
        Parts {
            nearness,
            bm25,
            phrases: found.count + evidence.patterns,
            phrases_worth: phrases_worth(found.worth, evidence.patterns),
            wording: 0.0,
            familiar: 0.0,
            numbers: 0.0,
            trigger_fired: evidence.trigger_fired,
            not_for_excess: self.meanings.excess_not_for(vector, nearness),
            not_for_words: 0.0,
        }
    }
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
