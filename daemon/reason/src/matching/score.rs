//! One number for how well a playbook fits a text, and the parts it is made of.
//!
//! A sum and not a fusion of ranks: where a text shares no word with the right playbook, the words
//! say nothing, and a rank would give that nothing an equal vote. Weights are round numbers from a
//! flat part of the measured range (`docs/matching.md`); none is tuned.

use super::dense::Nearness;

/// What shared words can add at most.
const LEXICAL_MAX: f32 = 0.4;
/// The BM25 score that adds half of it.
const LEXICAL_HALF: f32 = 20.0;
/// What a pattern that the caller found adds, and what patterns and fixed strings add at most.
const PATTERN: f32 = 0.05;
const PHRASES_MAX: f32 = 0.15;
/// What a trigger that fired adds. No labelled text has one: set by hand so that it outweighs what
/// lies between a playbook and its neighbours, and cannot lift an unrelated one to the top.
const TRIGGER: f32 = 0.15;
/// What likeness to `not_for` can take off at most by meaning.
const NOT_FOR_MAX: f32 = 0.15;

/// What the caller knows of one playbook and this incident beyond the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Its trigger holds, on facts.
    pub trigger_fired: bool,
    /// Structure chose it: its trigger holds, and none that is as specific does.
    pub chosen: bool,
    /// How many of its patterns were found in what the incident gathered.
    pub patterns: usize,
    /// How often it has helped with this very fault of this very subject before.
    pub recurrences_helped: u32,
}

/// Everything a score is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parts {
    /// By meaning.
    pub nearness: Nearness,
    /// By shared words: the BM25 score, 0 and up.
    pub bm25: f32,
    /// Fixed strings of the playbook that stand in the text, and patterns that the caller found.
    pub phrases: usize,
    /// What they are worth together.
    pub phrases_worth: f32,
    /// How the text's words go with those of its examples, as they add to the score; -0.4 to 0.1.
    pub wording: f32,
    /// How much rather the text's words go with examples than with incidents that no playbook is for, as it
    /// adds to every score; -1.2 to 1.2.
    pub familiar: f32,
    /// How the numbers of the text go with its limits; -0.4 to 0.2.
    pub numbers: f32,
    /// Whether its trigger fired.
    pub trigger_fired: bool,
    /// How much nearer the text is to what the playbook is not for.
    pub not_for_excess: f32,
    /// What words of that take off; 0 to 0.4.
    pub not_for_words: f32,
}

/// What fixed strings of the playbook, worth `found` together, and `patterns` of it add.
pub(crate) fn phrases_worth(found: f32, patterns: usize) -> f32 {
    (found + PATTERN * patterns as f32).min(PHRASES_MAX)
}

impl Parts {
    /// What shared words add.
    pub fn lexical(&self) -> f32 {
        LEXICAL_MAX * self.bm25 / (self.bm25 + LEXICAL_HALF)
    }

    /// What fixed strings and the trigger add.
    pub fn evidence(&self) -> f32 {
        self.phrases_worth + if self.trigger_fired { TRIGGER } else { 0.0 }
    }

    /// What the text's numbers add or take off. Where the trigger fired, its limits hold on the facts, and
    /// that the text says so, too, is no second witness.
    pub fn numbers(&self) -> f32 {
        if self.trigger_fired {
            self.numbers.min(0.0)
        } else {
            self.numbers
        }
    }

    /// What likeness to `not_for` takes off, by meaning and by words.
    pub fn not_for(&self) -> f32 {
        self.not_for_excess.min(NOT_FOR_MAX) + self.not_for_words
    }

    /// The sum; about 0.2 for what has nothing to do with a text, 0.6 and more for what fits, beside what
    /// makes the text familiar.
    pub fn score(&self) -> f32 {
        let told = self.nearness.mean() + self.lexical() + self.wording + self.familiar;
        told + self.numbers() + self.evidence() - self.not_for()
    }
}
