//! Concludes: verifies an act on fresh readings, closes an incident or hands it to people.

use std::time::Duration;

use hostmedic_model::{
    anomaly::Anomaly,
    incident::{Evidence, Incident, IncidentId, IncidentStatus},
    outcome::{CheckResult, Outcome, Verification},
    playbook::{Playbook, Remedy, VerifyPlan},
    record::Body,
    sample::{Measure, Series},
    subject::Subject,
    time::At,
    wake::{Effect, Inspection},
};

use crate::{
    case::{Run, Stage},
    correlate::is_storm,
    detect::limits,
    matching::{self, Match},
    pipeline::State,
    undo,
    verify::{self, Seen},
};

/// Pause between two checks of a verification.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The same while everything is well and only has to stay so: what happens in between is heard.
const WAIT_EVERY: Duration = Duration::from_secs(5);
/// So long after its last evidence a number that stays off keeps no incident open.
const NEW_LEVEL_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How long after a start the absence of a number says nothing: longer than the longest
/// `sample_every` twice.
const NOT_READ_YET: Duration = Duration::from_secs(15 * 60);
/// The quiet time before an incident closes doubles with each return, so often at most.
const FLAPS_MAX: u32 = 3;

impl State {
    pub(crate) fn checked(
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
        let verify::Verified {
            verification,
            mut checks,
            held,
            wants_undo,
            is_waiting,
        } = verify::verify(
            &plan,
            &Seen {
                now,
                subject: &subject,
                intent: &run.intent,
                ended,
                inspection,
                facts: &self.facts,
                before: &run.before,
                held: &run.held,
            },
        );
        if verification != Verification::Resolved && now.since(ended) < plan.within.0 {
            let pause = if is_waiting { WAIT_EVERY } else { CHECK_EVERY };
            let run = Run { held, ..run };
            self.enter(
                id,
                Stage::Settling {
                    run,
                    ended,
                    look_at: now.plus(pause),
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
        if let Some(halt) = &run.halted {
            checks.push(CheckResult {
                check: "every step was carried out".into(),
                passed: false,
                observed: halt.why().to_owned(),
            });
        }
        self.conclude(id, run, verification, checks, wants_undo, effects);
    }

    /// Writes the last word on an attempt and closes the incident, or hands it over, after its steps
    /// were taken back if that is wanted.
    pub(crate) fn conclude(
        &mut self,
        id: &IncidentId,
        run: Run,
        verification: Verification,
        checks: Vec<CheckResult>,
        undo: bool,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let undoing: Vec<_> = undo::order(&run.done).filter(|_| undo).cloned().collect();
        effects.push(Effect::Record(Body::Outcome(Outcome {
            at: now,
            intent: run.intent.id.clone(),
            incident: id.clone(),
            verification,
            checks,
            undoing: undoing.iter().map(|done| done.intent.id.clone()).collect(),
        })));
        self.learn_outcome(id, &run.playbook.name, verification);
        if verification == Verification::Resolved {
            self.close(id, IncidentStatus::Resolved, "verified", effects);
        } else {
            let why = undo::did_not_help(&run.playbook.name, verification);
            if undoing.is_empty() {
                self.escalate(id, &(why + &undo::left_behind(&run.done)), effects);
            } else {
                let left = undoing.into_iter().rev().collect();
                self.begin_undo(id, run.playbook, left, why, effects);
            }
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

    pub(crate) fn close(
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

    /// Whether a number that opened the incident has not come halfway back. After a day it is no
    /// trouble any more but a new level.
    fn is_still_off(&self, incident: &Incident) -> bool {
        if let Subject::Certificate(_) = incident.subject {
            return self.still_runs_out(&incident.subject);
        }
        if self.now.since(incident.last_at) >= NEW_LEVEL_AFTER {
            return false;
        }
        let is_off = |anomaly: &Anomaly| {
            let newest = self.facts.sample(&anomaly.series)?;
            let halfway = (anomaly.observed - anomaly.expected) / 2.0;
            let now = newest.value - anomaly.expected;
            Some(now * halfway.signum() > halfway.abs())
        };
        incident.evidence.iter().any(|evidence| match evidence {
            Evidence::Anomaly(anomaly) => is_off(anomaly).unwrap_or(false),
            _ => false,
        })
    }

    /// Whether a certificate is not renewed. That it runs out is never a new level, so time alone does
    /// not close it; a file that is there no more does.
    fn still_runs_out(&self, certificate: &Subject) -> bool {
        let series = Series {
            subject: certificate.clone(),
            measure: Measure::CertificateUsedRatio,
        };
        match self.facts.fresh(&series, self.now) {
            Ok(used) => limits::runs_out(used.value),
            // Just started, it was not read yet: that is no renewal.
            Err(_) => self.now.since(self.started) < NOT_READ_YET,
        }
    }

    /// Closes an incident that went away without us: its unit is up, or was stopped in order,
    /// and nothing more was heard of it.
    pub(crate) fn close_if_quiet(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) -> bool {
        let now = self.now;
        let Some(case) = self.cases.get(id) else {
            return false;
        };
        if is_storm(&case.incident) {
            return false;
        }
        // What was handed to people must not keep the machine from the next failure.
        let doublings = match case.stage {
            Stage::Escalated => 0,
            _ => case.flaps.min(FLAPS_MAX),
        };
        if now.since(case.incident.last_at) < self.policy.deduplication.0 * (1 << doublings) {
            return false;
        }
        if self.is_still_off(&case.incident) {
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
}

/// How success is told; a playbook that only escalates has nothing to verify.
pub(crate) fn verify_plan(playbook: &Playbook) -> VerifyPlan {
    match &playbook.remedy {
        Remedy::Steps { verify, .. } => verify.clone(),
        Remedy::Escalate(_) | Remedy::Unbuilt(_) => crate::recall::plain_verification(),
    }
}
