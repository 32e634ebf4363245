//! Incidents of one cause become one page: the cause is the parent, the rest is shown below it.
//!
//! A parent changes what people are told, not what is done: every child keeps its own incident, its
//! own match and its own decisions, because what can be done is done for each unit. Only in a storm
//! does the machine wait, since nobody has seen what so many incidents at once have in common.

mod cause;
mod storm;

use std::{collections::VecDeque, time::Duration};

use hostmedic_model::{
    incident::{Child, Evidence, Incident, IncidentId, Similar},
    record::Body,
    subject::{Subject, UnitName},
    time::At,
    unit::UnitSnapshot,
    wake::Effect,
};

pub(crate) use self::{cause::can_be_cause, storm::is_storm};
use crate::{notice::Table, pipeline::State};

/// Incidents open within this time of one another may have one cause.
const TOGETHER: Duration = Duration::from_secs(120);
/// Units whose dependents are known, and dependents of one.
const UNITS_MAX: usize = 1024;
const DEPENDENTS_MAX: usize = 64;
/// Incidents opened of late that are remembered, to tell a storm.
const OPENED_MAX: usize = 64;
/// Incidents remembered for recurrence, and for how long.
const PAST_MAX: usize = 4096;
const PAST_MS: i64 = 30 * 24 * 3_600_000;
/// An incident that came back within this time is flapping.
const FLAP_MS: i64 = 3_600_000;

/// What is known of how things hang together.
#[derive(Clone, Debug)]
pub(crate) struct Correlation {
    /// Units that go down with a unit, from fresh looks while they were up.
    dependents: Table<UnitName, Vec<UnitName>>,
    /// Incidents without a parent, newest last.
    opened: VecDeque<(At, IncidentId)>,
    /// Incidents of the last 30 days.
    past: VecDeque<Past>,
}

/// An incident that once opened.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    id: IncidentId,
    subject: Subject,
    title: String,
    opened_wall_ms: i64,
}

/// What the past says about a title.
#[derive(Debug, Default)]
pub(crate) struct Recurrence {
    pub(crate) times: u32,
    /// Of these, within the hour before.
    pub(crate) flaps: u32,
    pub(crate) similar: Option<Similar>,
}

impl Default for Correlation {
    fn default() -> Self {
        Self {
            dependents: Table::new(UNITS_MAX),
            opened: VecDeque::new(),
            past: VecDeque::new(),
        }
    }
}

impl Correlation {
    /// Remembers what goes down with a unit. Units that were down when it was looked at are missing
    /// from the look, so what is known is only added to.
    pub(crate) fn learn(&mut self, snapshot: &UnitSnapshot) {
        if snapshot.stop_closure.is_empty() {
            return;
        }
        let now_s = snapshot.at.boot_ns / 1_000_000_000;
        let known = self.dependents.touch(&snapshot.unit, now_s, Vec::new);
        for dependent in &snapshot.stop_closure {
            if known.len() < DEPENDENTS_MAX && !known.contains(dependent) {
                known.push(dependent.clone());
            }
        }
    }

    /// Whether `below` goes down with `above`.
    fn depends(&self, below: &UnitName, above: &UnitName) -> bool {
        let dependents = self.dependents.get(above);
        dependents.is_some_and(|dependents| dependents.contains(below))
    }

    /// What the 30 days before `now_ms` say about this subject and title.
    pub(crate) fn recurrence(&self, subject: &Subject, title: &str, now_ms: i64) -> Recurrence {
        let mut found = Recurrence::default();
        let alike = |past: &&Past| {
            past.title == title && now_ms.saturating_sub(past.opened_wall_ms) <= PAST_MS
        };
        for past in self.past.iter().filter(alike) {
            if past.subject == *subject {
                found.times = found.times.saturating_add(1);
                if now_ms.saturating_sub(past.opened_wall_ms) <= FLAP_MS {
                    found.flaps = found.flaps.saturating_add(1);
                }
            } else if std::mem::discriminant(&past.subject) == std::mem::discriminant(subject) {
                let count = found.similar.map_or(0, |similar| similar.count);
                found.similar = Some(Similar {
                    count: count.saturating_add(1),
                    last: past.id.clone(),
                });
            }
        }
        found
    }

    /// Remembers an incident that opened at `wall_ms`.
    pub(crate) fn remember(&mut self, incident: &Incident, wall_ms: i64) {
        self.past
            .retain(|past| wall_ms.saturating_sub(past.opened_wall_ms) <= PAST_MS);
        if self.past.len() == PAST_MAX {
            self.past.pop_front();
        }
        self.past.push_back(Past {
            id: incident.id.clone(),
            subject: incident.subject.clone(),
            title: incident.title.clone(),
            opened_wall_ms: wall_ms,
        });
    }

    /// Habits of dependence that were forgotten for want of room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.dependents.forgotten()
    }
}

impl State {
    /// Puts an incident that just opened in its place: below its cause, above what it caused, or
    /// into a storm.
    pub(crate) fn place(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        if let Some(parent) = self.parent_of(id) {
            self.tell_parent(&parent, id, effects);
            return;
        }
        self.adopt(id, effects);
        self.count_opening(id, effects);
    }

    /// Puts what opened shortly before its cause was known below it.
    pub(crate) fn adopt(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        let now = self.now;
        let orphans: Vec<_> = self
            .cases
            .values()
            .map(|case| &case.incident)
            .filter(|incident| {
                incident.parent.is_none()
                    && incident.id != *id
                    && !incident.status.is_over()
                    && now.since(incident.opened_at) <= TOGETHER
                    && self.is_cause(id, incident)
            })
            .map(|incident| incident.id.clone())
            .collect();
        for orphan in orphans {
            self.link(&orphan, id, effects);
        }
    }

    /// The open incident that caused this one, as far as is known.
    pub(crate) fn cause_of(&self, incident: &Incident) -> Option<IncidentId> {
        let is_cause = |id: &&IncidentId| **id != incident.id && self.is_cause(id, incident);
        // The names begin with the moment: the oldest cause is the first one.
        let cause = self.cases.keys().find(is_cause);
        cause.or_else(|| self.storm()).cloned()
    }

    fn parent_of(&self, id: &IncidentId) -> Option<IncidentId> {
        self.cases.get(id)?.incident.parent.clone()
    }

    /// Puts one incident below another and writes it down with the parent, once.
    fn link(&mut self, child: &IncidentId, parent: &IncidentId, effects: &mut Vec<Effect>) {
        if !self.set_parent(child, parent) {
            return;
        }
        self.correlation.opened.retain(|(_, id)| id != child);
        self.tell_parent(parent, child, effects);
    }

    /// `false` if that would make a circle, or the child has a parent.
    pub(crate) fn set_parent(&mut self, child: &IncidentId, parent: &IncidentId) -> bool {
        if self.is_below(parent, |id| id == child) {
            return false;
        }
        match self.cases.get_mut(child) {
            Some(case) if case.incident.parent.is_none() => {
                case.incident.parent = Some(parent.clone());
                true
            }
            _ => false,
        }
    }

    /// Whether `is` holds of this incident or of one above it.
    fn is_below(&self, id: &IncidentId, is: impl Fn(&IncidentId) -> bool) -> bool {
        let mut above = Some(id.clone());
        // A chain can be no longer than there are incidents.
        for _ in 0..=self.cases.len() {
            match above {
                Some(id) if is(&id) => return true,
                Some(id) => above = self.parent_of(&id),
                None => return false,
            }
        }
        false
    }

    /// The parent's evidence that it has a child. It matters at least as much as the child does.
    fn tell_parent(&mut self, parent: &IncidentId, child: &IncidentId, effects: &mut Vec<Effect>) {
        let at = self.now;
        let Some(incident) = self.cases.get(child).map(|case| &case.incident) else {
            return;
        };
        let evidence = Evidence::Child(Child {
            at,
            incident: child.clone(),
            subject: incident.subject.clone(),
            title: incident.title.clone(),
            severity: incident.severity,
        });
        if let Some(evidence) = self.extend_case(parent, evidence) {
            effects.push(Effect::Record(Body::IncidentExtended {
                incident: parent.clone(),
                evidence,
            }));
        }
    }

    /// Habits of subjects that were forgotten for want of room.
    pub fn habits_forgotten(&self) -> u64 {
        self.notices.forgotten() + self.correlation.forgotten()
    }
}
