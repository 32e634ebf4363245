//! From scores to a probability that a playbook is right, and what may follow from it.
//!
//! A cosine is no probability: right matches lie near 0.55 and hardly any reaches 0.90. The
//! probability is a logistic function of the score and its lead, fitted on labelled texts. A
//! playbook's own record and its success with this very fault move the odds, within bounds.

use std::fmt;

use hostmedic_model::{matched::MatchRoute, playbook::Playbook};

/// From here a match may act, if every guard agrees.
pub const ACT_MIN: f64 = 0.90;
/// From here it is proposed.
pub const PROPOSE_MIN: f64 = 0.85;
/// Below this no playbook is said to fit. On the labelled texts, with one in five unmatched, the
/// best one was right for one in five of those below.
pub const INFORM_MIN: f64 = 0.30;
/// Two whose scores are nearer than this fit equally well.
pub const TIE_SCORE: f32 = 0.01;

/// A playbook without a record counts as one that helped four times of five.
const PRIOR: Record = Record {
    helped: 4,
    failed: 1,
};
/// A lead beyond this tells no more (`docs/matching.md`).
pub const LEAD_ENOUGH: f32 = 0.4;
/// How far the record and the recurrence may raise the log odds together: 0.85 becomes 0.90, and
/// what is far below can never act because of them.
const RAISE_MAX: f64 = 0.5;
/// How far the record may lower them: 0.98 becomes 0.71.
const LOWER_MAX: f64 = 3.0;
/// What one earlier success with the same fault of the same subject adds to the log odds.
const RECURRENCE: f64 = 0.25;
/// What it adds to the log odds that structure chose a playbook, for its trigger holds and none
/// as specific does: ten to one.
/// The labelled texts have no triggers, so the fitted function knows nothing of them; this term is
/// set by hand and stands apart. A text that speaks for the playbook at all (0.5) is lifted to
/// 0.91, and one that speaks against it (below 0.36) cannot even be proposed.
const CHOSEN: f64 = std::f64::consts::LN_10;

/// The logistic function's numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Log odds of a score and a lead of zero.
    pub intercept: f64,
    /// Per unit of the score.
    pub score: f64,
    /// Per unit of the lead over the best other playbook, as far as [`LEAD_ENOUGH`].
    pub margin: f64,
}

impl Coefficients {
    /// The probability that a playbook of this `score` and `margin` is right. The margin is
    /// negative for all but the best.
    pub fn probability(&self, score: f32, margin: f32) -> f64 {
        let [one, score, lead] = Self::factors(score, margin);
        ratio(self.intercept * one + self.score * score + self.margin * lead)
    }

    /// What the coefficients are multiplied with, in their order.
    pub fn factors(score: f32, margin: f32) -> [f64; 3] {
        // `min` would make a lead of what is no number.
        let lead = if margin > LEAD_ENOUGH {
            LEAD_ENOUGH
        } else {
            margin
        };
        [1.0, f64::from(score), f64::from(lead)]
    }
}

/// How often a playbook helped, and how often not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Verified as helped.
    pub helped: u32,
    /// Verified as no help, or said to be wrong.
    pub failed: u32,
}

impl Record {
    /// The mean of the Beta distribution after this record: the expected share of successes.
    pub fn success_ratio(self) -> f64 {
        let helped = f64::from(PRIOR.helped) + f64::from(self.helped);
        helped / (helped + f64::from(PRIOR.failed) + f64::from(self.failed))
    }
}

/// How sure the matcher is, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence {
    /// The calibrated probability by score and lead alone.
    pub matched: f64,
    /// The share of successes to expect by its record.
    pub success_ratio: f64,
    /// What the record adds to the log odds; below zero when it is bad.
    pub record_shift: f64,
    /// What earlier successes with the same fault add.
    pub recurrence_shift: f64,
    /// What it adds that structure chose it.
    pub evidence_shift: f64,
    /// The probability with all of it, 0 to 1.
    pub value: f64,
}

impl Confidence {
    /// Puts the parts together.
    pub fn new(matched: f64, record: Record, recurrences_helped: u32, chosen: bool) -> Self {
        let success_ratio = record.success_ratio();
        let record_shift = (log_odds(success_ratio) - log_odds(Record::default().success_ratio()))
            .clamp(-LOWER_MAX, RAISE_MAX);
        // A bad record cannot be made up for by recurrences of the same success.
        let room = (RAISE_MAX - record_shift.max(0.0)).max(0.0);
        let recurrence_shift = (RECURRENCE * f64::from(recurrences_helped)).min(room);
        let evidence_shift = if chosen { CHOSEN } else { 0.0 };
        let shift = record_shift + recurrence_shift + evidence_shift;
        let value = if shift == 0.0 {
            matched
        } else {
            ratio(log_odds(matched) + shift)
        };
        Self {
            matched,
            success_ratio,
            record_shift,
            recurrence_shift,
            evidence_shift,
            value,
        }
    }
}

/// What may follow from a match, as far as the matcher is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// No playbook fits.
    None,
    /// People are told which might fit.
    Inform,
    /// It is proposed.
    Propose,
    /// It may act, if every guard agrees.
    Act,
}

/// How sure the matcher must be of one playbook. A playbook can ask for more than everybody must
/// have, never for less.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// From here it is proposed.
    pub propose: f64,
    /// From here it may act; what may not even be proposed may not act.
    pub act: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            propose: PROPOSE_MIN,
            act: ACT_MIN,
        }
    }
}

impl Thresholds {
    /// Those of a playbook: its own, where they are higher.
    pub fn of(playbook: &Playbook) -> Self {
        // What is no number is not above anything, and `max` passes it over.
        let propose = playbook.needs.propose.unwrap_or(0.0).max(PROPOSE_MIN);
        let act = playbook.needs.act.unwrap_or(0.0).max(ACT_MIN);
        Self {
            propose,
            act: act.max(propose),
        }
    }

    /// What follows from `confidence`, where a tie with another playbook is only told.
    pub fn route(self, confidence: f64, tie: bool) -> Route {
        let route = match confidence {
            c if c >= self.act => Route::Act,
            c if c >= self.propose => Route::Propose,
            c if c >= INFORM_MIN => Route::Inform,
            // Not a number is no confidence.
            _ => Route::None,
        };
        if tie { route.min(Route::Inform) } else { route }
    }
}

impl From<Route> for MatchRoute {
    fn from(route: Route) -> Self {
        match route {
            Route::None => Self::None,
            Route::Inform => Self::Inform,
            Route::Propose => Self::Propose,
            Route::Act => Self::Act,
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MatchRoute::from(*self).word())
    }
}

fn log_odds(ratio: f64) -> f64 {
    let ratio = ratio.clamp(1e-9, 1.0 - 1e-9);
    (ratio / (1.0 - ratio)).ln()
}

fn ratio(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use hostmedic_model::playbook::Needs;

    use super::*;

    fn value(matched: f64, helped: u32, failed: u32, recurrences: u32) -> f64 {
        Confidence::new(matched, Record { helped, failed }, recurrences, false).value
    }

    #[test]
    fn without_a_record_the_probability_stands() {
        assert_eq!(value(0.91, 0, 0, 0), 0.91);
    }

    #[test]
    fn a_lead_counts_up_to_enough_and_none_is_no_lead() {
        let of = |margin| crate::matching::COEFFICIENTS.probability(1.0, margin);
        assert!(of(-0.2) < of(0.1) && of(0.1) < of(LEAD_ENOUGH));
        assert_eq!(of(LEAD_ENOUGH), of(1.3));
        assert!(of(f32::NAN).is_nan());
    }

    #[test]
    fn failures_lower_it_and_successes_raise_it_a_little() {
        assert!(value(0.95, 0, 2, 0) < ACT_MIN);
        assert!(value(0.86, 30, 0, 9) >= ACT_MIN);
        assert!(value(0.80, 1000, 0, 1000) < ACT_MIN);
        assert!(value(0.98, 0, u32::MAX, 100) < PROPOSE_MIN);
    }

    #[test]
    fn what_structure_chose_is_lifted_where_the_text_does_not_deny_it() {
        let with = |matched| Confidence::new(matched, Record::default(), 0, true).value;
        assert!(with(0.5) >= ACT_MIN && with(0.4) >= PROPOSE_MIN);
        assert!(with(0.35) < PROPOSE_MIN && with(0.05) < 0.5);
    }

    #[test]
    fn routes_follow_the_limits() {
        let all = Thresholds::default();
        assert_eq!(all.route(0.90, false), Route::Act);
        assert_eq!(all.route(0.99, true), Route::Inform);
        assert_eq!(all.route(0.89, false), Route::Propose);
        assert_eq!(all.route(0.5, false), Route::Inform);
        assert_eq!(all.route(0.1, true), Route::None);
        assert_eq!(all.route(f64::NAN, false), Route::None);
    }

    #[test]
    fn a_playbook_can_only_ask_for_more() {
        let text = include_str!("../../../../playbooks/unit-failed-restart.yaml");
        let parse = |text: &str| crate::playbook::parse("unit-failed-restart.yaml", text).unwrap();
        let stricter = text.replace("act_confidence: 90%", "act_confidence: 97%");
        assert_eq!(Thresholds::of(&parse(&stricter)).act, 0.97);
        let mut playbook = parse(text);
        let mut needing = |propose, act| {
            playbook.needs = Needs { propose, act };
            Thresholds::of(&playbook)
        };
        assert_eq!(needing(None, None), Thresholds::default());
        assert_eq!(needing(Some(0.1), Some(0.2)), Thresholds::default());
        assert_eq!(needing(Some(f64::NAN), None), Thresholds::default());
        let strict = needing(Some(0.88), Some(0.97));
        assert_eq!(strict.route(0.96, false), Route::Propose);
        assert_eq!(strict.route(0.87, false), Route::Inform);
        assert_eq!(strict.route(0.97, false), Route::Act);
        // What may not be proposed does not act, whatever it says of acting.
        assert_eq!(needing(Some(0.95), None).route(0.94, false), Route::Inform);
    }
}
