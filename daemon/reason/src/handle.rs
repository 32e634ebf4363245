//! Moves an incident through its stages: look, decide, act, settle, verify, close or hand over.

use std::time::Duration;

use hostmedic_model::{
    calendar::CalendarReading,
    command::Proposal,
    decision::{Decision, PlaybookRef, Verdict},
    incident::{IncidentId, IncidentStatus},
    intent::Intent,
    outcome::{CheckResult, Outcome, StepEnd, StepResult, Verification},
    playbook::{Playbook, Remedy, StepTemplate, VerifyPlan},
    record::{Body, Captured},
    subject::UnitName,
    time::At,
    unit::UnitSnapshot,
    wake::{Effect, Inspection},
};
use sha2::{Digest, Sha256};

use crate::{
    case::{ANSWER_MAX, Approval, CAPTURE_MAX, Run, STEP_GRACE, Stage},
    decide,
    guard::{self, Look},
    matching::{self, Match},
    pipeline::State,
    plan,
    verify::{self, Seen},
};

/// An incident that no playbook fits is said to be so after this long: evidence of one failure
/// comes in several pieces.
const NO_MATCH_AFTER: Duration = Duration::from_secs(10);
/// Pause between two looks while nothing new is heard.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Pause between two checks of a verification.
const CHECK_EVERY: Duration = Duration::from_secs(1);

impl State {
    /// Does what is due for one incident at this moment.
    pub(crate) fn advance(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(case) = self.cases.get(id) else {
            return;
        };
        match case.stage.clone() {
            Stage::Waiting { look_at } => {
                if now >= look_at && !self.close_if_quiet(id, effects) {
                    self.match_and_look(id, effects);
                }
            }
            Stage::Held { look_at } => {
                if now >= look_at && !self.close_if_quiet(id, effects) {
                    self.match_and_look(id, effects);
                }
            }
            Stage::Escalated => _ = self.close_if_quiet(id, effects),
            Stage::Inspecting { since, .. } => {
                if now.since(since) > ANSWER_MAX {
                    self.inspected(id, no_answer(now), effects);
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
                        StepEnd {
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
                        StepEnd {
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
            Stage::Over => {}
        }
    }

    /// Finds a playbook; if one fits, asks for a fresh look before anything is decided.
    fn match_and_look(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        let now = self.now;
        let Some(case) = self.cases.get(id) else {
            return;
        };
        let subject = case.incident.subject.clone();
        match matching::choose(&self.playbooks, &subject, &self.facts, now) {
            Match::None => {
                let waited = now.since(case.incident.last_at);
                if waited >= NO_MATCH_AFTER {
                    self.record_plain(
                        id,
                        Verdict::Hold,
                        "no playbook fits: people must look",
                        effects,
                    );
                }
                let pause = if waited < NO_MATCH_AFTER {
                    NO_MATCH_AFTER.saturating_sub(waited)
                } else {
                    LOOK_EVERY
                };
                self.enter(
                    id,
                    Stage::Waiting {
                        look_at: now.plus(pause),
                    },
                );
            }
            Match::Tie(first, second) => {
                let reason = format!(
                    "{} and {} fit equally well: a machine must not guess",
                    first.name, second.name
                );
                self.record_plain(id, Verdict::Hold, &reason, effects);
                self.enter(
                    id,
                    Stage::Held {
                        look_at: now.plus(LOOK_EVERY),
                    },
                );
            }
            Match::One(playbook) => {
                if let Some(unit) = inspected_unit(playbook, &subject) {
                    effects.push(Effect::Inspect {
                        incident: id.clone(),
                        unit,
                        also: Vec::new(),
                    });
                    self.enter(
                        id,
                        Stage::Inspecting {
                            since: now,
                            approval: None,
                        },
                    );
                } else {
                    let reason = format!("{} has no target for {subject}", playbook.name);
                    self.record_plain(id, Verdict::Hold, &reason, effects);
                    self.enter(
                        id,
                        Stage::Held {
                            look_at: now.plus(LOOK_EVERY),
                        },
                    );
                }
            }
        }
    }

    /// The fresh look is here: for a decision, or for a verification.
    pub(crate) fn inspected(
        &mut self,
        id: &IncidentId,
        inspection: Inspection,
        effects: &mut Vec<Effect>,
    ) {
        if let Ok(snapshot) = &inspection.unit {
            self.facts.learn_snapshot(snapshot);
        }
        self.learn_calendar(inspection.calendar.clone());
        let Some(case) = self.cases.get(id) else {
            return;
        };
        match case.stage.clone() {
            Stage::Inspecting { approval, .. } => self.decide(id, approval, &inspection, effects),
            Stage::Checking { run, ended, .. } => {
                self.checked(id, run, ended, &inspection, effects)
            }
            // Too late: its deadline passed and something else was decided.
            _ => {}
        }
    }

    fn decide(
        &mut self,
        id: &IncidentId,
        approval: Option<Approval>,
        inspection: &Inspection,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let Some(case) = self.cases.get(id) else {
            return;
        };
        let subject = case.incident.subject.clone();
        // The fresh look may tell another story than the one that asked for it.
        let Match::One(playbook) = matching::choose(&self.playbooks, &subject, &self.facts, now)
        else {
            self.enter(
                id,
                Stage::Waiting {
                    look_at: now.plus(Duration::from_secs(1)),
                },
            );
            return;
        };
        let playbook = playbook.clone();
        let step = match &playbook.remedy {
            Remedy::Escalate(reason) => {
                let reason = format!("{}: {reason}", playbook.name);
                self.record_decision(
                    id,
                    Verdict::Escalate,
                    reason.clone(),
                    Some(&playbook),
                    None,
                    Vec::new(),
                    inspection,
                    effects,
                );
                self.escalate(id, &reason, effects);
                return;
            }
            Remedy::Steps { steps, .. } => steps[0].clone(),
        };
        let target = match plan::target(&step, &subject) {
            Ok(target) => target,
            Err(reason) => {
                self.record_plain(id, Verdict::Hold, &reason, effects);
                self.enter(
                    id,
                    Stage::Held {
                        look_at: now.plus(LOOK_EVERY),
                    },
                );
                return;
            }
        };
        let evidence = evidence_hash(&playbook, &target, inspection);
        // An approval holds for what was shown, not for what has become of it since.
        let approval = approval.filter(|approval| approval.evidence == evidence);
        let guards = guard::ask_all(&Look {
            now,
            policy: &self.policy,
            playbook: &playbook,
            target: &target,
            unit: &inspection.unit,
            calendar: &inspection.calendar,
            facts: &self.facts,
            attempts: &self.attempts,
            inhibits: &self.inhibits,
            paused: self.paused.as_deref(),
            approved: approval.as_ref().map(|approval| &approval.by),
            ledger_failing: self.ledger_failing.as_deref(),
        });
        let (verdict, reason) = decide::decide(&guards);
        self.record_decision(
            id,
            verdict,
            reason.clone(),
            Some(&playbook),
            Some(target.clone()),
            guards,
            inspection,
            effects,
        );
        match verdict {
            Verdict::Act => {
                let approved_by = approval.map(|approval| approval.by.name);
                self.begin_step(
                    id,
                    playbook,
                    0,
                    target,
                    inspection.unit.as_ref().ok(),
                    approved_by,
                    effects,
                );
            }
            Verdict::Propose => {
                let span = self.policy.approval_valid;
                let proposal = Proposal {
                    incident: id.clone(),
                    binding: hash(&[
                        &evidence,
                        &id.0,
                        &now.wall_ms.to_string(),
                        &span.to_string(),
                    ]),
                    summary: format!(
                        "{} {target} ({} v{})",
                        step.verb.word(),
                        playbook.name,
                        playbook.version
                    ),
                    from: now,
                    span,
                };
                effects.push(Effect::Record(Body::Proposed(proposal.clone())));
                self.enter(id, Stage::Proposed { proposal, evidence });
            }
            Verdict::Shadow | Verdict::Hold => {
                self.enter(
                    id,
                    Stage::Held {
                        look_at: now.plus(self.policy.reconsider.0),
                    },
                );
            }
            Verdict::Escalate => self.escalate(id, &reason, effects),
        }
    }

    /// Makes the intent durable and has evidence captured; the call comes after both.
    #[expect(clippy::too_many_arguments, reason = "everything an intent is made of")]
    fn begin_step(
        &mut self,
        id: &IncidentId,
        playbook: Playbook,
        step: usize,
        unit: UnitName,
        snapshot: Option<&UnitSnapshot>,
        approved_by: Option<String>,
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
        };
        if step == 0 {
            effects.push(Effect::Capture {
                incident: id.clone(),
                intent: intent.id,
                unit,
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
                StepEnd {
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
    fn inhibited(&self, unit: &UnitName) -> Option<String> {
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

    pub(crate) fn step_ended(&mut self, end: StepEnd, effects: &mut Vec<Effect>) {
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

    fn checked(
        &mut self,
        id: &IncidentId,
        run: Run,
        ended: At,
        inspection: &Inspection,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let Some(subject) = self.cases.get(id).map(|case| case.incident.subject.clone()) else {
            return;
        };
        let plan = verify_plan(&run.playbook);
        let seen = Seen {
            subject: &subject,
            intent: &run.intent,
            ended,
            inspection,
            facts: &self.facts,
        };
        let (verification, mut checks) = verify::verify(&plan, &seen);
        if verification != Verification::Resolved && now.since(ended) < plan.within.0 {
            self.enter(
                id,
                Stage::Settling {
                    run,
                    ended,
                    look_at: now.plus(CHECK_EVERY),
                },
            );
            return;
        }
        if let Some(reason) = &run.unknown {
            checks.push(CheckResult {
                check: "how the call itself ended is known".into(),
                passed: false,
                observed: reason.clone(),
            });
        }
        self.conclude(id, &run, verification, checks, effects);
    }

    /// Writes the last word on an intent and closes the incident or hands it over.
    fn conclude(
        &mut self,
        id: &IncidentId,
        run: &Run,
        verification: Verification,
        checks: Vec<CheckResult>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        effects.push(Effect::Record(Body::Outcome(Outcome {
            at: now,
            intent: run.intent.id.clone(),
            incident: id.clone(),
            verification,
            checks,
        })));
        if verification == Verification::Resolved {
            self.close(id, IncidentStatus::Resolved, "verified", effects);
        } else {
            let reason = format!(
                "{} did not help ({verification:?}): not tried again",
                run.playbook.name
            )
            .to_lowercase();
            self.escalate(id, &reason, effects);
        }
    }

    pub(crate) fn escalate(&mut self, id: &IncidentId, reason: &str, effects: &mut Vec<Effect>) {
        effects.push(Effect::Record(Body::IncidentClosed {
            incident: id.clone(),
            status: IncidentStatus::Escalated,
            reason: reason.to_owned(),
        }));
        self.enter(id, Stage::Escalated);
    }

    fn close(
        &mut self,
        id: &IncidentId,
        status: IncidentStatus,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        if let Some(case) = self.cases.get_mut(id) {
            case.incident.closed_at = Some(now);
            case.incident.status = status;
            case.enter(Stage::Over);
        }
        effects.push(Effect::Record(Body::IncidentClosed {
            incident: id.clone(),
            status,
            reason: reason.to_owned(),
        }));
    }

    /// Closes an incident that went away without us: its unit is up, or was stopped in order,
    /// and nothing more was heard of it.
    fn close_if_quiet(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) -> bool {
        let now = self.now;
        let Some(case) = self.cases.get(id) else {
            return false;
        };
        if now.since(case.incident.last_at) < self.policy.deduplication.0 {
            return false;
        }
        let subject = &case.incident.subject;
        let well = match subject.unit() {
            Some(unit) => {
                self.facts.is_active(unit)
                    || self.facts.unit(unit).is_none_or(|facts| {
                        facts.state.active.is_down() && facts.state.result == "success"
                    })
            }
            None => matching::choose(&self.playbooks, subject, &self.facts, now) == Match::None,
        };
        if well {
            self.close(
                id,
                IncidentStatus::Closed,
                "gone without our doing",
                effects,
            );
        }
        well
    }

    pub(crate) fn enter(&mut self, id: &IncidentId, stage: Stage) {
        if let Some(case) = self.cases.get_mut(id) {
            case.enter(stage);
        }
    }

    /// Records a decision that rests on no look at a unit.
    fn record_plain(
        &mut self,
        id: &IncidentId,
        verdict: Verdict,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let key = (verdict, vec![reason.to_owned()]);
        let (now, phase) = (self.now, self.policy.phase);
        let Some(case) = self
            .cases
            .get_mut(id)
            .filter(|case| case.decided.as_ref() != Some(&key))
        else {
            return;
        };
        case.decided = Some(key);
        effects.push(Effect::Record(Body::Decision(Decision {
            at: now,
            incident: id.clone(),
            verdict,
            reason: reason.to_owned(),
            playbook: None,
            target: None,
            phase,
            guards: Vec::new(),
            unit: None,
            calendar: None,
        })));
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "everything a decision is made of"
    )]
    fn record_decision(
        &mut self,
        id: &IncidentId,
        verdict: Verdict,
        reason: String,
        playbook: Option<&Playbook>,
        target: Option<UnitName>,
        guards: Vec<hostmedic_model::decision::GuardVerdict>,
        inspection: &Inspection,
        effects: &mut Vec<Effect>,
    ) {
        let key = decide::key(verdict, &guards);
        let (now, host_phase) = (self.now, self.policy.phase);
        let Some(case) = self.cases.get_mut(id) else {
            return;
        };
        // A look that finds what the last one found is not news; an act always is.
        if verdict != Verdict::Act && case.decided.as_ref() == Some(&key) {
            return;
        }
        case.decided = Some(key);
        effects.push(Effect::Record(Body::Decision(Decision {
            at: now,
            incident: id.clone(),
            verdict,
            reason,
            playbook: playbook.map(reference),
            target,
            phase: playbook.map_or(host_phase, |playbook| host_phase.min(playbook.phase_max)),
            guards,
            unit: inspection.unit.as_ref().ok().cloned(),
            calendar: Some(inspection.calendar.clone()),
        })));
    }
}

/// A playbook by name, version and hash.
pub(crate) fn reference(playbook: &Playbook) -> PlaybookRef {
    PlaybookRef {
        name: playbook.name.clone(),
        version: playbook.version,
        sha256: playbook.sha256.clone(),
    }
}

/// How success is told; a playbook that only escalates has nothing to verify.
fn verify_plan(playbook: &Playbook) -> VerifyPlan {
    match &playbook.remedy {
        Remedy::Steps { verify, .. } => verify.clone(),
        Remedy::Escalate(_) => crate::recall::plain_verification(),
    }
}

fn step_of(playbook: &Playbook, step: usize) -> Option<&StepTemplate> {
    match &playbook.remedy {
        Remedy::Steps { steps, .. } => steps.get(step),
        Remedy::Escalate(_) => None,
    }
}

/// The unit to look at before deciding: the first step's, or the subject's own.
fn inspected_unit(
    playbook: &Playbook,
    subject: &hostmedic_model::subject::Subject,
) -> Option<UnitName> {
    step_of(playbook, 0).map_or_else(
        || subject.unit().cloned(),
        |step| plan::target(step, subject).ok(),
    )
}

/// What an approval is bound to: playbook, target, and the unit as it was shown.
fn evidence_hash(playbook: &Playbook, target: &UnitName, inspection: &Inspection) -> String {
    let unit = match &inspection.unit {
        Ok(unit) => format!("{:?}", unit.state),
        Err(reason) => reason.clone(),
    };
    hash(&[&playbook.sha256, target.as_str(), &unit])
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}

fn no_answer(now: At) -> Inspection {
    let reason = "no answer within 10 s".to_owned();
    Inspection {
        unit: Err(reason.clone()),
        calendar: CalendarReading::Unreadable { at: now, reason },
        also_down: Vec::new(),
    }
}
