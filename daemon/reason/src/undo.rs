//! Takes back what did not help: the recorded inverse of each step, last first.
//!
//! Each one begins with a fresh look. Only what is still as the step left it is taken back; what
//! somebody changed meanwhile is theirs. Like any act it is an intent of its own, durable before the
//! call and never carried out twice, and a fresh look says what came of it. In the end people hear
//! what was taken back and what was not. An operator's word ends it where it stands: a machine that
//! went on after a pause of hours would surprise those who have taken over by then.

mod effect;
mod recalled;
mod told;

use std::time::Duration;

use hostmedic_model::{
    decision::{Stance, Verdict},
    incident::{Incident, IncidentId},
    intent::{Intent, IntentId},
    outcome::{CheckResult, Outcome, StepEnd, StepResult, Verification},
    playbook::{Playbook, Verb},
    record::Body,
    subject::UnitName,
    time::At,
    wake::{Effect, Inspection},
};

use crate::{
    case::{ANSWER_MAX, Done, STEP_GRACE, Stage},
    decide,
    guard::{self, Look},
    handle::no_answer,
    matching,
    pipeline::State,
};

pub(crate) use recalled::Recalled;
pub(crate) use told::{did_not_help, left_behind};

use effect::{Effective, before, check, effective, is_back, state_of};
use told::Told;

/// For so long a guard that says "wait" is waited for; then people decide.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// After so long a step that was taken back must be seen to be back.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// Pause between two looks at that.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is being taken back.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    /// The playbook whose steps they were.
    pub(crate) playbook: Playbook,
    /// Steps that are still to be taken back; the next one is the last.
    pub(crate) left: Vec<Done>,
    /// What came of those before.
    pub(crate) told: Told,
    /// Why all this: what people are told first.
    pub(crate) why: String,
    /// When it began.
    pub(crate) began: At,
}

/// Where it stands with the next step.
#[derive(Clone, Debug)]
pub(crate) enum Undoing {
    /// A guard said "wait"; looked at again at this moment.
    Waiting { look_at: At },
    /// A fresh look was asked for.
    Looking { since: At },
    /// The call is out.
    Acting { intent: Intent, since: At },
    /// The call ended; looked at at this moment.
    Settling { call: Ended, look_at: At },
    /// A fresh look was asked for, to see whether it is back.
    Checking { call: Ended, since: At },
}

/// A call that ended, as far as anybody knows.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) intent: Intent,
    /// When.
    pub(crate) at: At,
    /// Why nobody knows how.
    pub(crate) unknown: Option<String>,
}

/// The steps of an attempt that can be taken back, in the order in which they are: last first.
pub(crate) fn order(done: &[Done]) -> impl Iterator<Item = &Done> {
    done.iter()
        .rev()
        .filter(|done| done.intent.inverse.is_some())
}

impl State {
    /// Begins to take steps back. `left` has the next one last.
    pub(crate) fn begin_undo(
        &mut self,
        id: &IncidentId,
        playbook: Playbook,
        left: Vec<Done>,
        why: String,
        effects: &mut Vec<Effect>,
    ) {
        let undo = Undo {
            playbook,
            left,
            told: Told::default(),
            why,
            began: self.now,
        };
        self.undo_next(id, undo, effects);
    }

    /// Asks for a look before the next step is taken back, or hands over when there is none.
    fn undo_next(&mut self, id: &IncidentId, undo: Undo, effects: &mut Vec<Effect>) {
        let Some(next) = undo.left.last() else {
            let reason = undo.told.after(&undo.why);
            self.escalate(id, &reason, effects);
            return;
        };
        effects.push(Effect::Inspect {
            incident: id.clone(),
            unit: next.intent.unit.clone(),
            also: Vec::new(),
        });
        let at = Undoing::Looking { since: self.now };
        self.enter(id, Stage::Undoing { undo, at });
    }

    /// Does what is due at this moment.
    pub(crate) fn advance_undo(
        &mut self,
        id: &IncidentId,
        undo: Undo,
        at: Undoing,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        match at {
            Undoing::Waiting { look_at } => {
                if now >= look_at {
                    self.undo_next(id, undo, effects);
                }
            }
            Undoing::Looking { since } => {
                if now.since(since) > ANSWER_MAX {
                    self.undo_looked(id, undo, &no_answer(now), effects);
                }
            }
            Undoing::Acting { intent, since } => {
                if now.since(since) > intent.wait_max.0 + STEP_GRACE {
                    let reason = "no answer from the systemd adapter".to_owned();
                    let end = StepEnd {
                        at: now,
                        intent: intent.id.clone(),
                        result: StepResult::Unknown { reason },
                        after: None,
                    };
                    self.undo_ended(id, undo, intent, &end, effects);
                }
            }
            Undoing::Settling { call, look_at } => {
                if now >= look_at {
                    self.look_whether_back(id, undo, call, effects);
                }
            }
            Undoing::Checking { call, since } => {
                if now.since(since) > ANSWER_MAX {
                    self.undo_checked(id, undo, call, &no_answer(now), effects);
                }
            }
        }
    }

    /// The fresh look before a step is taken back is here.
    pub(crate) fn undo_looked(
        &mut self,
        id: &IncidentId,
        mut undo: Undo,
        inspection: &Inspection,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let Some(step) = undo.left.last().cloned() else {
            return;
        };
        let done = &step.intent;
        match inspection.unit.as_ref().map(|unit| effective(&step, unit)) {
            Ok(Effective::Back) => {
                let said = format!("{} (it was so already)", before(done));
                undo.left.pop();
                undo.told.back.push(said);
                self.undo_next(id, undo, effects);
                return;
            }
            Ok(Effective::Changed(found)) => {
                let said = format!("{}: somebody changed it meanwhile, {found}", done.says());
                undo.left.pop();
                undo.told.not_back.push(said);
                self.undo_next(id, undo, effects);
                return;
            }
            Ok(Effective::Yes) | Err(_) => {}
        }
        // A person said stop: this is theirs now.
        if let Some(stop) = self.stopped(&done.unit) {
            self.stop_undoing(id, undo, &stop, effects);
            return;
        }
        let Some(inverse) = done.inverse else {
            undo.left.pop();
            self.undo_next(id, undo, effects);
            return;
        };
        let needed_by = inspection.unit.as_ref().map(|unit| &unit.stop_closure);
        if let (Verb::Stop, Ok([first, ..])) = (inverse, needed_by.map(Vec::as_slice)) {
            let said = format!("{}: a stop would take {first} with it", done.says());
            undo.left.pop();
            undo.told.not_back.push(said);
            self.undo_next(id, undo, effects);
            return;
        }
        let Some(incident) = self.cases.get(id).map(|case| case.incident.clone()) else {
            return;
        };
        let guards =
            self.guards_before_undoing(&incident, &undo.playbook, inverse, &done.unit, inspection);
        let (verdict, said) = decide::decide(&guards);
        let is_refused = guards
            .iter()
            .any(|word| matches!(word.stance, Stance::Refuse | Stance::Shadow));
        let intent = self.undo_intent(done, inverse, inspection);
        let (verdict, reason) = match verdict {
            Verdict::Act => (Verdict::Act, format!("take back: {}", intent.says())),
            _ if is_refused => (Verdict::Escalate, format!("not taken back: {said}")),
            _ if now.since(undo.began) > WAIT_MAX => (
                Verdict::Escalate,
                format!("waited in vain to take it back: {said}"),
            ),
            _ => (Verdict::Hold, format!("waits to take it back: {said}")),
        };
        let (playbook, target) = (undo.playbook.clone(), Some(done.unit.clone()));
        self.record_decision(
            id,
            verdict,
            reason,
            Some(&playbook),
            target,
            guards,
            inspection,
            effects,
        );
        match verdict {
            Verdict::Act => {
                effects.push(Effect::Record(Body::Intent(intent.clone())));
                effects.push(Effect::Act(intent.clone()));
                let at = Undoing::Acting { intent, since: now };
                self.enter(id, Stage::Undoing { undo, at });
            }
            Verdict::Hold => {
                let look_at = now.plus(self.policy.reconsider.0);
                let at = Undoing::Waiting { look_at };
                self.enter(id, Stage::Undoing { undo, at });
            }
            _ => self.stop_undoing(id, undo, &said, effects),
        }
    }

    /// Nothing more is taken back; people hear what stays.
    fn stop_undoing(
        &mut self,
        id: &IncidentId,
        mut undo: Undo,
        why: &str,
        effects: &mut Vec<Effect>,
    ) {
        let left = std::mem::take(&mut undo.left);
        let said = left.iter().rev();
        undo.told
            .not_back
            .extend(said.map(|step| format!("{} ({why})", step.intent.says())));
        self.undo_next(id, undo, effects);
    }

    fn guards_before_undoing(
        &self,
        incident: &Incident,
        playbook: &Playbook,
        verb: Verb,
        target: &UnitName,
        inspection: &Inspection,
    ) -> Vec<hostmedic_model::decision::GuardVerdict> {
        let excess = self.not_for_excess(&incident.id, &playbook.name);
        guard::ask_before_undoing(&Look {
            now: self.now,
            opinion: &self.opinion(&incident.id, playbook),
            check: &matching::check(playbook, &incident.subject, &self.facts, self.now, excess),
            policy: &self.policy,
            playbook,
            subject: &incident.subject,
            severity: incident.severity,
            moves: verb.moves(),
            target,
            unit: &inspection.unit,
            calendar: &inspection.calendar,
            facts: &self.facts,
            attempts: &self.attempts,
            inhibits: &self.inhibits,
            paused: self.paused.as_deref(),
            approved: None,
            ledger_failing: self.ledger_failing.as_deref(),
        })
    }

    /// The intent that takes `done` back, bound to the same attempt.
    fn undo_intent(&self, done: &Intent, inverse: Verb, inspection: &Inspection) -> Intent {
        let unit = inspection.unit.as_ref().ok();
        Intent {
            id: done.id.undo(),
            at: self.now,
            boot: self.boot.clone(),
            verb: inverse,
            slice: unit.and_then(|unit| unit.slice.clone()),
            invocation_before: unit.and_then(|unit| unit.state.invocation_id.clone()),
            closure_before: unit
                .map(|unit| unit.stop_closure.clone())
                .unwrap_or_default(),
            change: done.change.map(hostmedic_model::property::Change::reversed),
            inverse: None,
            undoes: Some(done.id.clone()),
            ..done.clone()
        }
    }

    /// The call that takes a step back ended.
    pub(crate) fn undo_ended(
        &mut self,
        id: &IncidentId,
        undo: Undo,
        intent: Intent,
        end: &StepEnd,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(after) = &end.after {
            self.facts.learn_snapshot(after);
        }
        effects.push(Effect::Record(Body::StepEnded(end.clone())));
        let unknown = match &end.result {
            StepResult::Refused { reason } => {
                let check = check(&intent, false, reason.clone());
                self.undone(id, undo, &intent, Verification::Unchanged, check, effects);
                return;
            }
            StepResult::Unknown { reason } => Some(reason.clone()),
            StepResult::Job { .. } => None,
        };
        let call = Ended {
            intent,
            at: self.now,
            unknown,
        };
        self.look_whether_back(id, undo, call, effects);
    }

    fn look_whether_back(
        &mut self,
        id: &IncidentId,
        undo: Undo,
        call: Ended,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Inspect {
            incident: id.clone(),
            unit: call.intent.unit.clone(),
            also: Vec::new(),
        });
        let at = Undoing::Checking {
            call,
            since: self.now,
        };
        self.enter(id, Stage::Undoing { undo, at });
    }

    /// The fresh look after the call is here: never systemd's word alone.
    pub(crate) fn undo_checked(
        &mut self,
        id: &IncidentId,
        undo: Undo,
        call: Ended,
        inspection: &Inspection,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let fresh = inspection.unit.as_ref();
        let fresh = fresh.map_err(Clone::clone).and_then(|unit| {
            let is_newer = unit.at.boot_ns > call.at.boot_ns;
            is_newer
                .then_some(unit)
                .ok_or("what was read is older than the call".to_owned())
        });
        let (verification, observed) = match fresh {
            Ok(unit) => {
                let found = state_of(&call.intent, unit);
                if is_back(&call.intent, unit) {
                    (Verification::Resolved, found)
                } else {
                    (Verification::Unchanged, found)
                }
            }
            Err(why) => (Verification::Indeterminate, why),
        };
        if verification != Verification::Resolved && now.since(call.at) < BACK_WITHIN {
            let look_at = now.plus(LOOK_EVERY);
            let at = Undoing::Settling { call, look_at };
            self.enter(id, Stage::Undoing { undo, at });
            return;
        }
        let observed = match &call.unknown {
            Some(why) => format!("{observed}; how the call ended is not known: {why}"),
            None => observed,
        };
        let check = check(
            &call.intent,
            verification == Verification::Resolved,
            observed,
        );
        self.undone(id, undo, &call.intent, verification, check, effects);
    }

    /// Writes the last word on taking one step back, and goes on with the next.
    fn undone(
        &mut self,
        id: &IncidentId,
        mut undo: Undo,
        intent: &Intent,
        verification: Verification,
        check: CheckResult,
        effects: &mut Vec<Effect>,
    ) {
        // By its name: after a restart a step that was passed over without a record is here again.
        undo.left
            .retain(|step| Some(&step.intent.id) != intent.undoes.as_ref());
        undo.told.concluded(intent, verification, &check.observed);
        effects.push(Effect::Record(Body::Outcome(Outcome {
            at: self.now,
            intent: intent.id.clone(),
            incident: id.clone(),
            verification,
            checks: vec![check],
            undoing: Vec::new(),
        })));
        self.undo_next(id, undo, effects);
    }

    /// The call that takes a step back, if it is the one that is out.
    pub(crate) fn is_undo_end(&self, id: &IncidentId, intent: &IntentId) -> Option<(Undo, Intent)> {
        match &self.cases.get(id)?.stage {
            Stage::Undoing {
                undo,
                at: Undoing::Acting { intent: out, .. },
            } if out.id == *intent => Some((undo.clone(), out.clone())),
            _ => None,
        }
    }
}
