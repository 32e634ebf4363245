//! Reads an incident: puts it into words, has their meaning looked up, and ranks the library.
//!
//! A ranking informs, and it can hold an act back; it never makes one. Without a catalogue, and
//! where no meaning came in time, structure alone decides, and every decision says so.

use std::{collections::BTreeSet, time::Duration};

use hostmedic_model::{
    advice::Advice,
    incident::{Evidence, Incident, IncidentId},
    matched::{MatchRoute, Matched},
    playbook::Playbook,
    record::Body,
    sample::Measure,
    signal::Fact,
    subject::Subject,
    time::At,
    vector::Vector,
    wake::Effect,
};

use crate::{
    advice::Counsel,
    case::Stage,
    describe::{self, Around, Description},
    matching::{
        self, Match,
        catalogue::{Catalogue, Query, Ranked},
        confidence::Route,
        score::Evidence as Known,
    },
    pipeline::State,
};

/// A meaning takes some hundredths of a second; who waits longer goes on without.
pub(crate) const READ_MAX: Duration = Duration::from_secs(2);
/// How often an incident's text is read: each new kind of evidence may change it.
const ASKED_MAX: u32 = 8;
/// Rankings of one incident that are recorded.
const RECORDED_MAX: u32 = 4;
/// Starts are counted so far back.
const STARTS_WITHIN: Duration = Duration::from_secs(600);
/// Lines of a log are looked at so far back.
const LINES_WITHIN: Duration = Duration::from_secs(600);

/// What is known of an incident's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// The newest text.
    pub(crate) text: String,
    /// Its meaning.
    pub(crate) meaning: Meaning,
    /// The kinds of evidence that the text rests on.
    kinds: BTreeSet<String>,
    asked: u32,
    recorded: u32,
    /// The newest recorded ranking.
    pub(crate) newest: Option<Matched>,
    /// What a language model was asked about it.
    pub(crate) counsel: Counsel,
}

/// The meaning of a text.
#[derive(Clone, Debug, Default)]
pub(crate) enum Meaning {
    /// Nobody asked yet.
    #[default]
    Unread,
    /// Asked for.
    Asked,
    /// Here.
    Known(Vector),
    /// It cannot be had, and why.
    Failed(String),
}

impl Reading {
    /// What the chain says of an incident's text; its meaning is asked for anew. True if the record
    /// tells how a question to a language model ended.
    pub(crate) fn recalled(&mut self, matched: &Matched) -> bool {
        self.text.clone_from(&matched.text);
        self.newest = Some(matched.clone());
        let question_ended = self.counsel.recalled(matched);
        self.recorded += u32::from(!question_ended);
        question_ended
    }

    /// The meaning, where it is here.
    pub(crate) fn vector(&self) -> Option<&Vector> {
        match &self.meaning {
            Meaning::Known(vector) => Some(vector),
            _ => None,
        }
    }
}

/// What the text matcher has to say of one playbook.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Opinion {
    /// Nothing, and why.
    Silent(String),
    /// How sure it is of the playbook.
    Sure {
        /// The probability that it is the right one; 0 where others are nearer.
        confidence: f64,
        /// The nearest one.
        nearest: String,
        /// How sure it is of that.
        nearest_confidence: f64,
        /// Another one that fits equally well, if the playbook is one of two such.
        tie: Option<String>,
        /// What it was before a language model lowered it.
        before: Option<f64>,
    },
}

impl State {
    /// Gives the loop a catalogue of its playbooks to compare incidents' texts with; at any time.
    pub fn adopt_catalogue(&mut self, catalogue: Catalogue) {
        self.catalogue = Some(catalogue);
    }

    /// The catalogue, if there is one.
    pub fn catalogue(&self) -> Option<&Catalogue> {
        self.catalogue.as_ref()
    }

    /// Asks for the meaning of an incident's text where its evidence says something new. True if
    /// the incident now waits for the answer.
    pub(crate) fn read(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) -> bool {
        if self.catalogue.is_none() {
            return false;
        }
        let Some(case) = self.cases.get(id) else {
            return false;
        };
        let kinds = kinds_of(&case.incident);
        let unread = matches!(case.reading.meaning, Meaning::Unread);
        if (!unread && kinds == case.reading.kinds) || case.reading.asked >= ASKED_MAX {
            return false;
        }
        let text = self.describe(&case.incident).text;
        let now = self.now;
        let Some(case) = self.cases.get_mut(id) else {
            return false;
        };
        case.reading.kinds = kinds;
        if !unread && case.reading.text == text {
            return false;
        }
        case.reading.asked += 1;
        case.reading.meaning = Meaning::Asked;
        case.reading.text.clone_from(&text);
        case.enter(Stage::Reading { since: now });
        effects.push(Effect::Embed {
            incident: id.clone(),
            text,
        });
        true
    }

    /// A meaning is here, or cannot be had.
    pub(crate) fn embedded(
        &mut self,
        id: &IncidentId,
        text: &str,
        vector: Result<Vector, String>,
        effects: &mut Vec<Effect>,
    ) {
        self.relearn(id, text, &vector);
        let Some(case) = self.cases.get_mut(id) else {
            return;
        };
        // What has been told anew since is asked for anew; this is the answer to the old text.
        if case.reading.text != text || matches!(case.reading.meaning, Meaning::Unread) {
            return;
        }
        case.reading.meaning = match vector {
            Ok(vector) => Meaning::Known(vector),
            Err(why) => Meaning::Failed(why),
        };
        let waits = matches!(case.stage, Stage::Reading { .. });
        self.record_ranking(id, effects);
        if waits {
            self.match_and_look(id, effects);
        }
    }

    /// No meaning came in time.
    pub(crate) fn reading_ended(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        if let Some(case) = self.cases.get_mut(id) {
            let why = format!("its text was not read within {} s", READ_MAX.as_secs());
            case.reading.meaning = Meaning::Failed(why);
            // What came meanwhile is not read either: nothing may wait twice.
            case.reading.kinds = kinds_of(&case.incident);
        }
        self.record_ranking(id, effects);
        self.match_and_look(id, effects);
    }

    /// An incident in words, with everything that is known around it.
    pub(crate) fn describe(&self, incident: &Incident) -> Description {
        let subject = &incident.subject;
        let unit = subject.unit().and_then(|unit| self.facts.unit(unit));
        let starts = subject.unit().map_or(0, |unit| {
            self.facts.starts_within(unit, STARTS_WITHIN, self.now)
        });
        let numbers = self.facts.samples_of(subject);
        describe::describe(
            incident,
            &Around {
                now: self.now,
                unit: unit.map(|unit| &unit.state),
                restart_policy: unit.and_then(|unit| unit.restart_policy.as_deref()),
                starts,
                numbers: numbers
                    .map(|sample| (sample.series.measure, sample.value))
                    .collect(),
                line: self.telling_line(subject),
                top: self.top_consumer(incident),
            },
        )
    }

    /// What the subject's log has that tells most: what is new before what is not, then the worst,
    /// then the newest.
    fn telling_line(&self, subject: &Subject) -> Option<&str> {
        let lately = self.facts.signals_of(subject, LINES_WITHIN, self.now);
        let lines = lately.filter_map(|signal| match &signal.fact {
            Fact::LogLines(lines) => {
                let weight = (self.notices.is_new_line(signal), lines.priority, signal.at);
                Some((weight, lines.template.as_str()))
            }
            _ => None,
        });
        lines
            .max_by_key(|(weight, _)| *weight)
            .map(|(_, line)| line)
    }

    /// Who uses most of what the host is short of.
    fn top_consumer(&self, incident: &Incident) -> Option<(String, Measure, f64)> {
        let of_memory = |evidence: &Evidence| match evidence {
            Evidence::Anomaly(anomaly) => anomaly.series.measure == Measure::MemoryUsedRatio,
            Evidence::Sample(sample) => sample.series.measure == Measure::MemoryUsedRatio,
            Evidence::Signal(signal) => matches!(signal.fact, Fact::OomKill(_)),
            Evidence::Notice(_) | Evidence::Child(_) => false,
        };
        if incident.subject != Subject::Host || !incident.evidence.iter().any(of_memory) {
            return None;
        }
        let most = self.facts.largest(Measure::UnitMemoryBytes)?;
        let unit = most.series.subject.unit()?;
        Some((unit.to_string(), Measure::UnitMemoryBytes, most.value))
    }

    /// The library, ranked for an incident as everything stands now; `None` without a meaning.
    pub(crate) fn ranked(&self, id: &IncidentId) -> Option<Ranked> {
        self.ranked_and_advised(id).map(|(ranked, _)| ranked)
    }

    /// The ranking, and what came of asking a language model about it.
    fn ranked_and_advised(&self, id: &IncidentId) -> Option<(Ranked, Option<Advice>)> {
        let catalogue = self.catalogue.as_ref()?;
        let case = self.cases.get(id)?;
        let vector = case.reading.vector()?;
        let incident = &case.incident;
        let playbook = |name: &str| self.playbooks.iter().find(|known| known.name == name);
        let chosen =
            match matching::choose(&self.playbooks, &incident.subject, &self.facts, self.now) {
                Match::One(playbook) => Some(playbook.name.as_str()),
                Match::None | Match::Tie(..) => None,
            };
        let mut ranked = catalogue.rank(&Query {
            text: &case.reading.text,
            vector,
            admits: &|name| {
                let (subject, facts) = (&incident.subject, &self.facts);
                playbook(name).is_some_and(|known| {
                    // Beside one whose trigger holds; else people are told the nearest, whatever it counts.
                    let is_out = chosen.is_some()
                        && matching::counts_too_few(known, subject, facts, self.now);
                    matching::admits(known, subject) && !is_out
                })
            },
            evidence: &|name| Known {
                trigger_fired: playbook(name).is_some_and(|known| {
                    matching::holds(known, &incident.subject, &self.facts, self.now)
                }),
                chosen: chosen == Some(name),
                patterns: 0,
                recurrences_helped: self.helped_before(incident, name),
            },
        });
        let reading = &case.reading;
        let advice = self.take_advice(&reading.counsel, &reading.text, &mut ranked);
        Some((ranked, advice))
    }

    /// What the text matcher says of `playbook` for an incident.
    pub(crate) fn opinion(&self, id: &IncidentId, playbook: &Playbook) -> Opinion {
        if self.catalogue.is_none() {
            return Opinion::Silent("there is none here".to_owned());
        }
        let Some((ranked, advice)) = self.ranked_and_advised(id) else {
            let why = match self.cases.get(id).map(|case| &case.reading.meaning) {
                Some(Meaning::Failed(why)) => why.clone(),
                _ => "the incident's text was not read yet".to_owned(),
            };
            return Opinion::Silent(why);
        };
        let named = |name: &str| {
            let found = ranked.matches.iter().find(|found| found.playbook == name);
            found.map_or(0.0, |found| found.confidence.value)
        };
        let nearest = ranked.matches.first().map(|found| found.playbook.clone());
        let first_two = ranked.matches.iter().take(2);
        let mut others = first_two.map(|found| found.playbook.as_str()).peekable();
        let is_one = others.clone().any(|name| name == playbook.name);
        let tie = (ranked.tie && is_one)
            .then(|| others.find(|name| *name != playbook.name))
            .flatten();
        Opinion::Sure {
            confidence: named(&playbook.name),
            nearest_confidence: nearest.as_deref().map_or(0.0, named),
            nearest: nearest.unwrap_or_else(|| "none".to_owned()),
            tie: tie.map(str::to_owned),
            before: advice.and_then(|advice| {
                let mut lowered = advice.lowered.iter();
                let own = lowered.find(|lowered| lowered.playbook == playbook.name)?;
                Some(own.from)
            }),
        }
    }

    /// Why nothing is done where no trigger holds.
    pub(crate) fn no_trigger(&self, id: &IncidentId) -> String {
        let Some(ranked) = self.ranked(id) else {
            return "no playbook fits: people must look".to_owned();
        };
        let near: Vec<_> = ranked
            .matches
            .iter()
            .take(if ranked.tie { 2 } else { 1 })
            .map(|found| format!("{} ({:.2})", found.playbook, found.confidence.value))
            .collect();
        if ranked.route == Route::None {
            return "no playbook fits, neither by its trigger nor by its text: people must look"
                .to_owned();
        }
        format!(
            "no playbook's trigger holds; nearest by its text: {}: people must look",
            near.join(", ")
        )
    }

    /// Records the ranking, if it says something new.
    pub(crate) fn record_ranking(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        let Some(matched) = self.matched(id) else {
            return;
        };
        let Some(case) = self.cases.get_mut(id) else {
            return;
        };
        let reading = &mut case.reading;
        let known = reading.newest.as_ref();
        if reading.recorded >= RECORDED_MAX || known.is_some_and(|known| says_same(known, &matched))
        {
            return;
        }
        reading.recorded += 1;
        reading.newest = Some(matched.clone());
        effects.push(Effect::Record(Body::Matched(matched)));
    }

    /// The ranking as it is recorded; `None` where no text was read.
    pub(crate) fn matched(&self, id: &IncidentId) -> Option<Matched> {
        self.catalogue.as_ref()?;
        let case = self.cases.get(id)?;
        let problem = match &case.reading.meaning {
            Meaning::Known(_) => None,
            Meaning::Failed(why) => Some(why.clone()),
            Meaning::Unread | Meaning::Asked => return None,
        };
        let (ranked, advice) = self.ranked_and_advised(id).unzip();
        let found = ranked.iter().flat_map(|ranked| &ranked.matches);
        let candidates = found
            .map(|found| {
                let known = self
                    .playbooks
                    .iter()
                    .find(|known| known.name == found.playbook);
                let evidence = known.map(|known| {
                    let (subject, not_for) = (&case.incident.subject, found.parts.not_for_excess);
                    matching::check(known, subject, &self.facts, self.now, not_for)
                });
                found.recorded(evidence.unwrap_or_default())
            })
            .collect();
        Some(Matched {
            at: self.now,
            incident: id.clone(),
            text: case.reading.text.clone(),
            candidates,
            route: ranked
                .as_ref()
                .map_or(MatchRoute::None, |ranked| ranked.route.into()),
            tie: ranked.is_some_and(|ranked| ranked.tie),
            problem,
            advice: advice.flatten(),
        })
    }

    /// How much nearer an incident's text is to what a playbook is not for.
    pub(crate) fn not_for_excess(&self, id: &IncidentId, playbook: &str) -> f32 {
        let ranked = self.ranked(id);
        let found = ranked
            .iter()
            .flat_map(|ranked| &ranked.matches)
            .find(|found| found.playbook == playbook);
        found.map_or(0.0, |found| found.parts.not_for_excess)
    }
}

/// Whether two rankings lead to the same: numbers that moved a little are no news.
fn says_same(one: &Matched, other: &Matched) -> bool {
    let heads = |matched: &Matched| {
        let first = matched.candidates.first();
        first.map(|first| {
            let contradicted = !first.evidence.contradicted.is_empty();
            (first.playbook.clone(), first.trigger_fired, contradicted)
        })
    };
    let question = |matched: &Matched| {
        // That nobody was asked is recorded when it happens, and no other ranking for it.
        let advice = matched.advice.as_ref().filter(|advice| advice.was_asked());
        advice.map(|advice| advice.question.clone())
    };
    one.text == other.text
        && one.route == other.route
        && one.tie == other.tie
        && one.problem == other.problem
        && question(one) == question(other)
        && heads(one) == heads(other)
}

/// What sorts of evidence an incident has; more of one sort says nothing new.
fn kinds_of(incident: &Incident) -> BTreeSet<String> {
    incident
        .evidence
        .iter()
        .map(|evidence| match evidence {
            Evidence::Signal(signal) => match &signal.fact {
                Fact::UnitState(state) => format!("{:?} {}", state.active, state.result),
                fact => format!("{:?}", fact.kind()),
            },
            Evidence::Anomaly(anomaly) => anomaly.series.measure.to_string(),
            Evidence::Sample(sample) => sample.series.measure.to_string(),
            Evidence::Notice(notice) => format!("{:?}", notice.noticed),
            Evidence::Child(_) => "child".to_owned(),
        })
        .collect()
}

/// The moment since which an incident waits for its meaning, if it has waited long enough.
pub(crate) fn is_late(since: At, now: At) -> bool {
    now.since(since) > READ_MAX
}
