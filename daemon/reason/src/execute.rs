//! Carries a decision out, step by step: a durable intent, evidence, the call, its end.

use hostmedic_model::{
    incident::IncidentId,
    intent::{Intent, IntentId},
    outcome::{CheckResult, StepEnd, StepResult, Verification},
    playbook::{Playbook, StepTemplate},
    property::Change,
    record::{Body, Captured},
    sample::Sample,
    subject::UnitName,
    unit::UnitSnapshot,
    wake::Effect,
};

use crate::{
    case::{CAPTURE_MAX, Done, Halt, Run, Stage},
    conclude::verify_plan,
    consider::reference,
    guard,
    pipeline::State,
    plan,
    setting::{self, Fit},
};

impl State {
    /// Begins an attempt with this step, which sets `change` if it sets something. The call comes once
    /// the intent is durable and evidence is captured.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything an attempt is made of"
    )]
    pub(crate) fn begin_run(
        &mut self,
        id: &IncidentId,
        playbook: Playbook,
        (step, change): (usize, Option<Change>),
        unit: UnitName,
        snapshot: Option<&UnitSnapshot>,
        approved_by: Option<String>,
        before: Vec<Sample>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let (Some(template), Some(case)) = (playbook.steps().get(step), self.cases.get_mut(id))
        else {
            return;
        };
        case.attempts += 1;
        let name = plan::intent_id(id, case.attempts, 1);
        let about = plan::about(&case.incident);
        let intent = self.intent(
            name,
            &playbook,
            template,
            change,
            &unit,
            snapshot,
            approved_by,
        );
        self.attempts.add(&intent);
        effects.push(Effect::Record(Body::Intent(intent.clone())));
        effects.push(Effect::Capture {
            incident: id.clone(),
            intent: intent.id.clone(),
            unit,
            about,
            wanted: playbook.captures.clone(),
        });
        let run = Run {
            playbook,
            step,
            intent,
            unknown: None,
            before,
            held: Vec::new(),
            done: Vec::new(),
            halted: None,
        };
        self.enter(id, Stage::Capturing { run, since: now });
    }

    /// Goes on with the next step; gives the run back if there is none, or none can be taken now
    /// ([`Run::halted`]).
    fn next_step(
        &mut self,
        id: &IncidentId,
        mut run: Run,
        after: Option<&UnitSnapshot>,
        effects: &mut Vec<Effect>,
    ) -> Option<Run> {
        let after = after.ok_or("the unit could not be read after the step before it");
        let Some((step, fit)) = setting::next(run.playbook.steps(), run.step + 1, after) else {
            return Some(run);
        };
        let stop = match (&fit, self.stopped(&run.intent.unit)) {
            (Fit::InPlace(_), _) => return Some(run),
            (_, Some(stop)) => Some(Halt::Stopped(stop)),
            (Fit::Unfit(why) | Fit::Unknown(why), None) => Some(Halt::Failed(why.clone())),
            (Fit::Call(_), None) => None,
        };
        let subject = self.cases.get(id).map(|case| &case.incident.subject);
        let template = run.playbook.steps().get(step).cloned();
        let (None, Fit::Call(change), Some(template), Some(subject)) =
            (&stop, fit, template, subject)
        else {
            // The step that failed to begin says what follows.
            run.step = step;
            run.halted = stop;
            return Some(run);
        };
        let unit = match plan::target(&template, subject) {
            Ok(unit) => unit,
            Err(why) => {
                run.halted = Some(Halt::Failed(why));
                return Some(run);
            }
        };
        let attempt = self.cases.get(id).map_or(1, |case| case.attempts);
        let name = plan::intent_id(id, attempt, run.done.len() + 1);
        let approved_by = run.intent.approved_by.clone();
        let playbook = &run.playbook;
        let snapshot = after.ok();
        run.intent = self.intent(
            name,
            playbook,
            &template,
            change,
            &unit,
            snapshot,
            approved_by,
        );
        run.step = step;
        effects.push(Effect::Record(Body::Intent(run.intent.clone())));
        effects.push(Effect::Act(run.intent.clone()));
        let since = self.now;
        self.enter(id, Stage::Acting { run, since });
        None
    }

    #[expect(clippy::too_many_arguments, reason = "everything an intent is made of")]
    fn intent(
        &self,
        id: IntentId,
        playbook: &Playbook,
        template: &StepTemplate,
        change: Option<Change>,
        unit: &UnitName,
        snapshot: Option<&UnitSnapshot>,
        approved_by: Option<String>,
    ) -> Intent {
        let incident = id.incident().unwrap_or_else(|| IncidentId(id.0.clone()));
        Intent {
            id,
            at: self.now,
            boot: self.boot.clone(),
            incident,
            playbook: reference(playbook),
            verb: template.verb,
            unit: unit.clone(),
            slice: snapshot.and_then(|snapshot| snapshot.slice.clone()),
            wait_max: template.wait_max,
            invocation_before: snapshot.and_then(|snapshot| snapshot.state.invocation_id.clone()),
            closure_before: snapshot
                .map(|snapshot| snapshot.stop_closure.clone())
                .unwrap_or_default(),
            approved_by,
            change,
            inverse: template.inverse,
            undoes: None,
        }
    }

    pub(crate) fn captured(&mut self, captured: Captured, effects: &mut Vec<Effect>) {
        let id = captured.incident.clone();
        let Some(Stage::Capturing { run, since }) =
            self.cases.get(&id).map(|case| case.stage.clone())
        else {
            return;
        };
        if run.intent.id != captured.intent {
            return;
        }
        // An operator may have said stop while evidence was captured, or the host have slept.
        let late = (self.now.since(since) > CAPTURE_MAX)
            .then(|| "the decision is too old by now".to_owned());
        let stop = late.or_else(|| self.stopped(&run.intent.unit));
        effects.push(Effect::Record(Body::Captured(captured)));
        let now = self.now;
        if let Some(reason) = stop {
            let reason = format!("not carried out: {reason}");
            let intent = run.intent.id.clone();
            self.enter(&id, Stage::Acting { run, since: now });
            self.step_ended(
                &StepEnd {
                    at: now,
                    intent,
                    result: StepResult::Refused { reason },
                    after: None,
                },
                effects,
            );
            return;
        }
        effects.push(Effect::Act(run.intent.clone()));
        self.enter(&id, Stage::Acting { run, since: now });
    }

    /// An operator's inhibit on `unit` that is in force.
    pub(crate) fn inhibited(&self, unit: &UnitName) -> Option<String> {
        self.inhibits
            .iter()
            .filter(|inhibit| inhibit.unit.as_ref().is_none_or(|name| name == unit))
            .find(|inhibit| guard::is_in_force(inhibit, self.now))
            .map(|inhibit| {
                format!(
                    "inhibit {} by {}: {}",
                    inhibit.id, inhibit.by.name, inhibit.reason
                )
            })
    }

    /// Why nothing may be done to `unit` just now, by an operator's word.
    pub(crate) fn stopped(&self, unit: &UnitName) -> Option<String> {
        let paused = self
            .paused
            .as_ref()
            .map(|reason| format!("paused: {reason}"));
        paused.or_else(|| self.inhibited(unit))
    }

    pub(crate) fn step_ended(&mut self, end: &StepEnd, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(id) = end.intent.incident() else {
            return;
        };
        if let Some((undo, intent)) = self.is_undo_end(&id, &end.intent) {
            self.undo_ended(&id, undo, intent, end, effects);
            return;
        }
        let Some(Stage::Acting { mut run, .. } | Stage::Capturing { mut run, .. }) =
            self.cases.get(&id).map(|case| case.stage.clone())
        else {
            return;
        };
        if run.intent.id != end.intent {
            return;
        }
        if let Some(after) = &end.after {
            self.facts.learn_snapshot(after);
        }
        effects.push(Effect::Record(Body::StepEnded(end.clone())));
        if !matches!(end.result, StepResult::Refused { .. }) {
            run.done.push(Done::new(&run.intent, end.after.as_ref()));
        }
        match &end.result {
            StepResult::Refused { reason } => {
                run.halted = Some(Halt::Failed(reason.clone()));
            }
            StepResult::Unknown { reason } => run.unknown = Some(reason.clone()),
            StepResult::Job { .. } if end.result.is_done() => {
                match self.next_step(&id, run, end.after.as_ref(), effects) {
                    Some(halted) => run = halted,
                    None => return,
                }
            }
            StepResult::Job { result, .. } => {
                run.halted = Some(Halt::Failed(format!("systemd says {result}")));
            }
        }
        let step = run.playbook.steps().get(run.step);
        let failed = matches!(run.halted, Some(Halt::Failed(_)));
        let undo = failed && step.is_some_and(|step| step.undo_on_failure);
        if let Some(halt) = run.halted.clone().filter(|_| undo || run.done.is_empty()) {
            let check = CheckResult {
                check: "systemd carried the call out".into(),
                passed: false,
                observed: halt.why().to_owned(),
            };
            let checks = vec![check];
            self.conclude(&id, run, Verification::Unchanged, checks, undo, effects);
            return;
        }
        let settle = verify_plan(&run.playbook).settle.0;
        self.enter(
            &id,
            Stage::Settling {
                run,
                ended: now,
                look_at: now.plus(settle),
            },
        );
    }
}

impl Done {
    /// A step that systemd took or may have taken, and the unit right after it.
    pub(crate) fn new(intent: &Intent, after: Option<&UnitSnapshot>) -> Self {
        Self {
            intent: intent.clone(),
            invocation_after: after.and_then(|after| after.state.invocation_id.clone()),
        }
    }
}
