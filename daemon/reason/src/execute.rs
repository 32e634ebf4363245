//! Carries a decision out, step by step: a durable intent, evidence, the call, its end.

use hostmedic_model::{
    incident::IncidentId,
    intent::Intent,
    outcome::{CheckResult, StepEnd, StepResult, Verification},
    playbook::{Playbook, Remedy, StepTemplate},
    record::{Body, Captured},
    sample::Sample,
    subject::UnitName,
    unit::UnitSnapshot,
    wake::Effect,
};

use crate::{
    case::{CAPTURE_MAX, Run, Stage},
    conclude::verify_plan,
    consider::reference,
    guard,
    pipeline::State,
    plan,
};

impl State {
    /// Makes the intent durable and has evidence captured; the call comes after both.
    #[expect(clippy::too_many_arguments, reason = "everything an intent is made of")]
    pub(crate) fn begin_step(
        &mut self,
        id: &IncidentId,
        playbook: Playbook,
        step: usize,
        unit: UnitName,
        snapshot: Option<&UnitSnapshot>,
        approved_by: Option<String>,
        before: Vec<Sample>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let Some(template) = step_of(&playbook, step).cloned() else {
            return;
        };
        let Some(case) = self.cases.get_mut(id) else {
            return;
        };
        if step == 0 {
            case.attempts += 1;
        }
        let intent = Intent {
            id: plan::intent_id(id, case.attempts, step),
            at: now,
            boot: self.boot.clone(),
            incident: id.clone(),
            playbook: reference(&playbook),
            verb: template.verb,
            unit: unit.clone(),
            slice: snapshot.and_then(|snapshot| snapshot.slice.clone()),
            wait_max: template.wait_max,
            invocation_before: snapshot.and_then(|snapshot| snapshot.state.invocation_id.clone()),
            closure_before: snapshot
                .map(|snapshot| snapshot.stop_closure.clone())
                .unwrap_or_default(),
            approved_by,
        };
        if step == 0 {
            self.attempts.add(&intent);
        }
        effects.push(Effect::Record(Body::Intent(intent.clone())));
        let run = Run {
            playbook,
            step,
            intent: intent.clone(),
            unknown: None,
            before,
            held: Vec::new(),
        };
        if step == 0 {
            effects.push(Effect::Capture {
                incident: id.clone(),
                intent: intent.id,
                unit,
                about: plan::about(&case.incident),
                wanted: run.playbook.captures.clone(),
            });
            self.enter(id, Stage::Capturing { run, since: now });
        } else {
            effects.push(Effect::Act(intent));
            self.enter(id, Stage::Acting { run, since: now });
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
        let stop = late
            .or_else(|| self.paused.clone())
            .or_else(|| self.inhibited(&run.intent.unit));
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

    pub(crate) fn step_ended(&mut self, end: &StepEnd, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(id) = end.intent.incident() else {
            return;
        };
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
        match &end.result {
            StepResult::Refused { reason } => {
                let check = CheckResult {
                    check: "systemd carried the call out".into(),
                    passed: false,
                    observed: reason.clone(),
                };
                self.conclude(&id, &run, Verification::Unchanged, vec![check], effects);
            }
            result => {
                if let StepResult::Unknown { reason } = result {
                    run.unknown = Some(reason.clone());
                }
                let next = run.step + 1;
                if result.is_done()
                    && let Some(template) = step_of(&run.playbook, next)
                    && self.paused.is_none()
                    && let Some(subject) = self
                        .cases
                        .get(&id)
                        .map(|case| case.incident.subject.clone())
                    && let Ok(unit) = plan::target(template, &subject)
                {
                    let approved_by = run.intent.approved_by.clone();
                    self.begin_step(
                        &id,
                        run.playbook,
                        next,
                        unit,
                        end.after.as_ref(),
                        approved_by,
                        run.before,
                        effects,
                    );
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
    }
}

pub(crate) fn step_of(playbook: &Playbook, step: usize) -> Option<&StepTemplate> {
    match &playbook.remedy {
        Remedy::Steps { steps, .. } => steps.get(step),
        Remedy::Escalate(_) | Remedy::Unbuilt(_) => None,
    }
}
