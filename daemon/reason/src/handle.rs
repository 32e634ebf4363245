//! Moves an incident through its stages: what is due at this moment, and what an answer means
//! for the stage that waits for it.

use hostmedic_model::{
    calendar::CalendarReading,
    incident::IncidentId,
    outcome::{StepEnd, StepResult},
    time::At,
    unit::UnitSnapshot,
    wake::{Effect, Inspection},
};

use crate::{
    case::{ANSWER_MAX, CAPTURE_MAX, STEP_GRACE, Stage},
    pipeline::State,
    reading::is_late,
    undo::Undoing,
};

impl State {
    /// Does what is due for one incident at this moment.
    pub(crate) fn advance(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        self.end_late_advice(id, effects);
        let now = self.now;
        let Some(case) = self.cases.get(id) else {
            return;
        };
        match case.stage.clone() {
            Stage::Waiting { look_at } | Stage::Held { look_at } => {
                if now >= look_at && !self.close_if_quiet(id, effects) && !self.weather(id, effects)
                {
                    self.match_and_look(id, effects);
                }
            }
            Stage::Reading { since } => {
                if is_late(since, now) {
                    self.reading_ended(id, effects);
                }
            }
            Stage::Advising => {
                if !self.awaits_advice(id) {
                    self.match_and_look(id, effects);
                }
            }
            Stage::Escalated => _ = self.close_if_quiet(id, effects),
            Stage::Inspecting { since, .. } => {
                if now.since(since) > ANSWER_MAX {
                    self.inspected(id, &no_answer(now), effects);
                }
            }
            Stage::Proposed { proposal, .. } => {
                if now.since(proposal.from) >= proposal.span.0 {
                    self.escalate(
                        id,
                        &format!("nobody answered the proposal within {}", proposal.span),
                        effects,
                    );
                }
            }
            Stage::Capturing { run, since } => {
                if now.since(since) > CAPTURE_MAX {
                    let reason = "evidence could not be captured in time, so the call was not made"
                        .to_owned();
                    self.step_ended(
                        &StepEnd {
                            at: now,
                            intent: run.intent.id,
                            result: StepResult::Refused { reason },
                            after: None,
                        },
                        effects,
                    );
                }
            }
            Stage::Acting { run, since } => {
                if now.since(since) > run.intent.wait_max.0 + STEP_GRACE {
                    let reason = "no answer from the systemd adapter".to_owned();
                    self.step_ended(
                        &StepEnd {
                            at: now,
                            intent: run.intent.id,
                            result: StepResult::Unknown { reason },
                            after: None,
                        },
                        effects,
                    );
                }
            }
            Stage::Settling {
                run,
                ended,
                look_at,
            } => {
                if now >= look_at {
                    effects.push(Effect::Inspect {
                        incident: id.clone(),
                        unit: run.intent.unit.clone(),
                        also: run.intent.closure_before.clone(),
                    });
                    self.enter(
                        id,
                        Stage::Checking {
                            run,
                            ended,
                            since: now,
                        },
                    );
                }
            }
            Stage::Checking { run, ended, since } => {
                if now.since(since) > ANSWER_MAX {
                    self.checked(id, run, ended, &no_answer(now), effects);
                }
            }
            Stage::Undoing { undo, at } => self.advance_undo(id, undo, at, effects),
            Stage::Over => {}
        }
    }

    /// The fresh look is here: for a decision, or for a verification.
    pub(crate) fn inspected(
        &mut self,
        id: &IncidentId,
        inspection: &Inspection,
        effects: &mut Vec<Effect>,
    ) {
        if let Ok(snapshot) = &inspection.unit {
            self.facts.learn_snapshot(snapshot);
            self.correlation.learn(snapshot);
        }
        self.learn_calendar(inspection.calendar.clone());
        let Some(case) = self.cases.get(id) else {
            return;
        };
        match case.stage.clone() {
            // A yes that a person gave in full sight of the storm holds.
            Stage::Inspecting { approval, .. }
                if approval.is_some() || !self.weather(id, effects) =>
            {
                self.decide(id, approval, inspection, effects);
            }
            Stage::Checking { run, ended, .. } => {
                self.checked(id, run, ended, inspection, effects);
            }
            Stage::Undoing { undo, at } => match at {
                Undoing::Looking { since } => {
                    // A late answer to an earlier question is no look before taking back.
                    let is_late = |unit: &UnitSnapshot| unit.at.boot_ns < since.boot_ns;
                    if !inspection.unit.as_ref().is_ok_and(is_late) {
                        self.undo_looked(id, undo, inspection, effects);
                    }
                }
                Undoing::Checking { call, .. } => {
                    self.undo_checked(id, undo, call, inspection, effects);
                }
                Undoing::Waiting { .. } | Undoing::Acting { .. } | Undoing::Settling { .. } => {}
            },
            // Too late: its deadline passed and something else was decided.
            _ => {}
        }
    }

    pub(crate) fn enter(&mut self, id: &IncidentId, stage: Stage) {
        if let Some(case) = self.cases.get_mut(id) {
            case.enter(stage);
        }
    }
}

pub(crate) fn no_answer(now: At) -> Inspection {
    let reason = "no answer within 10 s".to_owned();
    Inspection {
        unit: Err(reason.clone()),
        calendar: CalendarReading::Unreadable { at: now, reason },
        also_down: Vec::new(),
    }
}
