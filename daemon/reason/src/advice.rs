//! Asks a language model for a second opinion on a ranking, where one is configured.
//!
//! It may choose among the five best, lower a confidence and add a hypothesis for people; no more.
//! A ranking is asked about once. What would act or be proposed waits for the answer, and goes on
//! without it when it is late, broken or not to be had: then nothing has changed but the record.

mod answer;
mod question;

use std::{collections::VecDeque, time::Duration};

use hostmedic_model::{
    advice::{Advice, Said},
    incident::IncidentId,
    matched::Matched,
    record::Body,
    time::{At, Span},
    view::LanguageModelStatus,
    wake::Effect,
};

use self::question::Choice;
use crate::{case::Stage, matching::catalogue::Ranked, pipeline::State};

/// Questions about one incident.
const ASKED_MAX: u32 = 3;
/// How far back the limit of questions looks.
const LIMIT_WITHIN: Duration = Duration::from_secs(3600);
/// The longest an act may be made to wait.
const WAIT_MAX: Span = Span::secs(60);
/// More questions an hour than this cost more than they tell.
const PER_HOUR_MAX: u32 = 120;

/// What the loop has to know of the language model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The model's name, for the record.
    pub model: String,
    /// How long an answer is waited for.
    pub wait_max: Span,
    /// Questions within any hour.
    pub per_hour: u32,
}

impl Settings {
    /// Checks that they keep to their bounds.
    ///
    /// # Errors
    /// Names the key, its value and the bound.
    pub fn check(&self) -> Result<(), String> {
        if self.wait_max < Span::secs(1) || self.wait_max > WAIT_MAX {
            return Err(format!(
                "wait_max is {}; it must lie within 1s and {WAIT_MAX}",
                self.wait_max
            ));
        }
        if !(1..=PER_HOUR_MAX).contains(&self.per_hour) {
            return Err(format!(
                "per_hour is {}; it must lie within 1 and {PER_HOUR_MAX}",
                self.per_hour
            ));
        }
        Ok(())
    }
}

/// The language model as the loop knows it.
#[derive(Clone, Debug)]
pub(crate) struct Advisor {
    settings: Settings,
    /// When questions were put, oldest first; none older than an hour.
    asked: VecDeque<At>,
    /// Rankings that were not asked about for the limit.
    refused: u64,
}

impl Advisor {
    /// Forgets the questions that no longer count at `now`.
    fn forget(&mut self, now: At) {
        self.asked.retain(|at| now.since(*at) < LIMIT_WITHIN);
    }

    /// In the place of an answer: that the limit let nobody be asked.
    fn refusal(&self) -> Advice {
        let most = self.settings.per_hour;
        Advice {
            model: self.settings.model.clone(),
            question: String::new(),
            said: None,
            problem: Some(format!(
                "the limit of {most} questions within an hour (per_hour) was reached"
            )),
            lowered: Vec::new(),
        }
    }
}

/// A ranking as far as a question is about it: another text or other playbooks are another matter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct About {
    text: String,
    /// In alphabetical order.
    names: Vec<String>,
}

impl About {
    fn new<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort();
        Self {
            text: text.to_owned(),
            names,
        }
    }

    fn of(text: &str, ranked: &Ranked) -> Self {
        let names = ranked.matches.iter().map(|found| found.playbook.as_str());
        Self::new(text, names)
    }
}

/// What was asked about one incident, and what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counsel {
    asked: u32,
    pending: Option<Pending>,
    /// The newest question that has ended, and about what it was.
    ended: Option<(About, Advice)>,
    /// What was not asked about for the hourly limit, until it is.
    refused: Option<About>,
    /// How often that was told.
    refusals: u32,
}

#[derive(Clone, Debug)]
struct Pending {
    question: String,
    about: About,
    since: At,
}

impl Counsel {
    /// What the chain says: a question that has ended is not asked again after a restart. True if
    /// this is the first that is heard of its end.
    pub(crate) fn recalled(&mut self, matched: &Matched) -> bool {
        // What was not asked may be asked yet.
        let Some(advice) = matched.advice.as_ref().filter(|advice| advice.was_asked()) else {
            return false;
        };
        let known = self.ended.as_ref().map(|(_, advice)| &advice.question);
        let is_new = known != Some(&advice.question);
        let names = matched.candidates.iter();
        let names = names.map(|found| found.playbook.as_str());
        self.asked += u32::from(is_new);
        self.ended = Some((About::new(&matched.text, names), advice.clone()));
        is_new
    }

    /// What came of the question about this very ranking.
    fn on(&self, about: &About) -> Option<&Advice> {
        let (known, advice) = self.ended.as_ref()?;
        (known == about).then_some(advice)
    }
}

impl State {
    /// Lets the loop ask a language model, which the caller brings each [`Effect::Advise`] to. Before
    /// [`State::recall`], so that questions of earlier runs count.
    pub fn adopt_advisor(&mut self, settings: Settings) {
        self.advisor = Some(Advisor {
            settings,
            asked: VecDeque::new(),
            refused: 0,
        });
    }

    /// How much of its hourly limit is used up; `None` where nobody is asked.
    pub fn language_model(&self) -> Option<LanguageModelStatus> {
        let advisor = self.advisor.as_ref()?;
        let lately = |at: &&At| self.now.since(**at) < LIMIT_WITHIN;
        let asked = advisor.asked.iter().filter(lately).count();
        Some(LanguageModelStatus {
            model: advisor.settings.model.clone(),
            asked: u32::try_from(asked).unwrap_or(u32::MAX),
            per_hour: advisor.settings.per_hour,
            refused: advisor.refused,
        })
    }

    /// Counts a question of an earlier run of this boot towards the limit.
    pub(crate) fn recall_question(&mut self, at: At) {
        if let Some(advisor) = &mut self.advisor {
            advisor.forget(at);
            advisor.asked.push_back(at);
        }
    }

    /// Lowers in `ranked` what the model did not stand behind, and gives what came of the question.
    pub(crate) fn take_advice(
        &self,
        counsel: &Counsel,
        text: &str,
        ranked: &mut Ranked,
    ) -> Option<Advice> {
        // Once switched off, what it said before holds nobody back.
        let advisor = self.advisor.as_ref()?;
        let about = About::of(text, ranked);
        let Some(advice) = counsel.on(&about) else {
            let is_refused = counsel.refused.as_ref() == Some(&about);
            return is_refused.then(|| advisor.refusal());
        };
        let mut advice = advice.clone();
        advice.lowered = match &advice.said {
            Some(said) => answer::lower(ranked, said),
            None => Vec::new(),
        };
        Some(advice)
    }

    /// Asks about an incident's ranking, if that was not done yet and the limits allow it.
    pub(crate) fn ask_advice(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        if self.advisor.is_none() {
            return;
        }
        let Some(ranked) = self.ranked(id).filter(|ranked| !ranked.matches.is_empty()) else {
            return;
        };
        let now = self.now;
        let (Some(case), Some(advisor)) = (self.cases.get_mut(id), &mut self.advisor) else {
            return;
        };
        let about = About::of(&case.reading.text, &ranked);
        let counsel = &mut case.reading.counsel;
        let is_asked = counsel
            .pending
            .as_ref()
            .is_some_and(|pending| pending.about == about);
        if is_asked || counsel.on(&about).is_some() || counsel.asked >= ASKED_MAX {
            return;
        }
        advisor.forget(now);
        if advisor.asked.len() >= advisor.settings.per_hour as usize {
            // It is looked at again and again while the limit lasts, and told once; no oftener for an
            // incident than it may be asked about.
            if counsel.refused.as_ref() != Some(&about) && counsel.refusals < ASKED_MAX {
                advisor.refused += 1;
                counsel.refusals += 1;
                counsel.refused = Some(about);
                self.record_advice(id, effects);
            }
            return;
        }
        counsel.refused = None;
        let summary = |name: &str| {
            let known = self.playbooks.iter().find(|known| known.name == name);
            known.map_or("", |known| known.describe.summary.as_str())
        };
        let choices: Vec<_> = about
            .names
            .iter()
            .map(|name| Choice {
                name,
                summary: summary(name),
            })
            .collect();
        let question = question::put(&about.text, &choices);
        advisor.asked.push_back(now);
        counsel.asked += 1;
        // An earlier question about what is no more so is given up: its answer finds nobody.
        counsel.pending = Some(Pending {
            question: question.sha256.clone(),
            about,
            since: now,
        });
        effects.push(Effect::Advise {
            incident: id.clone(),
            question,
        });
    }

    /// Whether an answer about an incident, as it is told now, is still waited for.
    pub(crate) fn awaits_advice(&self, id: &IncidentId) -> bool {
        let Some(case) = self.cases.get(id) else {
            return false;
        };
        let pending = case.reading.counsel.pending.as_ref();
        pending.is_some_and(|pending| pending.about.text == case.reading.text)
    }

    /// An answer is here, or cannot be had.
    pub(crate) fn advised(
        &mut self,
        id: &IncidentId,
        question: &str,
        answer: Result<String, String>,
        effects: &mut Vec<Effect>,
    ) {
        self.end_late_advice(id, effects);
        let Some(case) = self.cases.get_mut(id) else {
            return;
        };
        let counsel = &mut case.reading.counsel;
        let is_it = |pending: &mut Pending| pending.question == question;
        // Too late, or to a question that was given up.
        let Some(pending) = counsel.pending.take_if(is_it) else {
            return;
        };
        let said = answer.and_then(|answer| answer::parse(&answer, &pending.about.names));
        self.end_advice(id, pending, said, effects);
    }

    /// Goes on without an answer that did not come in time.
    pub(crate) fn end_late_advice(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        let now = self.now;
        let (Some(advisor), Some(case)) = (&self.advisor, self.cases.get_mut(id)) else {
            return;
        };
        let wait_max = advisor.settings.wait_max;
        let is_late = |pending: &mut Pending| now.since(pending.since) >= wait_max.0;
        if let Some(pending) = case.reading.counsel.pending.take_if(is_late) {
            let why = format!("it did not answer within {wait_max}");
            self.end_advice(id, pending, Err(why), effects);
        }
    }

    fn end_advice(
        &mut self,
        id: &IncidentId,
        pending: Pending,
        said: Result<Said, String>,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(advisor), Some(case)) = (&self.advisor, self.cases.get_mut(id)) else {
            return;
        };
        let (said, problem) = match said {
            Ok(said) => (Some(said), None),
            Err(why) => (None, Some(answer::problem(&why))),
        };
        let advice = Advice {
            model: advisor.settings.model.clone(),
            question: pending.question,
            said,
            problem,
            lowered: Vec::new(),
        };
        case.reading.counsel.ended = Some((pending.about, advice));
        let waits = matches!(case.stage, Stage::Advising);
        self.record_advice(id, effects);
        if waits {
            // What it was to act on is seconds old: everything is looked at once more.
            self.match_and_look(id, effects);
        }
    }

    /// Records the ranking with what came of its question, or that none was put: bounded by the
    /// number of questions, and of times that it is told.
    fn record_advice(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        let Some(matched) = self.matched(id).filter(|matched| matched.advice.is_some()) else {
            return;
        };
        if let Some(case) = self.cases.get_mut(id) {
            case.reading.newest = Some(matched.clone());
            effects.push(Effect::Record(Body::Matched(matched)));
        }
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_model::matched::MatchRoute;

    use super::*;

    #[test]
    fn what_the_chain_tells_is_not_asked_again() {
        let advice = |question: &str| Advice {
            model: "m".into(),
            question: question.into(),
            said: None,
            problem: Some("late".into()),
            lowered: Vec::new(),
        };
        let matched = |advice| Matched {
            at: At::default(),
            incident: IncidentId("i".into()),
            text: "a text".into(),
            candidates: Vec::new(),
            route: MatchRoute::None,
            tie: false,
            problem: None,
            advice,
        };
        let mut counsel = Counsel::default();
        assert!(!counsel.recalled(&matched(None)));
        assert!(counsel.recalled(&matched(Some(advice("q1")))));
        // Recorded once more, because something else in the ranking was news.
        assert!(!counsel.recalled(&matched(Some(advice("q1")))));
        assert!(counsel.recalled(&matched(Some(advice("q2")))));
        assert_eq!(counsel.asked, 2);
        let about = |text: &str, names: &[&str]| About::new(text, names.iter().copied());
        assert_eq!(counsel.on(&about("a text", &[])), Some(&advice("q2")));
        assert_eq!(counsel.on(&about("another", &[])), None);
        assert_eq!(counsel.on(&about("a text", &["b", "a"])), None);
        assert_eq!(about("t", &["b", "a"]), about("t", &["a", "b"]));
    }

    #[test]
    fn settings_keep_to_their_bounds() {
        let settings = |seconds, per_hour| Settings {
            model: "m".into(),
            wait_max: Span::secs(seconds),
            per_hour,
        };
        assert_eq!(settings(10, 20).check(), Ok(()));
        for (seconds, per_hour, says) in [
            (0, 20, "wait_max is 0"),
            (61, 20, "wait_max is 1m 1s"),
            (10, 0, "per_hour is 0"),
            (10, 121, "per_hour is 121"),
        ] {
            let error = settings(seconds, per_hour).check();
            assert!(
                error.as_ref().is_err_and(|error| error.contains(says)),
                "{says}: {error:?}"
            );
        }
    }
}
