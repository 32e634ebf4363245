//! Which words a text shares with each playbook: Okapi BM25 over an inverted index.
//!
//! Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009, with k1 = 1.2
//! and b = 0.75, and the idf that cannot be negative.

use std::collections::{BTreeMap, BTreeSet};

use hostmedic_model::told::quotations;

use super::terms;

/// How soon more of the same word stops to count.
const K1: f32 = 1.2;
/// How much a long text's words count less.
const B: f32 = 0.75;

/// The terms of every document, and what each is worth in it.
#[derive(Clone, Default)]
pub(crate) struct Bm25 {
    ids: BTreeMap<String, u32>,
    /// Per term: document, weight.
    postings: Vec<Vec<(u32, f32)>>,
    documents: usize,
}

/// The inverse document frequency of a word that `having` of `all` documents have; never negative.
pub(super) fn rarity(all: usize, having: usize) -> f32 {
    let (all, having) = (all as f32, having as f32);
    (1.0 + (all - having + 0.5) / (having + 0.5)).ln()
}

impl Bm25 {
    /// Indexes documents, each given as the texts it consists of.
    pub(crate) fn build<'a>(documents: impl Iterator<Item = Vec<&'a str>>) -> Self {
        let mut index = Self::default();
        let mut lengths = Vec::new();
        for (document, texts) in (0_u32..).zip(documents) {
            let mut counts = BTreeMap::<u32, u32>::new();
            let terms = texts.iter().flat_map(|text| terms::sequence(text));
            for term in terms.filter(|term| terms::is_telling(term)) {
                let next = index.postings.len() as u32;
                let id = *index.ids.entry(term).or_insert(next);
                if id == next {
                    index.postings.push(Vec::new());
                }
                *counts.entry(id).or_default() += 1;
            }
            lengths.push(counts.values().sum::<u32>() as f32);
            for (id, count) in counts {
                index.postings[id as usize].push((document, count as f32));
            }
        }
        index.documents = lengths.len();
        let mean = lengths.iter().sum::<f32>() / lengths.len().max(1) as f32;
        for postings in &mut index.postings {
            let idf = rarity(lengths.len(), postings.len());
            for (document, weight) in postings {
                let length = lengths[*document as usize] / mean;
                *weight = idf * *weight * (K1 + 1.0) / (*weight + K1 * (1.0 - B + B * length));
            }
        }
        index
    }

    /// How rare a term is among the documents: its inverse document frequency; zero for one that none
    /// has, and for the most common words.
    pub(crate) fn rarity(&self, term: &str) -> f32 {
        let postings = self.ids.get(term).map(|id| &self.postings[*id as usize]);
        postings.map_or(0.0, |having| rarity(self.documents, having.len()))
    }

    /// The score of every document; zero where no word is shared. Words that the text quotes of a log
    /// count twice.
    pub(crate) fn scores(&self, text: &str) -> Vec<f32> {
        let mut scores = vec![0.0; self.documents];
        let quoted = quotations(text).flat_map(terms::sequence);
        let once: BTreeSet<_> = terms::sequence(text).into_iter().collect();
        let again: BTreeSet<_> = quoted.collect();
        for term in once.iter().chain(&again) {
            let Some(id) = self.ids.get(term) else {
                continue;
            };
            for (document, weight) in &self.postings[*id as usize] {
                scores[*document as usize] += weight;
            }
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rare_word_decides() {
        let documents = [
            "the disk of the host is full",
            "the memory of the host is full",
            "the host is slow",
        ];
        let index = Bm25::build(documents.iter().map(|text| vec![*text]));
        let scores = index.scores("Disks full on this host");
        assert!(scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
        assert_eq!(index.scores("nothing shared"), [0.0; 3]);
    }

    #[test]
    fn an_empty_index_answers() {
        assert!(Bm25::build(std::iter::empty()).scores("disk").is_empty());
        assert_eq!(Bm25::build([vec![""]].into_iter()).scores("disk"), [0.0]);
    }
}
