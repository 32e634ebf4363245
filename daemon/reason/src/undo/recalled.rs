//! What the audit chain tells of an attempt and of taking it back, so that a daemon that died on the
//! way finishes it, and does nothing twice.

use std::collections::BTreeMap;

use hostmedic_model::{
    incident::IncidentId,
    intent::Intent,
    outcome::{Outcome, StepEnd, StepResult},
};

use super::{Ended, Undo, Undoing, did_not_help, told::Told};
use crate::{
    case::{Done, Stage},
    pipeline::State,
};

/// What the chain tells of an incident's newest attempt.
#[derive(Debug, Default)]
pub(crate) struct Recalled {
    /// Steps that systemd took or may have taken, oldest first.
    pub(crate) done: Vec<Done>,
    /// Steps that are still to be taken back, the next one last; `None` if that was never begun.
    left: Option<Vec<Done>>,
    told: Told,
    why: String,
}

impl Recalled {
    /// Takes a step's intent in; the first one of an attempt begins it.
    pub(crate) fn began(&mut self, intent: &Intent, is_first: bool) {
        if is_first {
            *self = Self::default();
        }
        self.done.push(Done::new(intent, None));
    }

    /// Takes the end of a step in: what systemd refused was never done.
    pub(crate) fn ended(&mut self, end: &StepEnd) {
        if let StepResult::Refused { .. } = end.result {
            self.done.retain(|done| done.intent.id != end.intent);
        }
        for done in &mut self.done {
            if done.intent.id == end.intent {
                *done = Done::new(&done.intent, end.after.as_ref());
            }
        }
    }

    /// Takes the last word on `intent` in: of an attempt, or of a call that took a step back.
    pub(crate) fn concluded(&mut self, outcome: &Outcome, intent: Option<&Intent>) {
        let undoes = intent.and_then(|intent| Some((intent, intent.undoes.as_ref()?)));
        if let Some((undo, undone)) = undoes {
            if let Some(left) = &mut self.left {
                left.retain(|done| done.intent.id != *undone);
            }
            let observed = outcome.checks.first().map_or("", |check| &check.observed);
            self.told.concluded(undo, outcome.verification, observed);
        } else if !outcome.undoing.is_empty() {
            let is_named = |done: &&Done| outcome.undoing.contains(&done.intent.id);
            self.left = Some(self.done.iter().filter(is_named).cloned().collect());
            let playbook = intent.map_or("the playbook", |intent| &intent.playbook.name);
            self.why = did_not_help(playbook, outcome.verification);
        }
    }
}

impl State {
    /// Goes on with taking an attempt's steps back, if the chain says that it had begun. `under_way` is
    /// the call without a last word, which is looked at and never made again.
    pub(crate) fn recall_undo(
        &mut self,
        id: &IncidentId,
        under_way: Option<(Intent, String)>,
        recalled: &mut BTreeMap<IncidentId, Recalled>,
    ) {
        let now = self.now;
        let Some(recalled) = recalled.remove(id) else {
            return;
        };
        let Some(left) = recalled.left else {
            return;
        };
        let newest = under_way.as_ref().map(|(intent, _)| intent);
        let Some(newest) = newest.or(recalled.done.last().map(|done| &done.intent)) else {
            return;
        };
        let undo = Undo {
            playbook: self.playbook_of(newest),
            left,
            told: recalled.told,
            why: recalled.why,
            began: now,
        };
        let at = match under_way {
            Some((intent, reason)) => Undoing::Settling {
                call: Ended {
                    intent,
                    at: now,
                    unknown: Some(reason),
                },
                look_at: now,
            },
            None => Undoing::Waiting { look_at: now },
        };
        self.enter(id, Stage::Undoing { undo, at });
    }
}
