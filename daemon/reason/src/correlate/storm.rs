//! Many incidents at once: one page instead of a hundred, and no hand of the machine in them.

use std::time::Duration;

use hostmedic_model::{
    anomaly::Severity,
    decision::Verdict,
    incident::{Evidence, Incident, IncidentId, IncidentStatus},
    notice::{Notice, Noticed},
    subject::Subject,
    time::Span,
    wake::Effect,
};

use super::{OPENED_MAX, TOGETHER};
use crate::{case::Stage, pipeline::State};

/// So many incidents without a known cause, within [`TOGETHER`], are no storm yet.
const CALM_MAX: usize = 10;
/// A storm is over when no incident joined it for this long.
const OVER_AFTER: Duration = Duration::from_secs(300);
/// Pause before a held child is looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Whether an incident stands for a storm.
pub(crate) fn is_storm(incident: &Incident) -> bool {
    matches!(
        incident.evidence.first(),
        Some(Evidence::Notice(Notice {
            noticed: Noticed::Storm,
            ..
        }))
    )
}

impl State {
    /// The storm that is not over.
    pub(super) fn storm(&self) -> Option<&IncidentId> {
        let mut incidents = self.cases.values().map(|case| &case.incident);
        incidents
            .find(|incident| is_storm(incident) && !incident.status.is_over())
            .map(|incident| &incident.id)
    }

    /// Counts an incident without a parent; too many at once are a storm, and join it.
    pub(super) fn count_opening(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        let now = self.now;
        let opened = &mut self.correlation.opened;
        opened.retain(|(at, _)| now.since(*at) <= TOGETHER);
        if opened.len() == OPENED_MAX {
            opened.pop_front();
        }
        opened.push_back((now, id.clone()));
        if opened.len() <= CALM_MAX {
            return;
        }
        let members: Vec<_> = opened.drain(..).map(|(_, id)| id).collect();
        let notice = Notice {
            at: now,
            subject: Subject::Host,
            noticed: Noticed::Storm,
            severity: Severity::Critical,
            observed: members.len() as f64,
            expected: 0.0,
            over: Span(TOGETHER),
        };
        let storm = self.open(
            &Subject::Host,
            Noticed::Storm.title(),
            Severity::Critical,
            Evidence::Notice(notice),
            effects,
        );
        for member in members {
            self.link(&member, &storm, effects);
        }
    }

    /// Does for an incident what a storm asks for; `true` if there is nothing else to do for it.
    pub(crate) fn weather(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) -> bool {
        let Some(incident) = self.cases.get(id).map(|case| &case.incident) else {
            return false;
        };
        if is_storm(incident) {
            if self.now.since(incident.last_at) >= OVER_AFTER {
                self.close(id, IncidentStatus::Closed, "no incident joined it", effects);
            }
            return true;
        }
        let Some(storm) = self.storm().cloned() else {
            return false;
        };
        if !self.is_below(id, |above| *above == storm) {
            return false;
        }
        let reason = "storm: many incidents at once, so a machine waits until it is over";
        self.record_plain(id, Verdict::Hold, reason, effects);
        let look_at = self.now.plus(LOOK_EVERY);
        self.enter(id, Stage::Held { look_at });
        true
    }
}
