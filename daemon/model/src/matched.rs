//! What the text matcher made of an incident: the words it was asked with, the playbooks that came
//! nearest with every part of why, and what the evidence says of each.

use serde::{Deserialize, Serialize};

use crate::{advice::Advice, incident::IncidentId, time::At};

/// One ranking of the library for one incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matched {
    /// When.
    pub at: At,
    /// For which incident.
    pub incident: IncidentId,
    /// The incident in the daemon's own words: what was compared.
    pub text: String,
    /// Best first; at most five.
    pub candidates: Vec<MatchedPlaybook>,
    /// What may follow, as far as the matcher is asked.
    pub route: MatchRoute,
    /// Whether the first two fit equally well.
    pub tie: bool,
    /// Why there is no ranking; then structure alone decides.
    pub problem: Option<String>,
    /// What came of asking a language model; the confidences above are those that hold with it.
    /// Absent where nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// What may follow from a ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchRoute {
    /// No playbook fits.
    None,
    /// People are told which might fit.
    Inform,
    /// It is proposed.
    Propose,
    /// It may act, if every guard agrees.
    Act,
}

impl MatchRoute {
    /// The word in a record.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Inform => "inform",
            Self::Propose => "propose",
            Self::Act => "act",
        }
    }
}

/// Left out of what is written, so that records from before there was such a number stay in canonical form.
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// A playbook that came near, with every part of why. Numbers are rounded to four places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchedPlaybook {
    /// Its name.
    pub playbook: String,
    /// The sum of the parts below.
    pub score: f64,
    /// By meaning: the mean of nearest text and middle, -1 to 1.
    pub nearness: f64,
    /// By shared words: the BM25 score, 0 and up.
    pub bm25: f64,
    /// Fixed strings of the playbook that stand in the text.
    pub phrases: u32,
    /// How the text's words go with those of its examples, as they add to the score; -0.4 to 0.1.
    #[serde(default)]
    pub wording: f64,
    /// How much rather the text's words go with examples than with incidents that no playbook is for, as it
    /// adds to every score; -1.2 to 1.2.
    #[serde(default)]
    pub familiar: f64,
    /// How the numbers of the text go with the limits of its trigger, as they add to the score; -0.4 to 0.2.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub numbers: f64,
    /// Whether its trigger holds on the facts.
    pub trigger_fired: bool,
    /// How much nearer the text is to what the playbook is not for.
    pub not_for_excess: f64,
    /// What words of that take off the score; 0 to 0.4.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_for_words: f64,
    /// Its lead over the best other one; negative for all but the best.
    pub margin: f64,
    /// The calibrated probability by score and lead.
    pub matched: f64,
    /// What its own record adds to the log odds.
    pub record_shift: f64,
    /// What earlier successes with the same fault add to the log odds.
    pub recurrence_shift: f64,
    /// What it adds to the log odds that structure chose it: its trigger holds, and none as
    /// specific does.
    pub evidence_shift: f64,
    /// The probability with all of it, 0 to 1.
    pub confidence: f64,
    /// What was looked for in the evidence.
    pub evidence: EvidenceCheck,
}

/// The second opinion: each condition of a playbook's trigger, looked for in the facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceCheck {
    /// What was found, and what else speaks for it.
    pub supported: Vec<String>,
    /// What was not found, or cannot be seen.
    pub missing: Vec<String>,
    /// What speaks against it. If anything does, the playbook never acts.
    pub contradicted: Vec<String>,
}
