//! What incidents teach the matcher: verified outcomes and operators' words.
//!
//! A lesson is one incident's, and can be taken back. After a restart the lessons come back from
//! the audit chain: their texts are read again, one at a time and when nothing else is asked.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use hostmedic_model::{
    command::Judgement,
    incident::{Incident, IncidentId},
    outcome::Verification,
    subject::Subject,
    time::At,
    vector::Vector,
    wake::Effect,
};

use crate::{
    matching::learned::{LESSONS_MAX, Verdict},
    pipeline::State,
};

/// A lesson whose text is not read within this time is left out: nothing waits for it, but the
/// ones after it do.
const READ_MAX: Duration = Duration::from_secs(60);
/// Successes that are remembered, to tell a fault that came back; the oldest go first.
const HELPED_MAX: usize = 512;

/// A lesson whose text has to be read again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lesson {
    pub(crate) incident: IncidentId,
    pub(crate) playbook: String,
    pub(crate) text: String,
    pub(crate) verdict: Verdict,
}

/// What a verification teaches; nothing where nobody knows.
pub(crate) fn verdict(verification: Verification) -> Option<Verdict> {
    match verification {
        Verification::Resolved => Some(Verdict::Helped),
        Verification::Unchanged | Verification::Worse => Some(Verdict::Failed),
        Verification::Indeterminate => None,
    }
}

/// What is remembered for learning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lessons {
    /// Lessons to be learned again, newest last.
    again: VecDeque<Lesson>,
    /// The text of the first of them is being read since then.
    asked: Option<At>,
    /// Subject, title and playbook of what was resolved.
    helped: VecDeque<(Subject, String, String)>,
}

impl Lessons {
    fn helped(&mut self, incident: &Incident, playbook: &str) {
        if self.helped.len() == HELPED_MAX {
            self.helped.pop_front();
        }
        let (subject, title) = (incident.subject.clone(), incident.title.clone());
        self.helped.push_back((subject, title, playbook.to_owned()));
    }

    /// Takes back what an incident was about to teach. Whether there was anything.
    fn forget(&mut self, incident: &IncidentId) -> bool {
        if self
            .again
            .front()
            .is_some_and(|lesson| lesson.incident == *incident)
        {
            self.asked = None;
        }
        let before = self.again.len();
        self.again.retain(|lesson| lesson.incident != *incident);
        self.again.len() < before
    }

    /// Keeps a lesson for later. Of one playbook as many as it can learn.
    fn keep(&mut self, lesson: Lesson) {
        self.forget(&lesson.incident);
        let of_same = |known: &Lesson| known.playbook == lesson.playbook;
        if self.again.iter().filter(|known| of_same(known)).count() >= LESSONS_MAX
            && let Some(oldest) = self.again.iter().position(of_same)
        {
            if oldest == 0 {
                self.asked = None;
            }
            self.again.remove(oldest);
        }
        self.again.push_back(lesson);
    }
}

impl State {
    /// Learns from what verification found.
    pub(crate) fn learn_outcome(
        &mut self,
        id: &IncidentId,
        playbook: &str,
        verification: Verification,
    ) {
        let (Some(verdict), Some(case)) = (verdict(verification), self.cases.get(id)) else {
            return;
        };
        if verdict == Verdict::Helped {
            self.lessons.helped(&case.incident, playbook);
        }
        self.teach(id, playbook, verdict);
    }

    /// Learns from what an operator says. Says what was learned, or why nothing.
    pub(crate) fn judge(
        &mut self,
        id: &IncidentId,
        playbook: Option<&str>,
        judgement: Judgement,
    ) -> Result<String, String> {
        let Some(catalogue) = &mut self.catalogue else {
            return Err("no texts are compared here, so there is nothing to learn".to_owned());
        };
        let verdict = match judgement {
            Judgement::Forget => {
                let waited = self.lessons.forget(id);
                return if catalogue.unlearn(&id.0) || waited {
                    Ok(format!("what {id} has taught is forgotten"))
                } else {
                    Err(format!("{id} has taught nothing"))
                };
            }
            Judgement::Right => Verdict::Right,
            Judgement::Wrong => Verdict::Wrong,
        };
        let case = self
            .cases
            .get(id)
            .ok_or_else(|| format!("there is no incident {id}; see `medic incidents`"))?;
        let first = case.reading.newest.as_ref().and_then(|newest| {
            let first = newest.candidates.first();
            first.map(|first| first.playbook.as_str())
        });
        let name = playbook
            .or(first)
            .ok_or_else(|| format!("nothing was ranked for {id}; name the playbook"))?
            .to_owned();
        if !self.playbooks.iter().any(|known| known.name == name) {
            return Err(format!(
                "there is no playbook {name}; see `medic playbook ls`"
            ));
        }
        if case.reading.text.is_empty() {
            return Err(format!(
                "the text of {id} was never read: nothing to learn from"
            ));
        }
        self.teach(id, &name, verdict);
        let word = if verdict == Verdict::Right {
            "right"
        } else {
            "wrong"
        };
        Ok(format!(
            "noted: {name} was {word} for {id}; `medic judge {id} forget` takes it back"
        ))
    }

    /// Learns a lesson now, or once its text has been read again.
    pub(crate) fn teach(&mut self, id: &IncidentId, playbook: &str, verdict: Verdict) {
        self.lessons.forget(id);
        let (Some(catalogue), Some(case)) = (&mut self.catalogue, self.cases.get(id)) else {
            return;
        };
        // A lesson belongs to one incident, whatever was said of it before.
        catalogue.unlearn(&id.0);
        if let Some(vector) = case.reading.vector() {
            catalogue.learn(playbook, &id.0, vector, verdict);
        } else if !case.reading.text.is_empty() {
            self.lessons.keep(Lesson {
                incident: id.clone(),
                playbook: playbook.to_owned(),
                text: case.reading.text.clone(),
                verdict,
            });
        }
    }

    /// How often `playbook` has helped with this very fault of this very subject.
    pub(crate) fn helped_before(&self, incident: &Incident, playbook: &str) -> u32 {
        let helped = self.lessons.helped.iter();
        let same = helped.filter(|(subject, title, name)| {
            *subject == incident.subject && *title == incident.title && name == playbook
        });
        u32::try_from(same.count()).unwrap_or(u32::MAX)
    }

    /// Asks for the next text that has to be read again.
    pub(crate) fn learn_again(&mut self, effects: &mut Vec<Effect>) {
        if self.catalogue.is_none() {
            return;
        }
        match self.lessons.asked {
            Some(since) if self.now.since(since) <= READ_MAX => return,
            // It was not read in time, so it will not be the next time either.
            Some(_) => _ = self.lessons.again.pop_front(),
            None => {}
        }
        self.lessons.asked = None;
        if let Some(lesson) = self.lessons.again.front() {
            self.lessons.asked = Some(self.now);
            effects.push(Effect::Embed {
                incident: lesson.incident.clone(),
                text: lesson.text.clone(),
            });
        }
    }

    /// Takes the meaning of a text that was read again, if this is one.
    pub(crate) fn relearn(&mut self, id: &IncidentId, text: &str, vector: &Result<Vector, String>) {
        let lessons = &mut self.lessons;
        let first = lessons.again.front();
        let is_it = first.is_some_and(|lesson| lesson.incident == *id && lesson.text == text);
        if lessons.asked.is_none() || !is_it {
            return;
        }
        lessons.asked = None;
        let lesson = lessons.again.pop_front();
        if let (Some(catalogue), Some(lesson), Ok(vector)) = (&mut self.catalogue, lesson, vector) {
            catalogue.learn(&lesson.playbook, &lesson.incident.0, vector, lesson.verdict);
        }
    }

    /// Takes the chain's lessons in: the last word on each incident, oldest first.
    pub(crate) fn recall_lessons(&mut self, lessons: BTreeMap<u64, Lesson>) {
        for lesson in lessons.into_values() {
            if lesson.verdict == Verdict::Helped
                && let Some(case) = self.cases.get(&lesson.incident)
            {
                self.lessons.helped(&case.incident, &lesson.playbook);
            }
            if self
                .playbooks
                .iter()
                .any(|known| known.name == lesson.playbook)
            {
                self.lessons.keep(lesson);
            }
        }
    }
}
