//! Asks the matcher and its peers about each text, and writes down what they said.
//!
//! Each text with a right playbook is asked twice: with the whole library, and with the right one
//! taken out, where the only right answer is "none". That is harder than a text about something
//! else altogether, because the neighbours of the right one are still there.

use std::collections::BTreeMap;

use hostmedic_embed::Model;
use hostmedic_model::vector::Vector;
use hostmedic_reason::matching::{
    catalogue::{Catalogue, Query, Scored},
    library::Library,
};

use super::data::{Data, Incident, Shown};

/// Who ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ranker {
    Bm25,
    Embedding,
    Fused,
}

impl Ranker {
    pub(super) const ALL: [Self; 3] = [Self::Bm25, Self::Embedding, Self::Fused];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bm25 => "BM25 alone",
            Self::Embedding => "embedding alone",
            Self::Fused => "hostmedic",
        }
    }

    fn score(self, scored: &Scored<'_>) -> f32 {
        match self {
            Self::Bm25 => scored.parts.bm25,
            Self::Embedding => scored.parts.nearness.mean(),
            Self::Fused => scored.score,
        }
    }
}

/// Which question a row answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The right playbook is there.
    Right,
    /// It has been taken out.
    TakenOut,
    /// There never was one.
    NeverThere,
}

/// One answer of one ranker.
pub(super) struct Row {
    pub(super) kind: String,
    pub(super) asked: Asked,
    /// Place of the right playbook, from 1; 0 where there is none.
    pub(super) place: usize,
    /// The best score.
    pub(super) top: f32,
}

/// One answer of the matcher, for the calibration.
pub(super) struct Answer {
    pub(super) asked: Asked,
    /// Rows of one playbook belong to one fold.
    pub(super) group: String,
    pub(super) score: f32,
    pub(super) margin: f32,
    /// What the checked-in coefficients make of it.
    pub(super) probability: f64,
    pub(super) right: bool,
}

/// Everything measured on one way to show the library.
#[derive(Default)]
pub(super) struct Measured {
    pub(super) shown: Shown,
    pub(super) rows: BTreeMap<Ranker, Vec<Row>>,
    pub(super) answers: Vec<Answer>,
}

/// The library as the matcher knows it.
pub(super) fn catalogue(library: &Library) -> Catalogue {
    Catalogue::build(library, |text| Model::shipped().embed(text))
}

/// Asks about everything, for each way to show the library.
pub(super) fn measure(data: &Data) -> Vec<Measured> {
    let ways = Shown::OF_SET.into_iter();
    ways.map(|shown| measure_one(shown, &data.library(shown), &data.incidents))
        .collect()
}

/// Asks one library about everything.
pub(super) fn measure_one(shown: Shown, library: &Library, incidents: &[Incident]) -> Measured {
    let catalogue = catalogue(library);
    let mut measured = Measured {
        shown,
        rows: BTreeMap::new(),
        answers: Vec::new(),
    };
    for incident in incidents {
        let vector = &Model::shipped().embed_incident(&incident.text);
        if incident.label.is_some() {
            measured.ask(&catalogue, incident, vector, Asked::Right);
            measured.ask(&catalogue, incident, vector, Asked::TakenOut);
        } else {
            measured.ask(&catalogue, incident, vector, Asked::NeverThere);
        }
    }
    measured
}

impl Measured {
    fn ask(&mut self, catalogue: &Catalogue, incident: &Incident, vector: &Vector, asked: Asked) {
        let label = incident.label.as_deref();
        let admits = |name: &str| asked != Asked::TakenOut || Some(name) != label;
        let query = Query {
            admits: &admits,
            ..Query::plain(&incident.text, vector)
        };
        let scored = catalogue.scored(&query);
        for ranker in Ranker::ALL {
            let right = scored.iter().find(|scored| Some(scored.playbook) == label);
            let right = right.map(|right| ranker.score(right));
            let scores = scored.iter().map(|scored| ranker.score(scored));
            self.rows.entry(ranker).or_default().push(Row {
                kind: incident.kind.clone(),
                asked,
                // Those that score the same as the right one stand before it: no luck.
                place: right.map_or(0, |right| {
                    scores.clone().filter(|score| *score >= right).count()
                }),
                top: scores.fold(f32::MIN, f32::max),
            });
        }
        let ranked = catalogue.rank(&query);
        if let Some(first) = ranked.matches.first() {
            self.answers.push(Answer {
                asked,
                group: label.unwrap_or(&incident.text).to_owned(),
                score: first.score,
                margin: first.margin,
                probability: first.confidence.matched,
                right: asked == Asked::Right && Some(first.playbook.as_str()) == label,
            });
        }
    }
}
