//! Considers an incident: finds a playbook, asks for a fresh look, asks every guard, decides.

use std::time::Duration;

use hostmedic_model::{
    calendar::CalendarReading,
    command::Proposal,
    decision::{Decision, GuardVerdict, PlaybookRef, Verdict},
    incident::IncidentId,
    playbook::{Playbook, Remedy},
    record::Body,
    subject::{Subject, UnitName},
    wake::{Effect, Inspection},
};
use sha2::{Digest, Sha256};

use crate::{
    case::{Approval, Stage},
    decide,
    guard::{self, Look},
    matching::{self, Match},
    pipeline::State,
    plan,
    setting::{self, Fit},
};

/// An incident that no playbook fits is said to be so after this long: evidence of one failure
/// comes in several pieces.
const NO_MATCH_AFTER: Duration = Duration::from_secs(10);
/// Pause between two looks while nothing new is heard.
const LOOK_EVERY: Duration = Duration::from_secs(30);

impl State {
    /// Reads the incident if it says something new, then finds a playbook; if one fits, asks for a
    /// fresh look before anything is decided.
    pub(crate) fn match_and_look(&mut self, id: &IncidentId, effects: &mut Vec<Effect>) {
        if self.read(id, effects) {
            return;
        }
        // Beside the fresh look, which takes its own time.
        self.ask_advice(id, effects);
        let now = self.now;
        let Some(case) = self.cases.get(id) else {
            return;
        };
        let subject = case.incident.subject.clone();
        match matching::choose(&self.playbooks, &subject, &self.facts, now) {
            Match::None => {
                let waited = now.since(case.incident.last_at);
                if waited >= NO_MATCH_AFTER {
                    let reason = self.no_trigger(id);
                    self.record_plain(id, Verdict::Hold, &reason, effects);
                }
                let pause = if waited < NO_MATCH_AFTER {
                    NO_MATCH_AFTER.saturating_sub(waited)
                } else if self.facts.is_lasting(&subject) {
                    // It may have lasted long enough soon.
                    self.policy.reconsider.0
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
                } else if !matches!(playbook.remedy, Remedy::Steps { .. }) {
                    let inspection = self.without_look();
                    self.decide(id, None, &inspection, effects);
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

    pub(crate) fn decide(
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
        let (subject, severity) = (case.incident.subject.clone(), case.incident.severity);
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
            Remedy::Unbuilt(what) => {
                let missing = playbook.missing.join(", ");
                let reason = format!("{} would {what}; missing: {missing}", playbook.name);
                self.record_decision(
                    id,
                    Verdict::Shadow,
                    reason,
                    Some(&playbook),
                    None,
                    Vec::new(),
                    inspection,
                    effects,
                );
                self.hold_for(id, LOOK_EVERY);
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
        self.record_ranking(id, effects);
        if approval.is_none() {
            self.ask_advice(id, effects);
        }
        let not_for = self.not_for_excess(id, &playbook.name);
        let guards = guard::ask_all(&Look {
            now,
            opinion: &self.opinion(id, &playbook),
            check: &matching::check(&playbook, &subject, &self.facts, now, not_for),
            policy: &self.policy,
            playbook: &playbook,
            subject: &subject,
            severity,
            moves: playbook.steps().iter().any(|step| step.verb.moves()),
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
        // What a person has agreed to waits for nobody; nor does what is not going to happen.
        let would_happen = matches!(verdict, Verdict::Act | Verdict::Propose);
        if would_happen && approval.is_none() && self.awaits_advice(id) {
            self.enter(id, Stage::Advising);
            return;
        }
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
                let before = self.facts.samples_of(&subject).cloned().collect();
                let unit = inspection.unit.as_ref();
                let first = setting::next(playbook.steps(), 0, unit.map_err(String::as_str));
                if let Some((step, Fit::Call(change))) = first {
                    self.begin_run(
                        id,
                        playbook,
                        (step, change),
                        target,
                        unit.ok(),
                        approved_by,
                        before,
                        effects,
                    );
                }
            }
            Verdict::Propose => {
                let own = playbook.approval.valid;
                let span = own.map_or(self.policy.approval_valid, |own| {
                    own.min(self.policy.approval_valid)
                });
                let proposal = Proposal {
                    incident: id.clone(),
                    binding: hash(&[
                        &evidence,
                        &id.0,
                        &now.wall_ms.to_string(),
                        &span.to_string(),
                    ]),
                    summary: format!(
                        "{} ({} v{})",
                        in_words(&playbook, &target, inspection),
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

    /// For a playbook that touches nothing, about a subject that is no unit: there is nothing to look
    /// at afresh.
    fn without_look(&self) -> Inspection {
        let unread = || CalendarReading::Unreadable {
            at: self.now,
            reason: "not read yet".to_owned(),
        };
        Inspection {
            unit: Err("the incident is not about a unit".to_owned()),
            calendar: self.calendar.clone().unwrap_or_else(unread),
            also_down: Vec::new(),
        }
    }

    fn hold_for(&mut self, id: &IncidentId, pause: Duration) {
        let look_at = self.now.plus(pause);
        self.enter(id, Stage::Held { look_at });
    }

    /// Records a decision that rests on no look at a unit.
    pub(crate) fn record_plain(
        &mut self,
        id: &IncidentId,
        verdict: Verdict,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let key = (verdict, vec![reason.to_owned()]);
        let (now, phase) = (self.now, self.policy.phase);
        if let Some(case) = self.cases.get_mut(id) {
            case.reason = (now, reason.to_owned());
        }
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
    pub(crate) fn record_decision(
        &mut self,
        id: &IncidentId,
        verdict: Verdict,
        reason: String,
        playbook: Option<&Playbook>,
        target: Option<UnitName>,
        guards: Vec<GuardVerdict>,
        inspection: &Inspection,
        effects: &mut Vec<Effect>,
    ) {
        let key = decide::key(verdict, &guards);
        let (now, host_phase) = (self.now, self.policy.phase);
        let Some(case) = self.cases.get_mut(id) else {
            return;
        };
        case.reason = (now, reason.clone());
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

/// What would be done first, with the value that would be set.
fn in_words(playbook: &Playbook, target: &UnitName, inspection: &Inspection) -> String {
    let unit = inspection.unit.as_ref().map_err(String::as_str);
    match setting::next(playbook.steps(), 0, unit) {
        Some((_, Fit::Call(Some(change)))) => format!("set {change} of {target}"),
        Some((step, _)) => format!("{} {target}", playbook.steps()[step].verb.word()),
        None => format!("nothing on {target}"),
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

/// The unit to look at before deciding: the first step's, or the subject's own.
pub(crate) fn inspected_unit(playbook: &Playbook, subject: &Subject) -> Option<UnitName> {
    playbook.steps().first().map_or_else(
        || subject.unit().cloned(),
        |step| plan::target(step, subject).ok(),
    )
}

/// What an approval is bound to: playbook, target, and the unit as it was shown.
pub(crate) fn evidence_hash(
    playbook: &Playbook,
    target: &UnitName,
    inspection: &Inspection,
) -> String {
    let unit = match &inspection.unit {
        // What would be set is beside what was set, so a change of that is another proposal.
        Ok(unit) => format!("{:?} {:?}", unit.state, unit.resources.set),
        Err(reason) => reason.clone(),
    };
    hash(&[&playbook.sha256, target.as_str(), &unit])
}

pub(crate) fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(hasher.finalize())
}
