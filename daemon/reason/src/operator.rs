//! Answers operators. Every command is recorded, accepted or not, before it is answered.

use hostmedic_model::{
    command::{Command, Inhibit, Operator},
    incident::IncidentId,
    record::{Body, CommandRecord},
    time::Span,
    wake::Effect,
};

use crate::{
    case::{Approval, Stage},
    pipeline::State,
};

/// An inhibit longer than this is a policy: write it into the configuration.
const INHIBIT_MAX: Span = Span::minutes(30 * 24 * 60);
/// Inhibits in force at once.
const INHIBITS_MAX: usize = 256;
/// Longest reason.
const REASON_MAX: usize = 500;

impl State {
    pub(crate) fn command(
        &mut self,
        request: u64,
        by: Operator,
        command: Command,
        effects: &mut Vec<Effect>,
    ) {
        let mut after = Vec::new();
        let answer = self.obey(&by, &command, &mut after);
        let text = match &answer {
            Ok(text) | Err(text) => text.clone(),
        };
        effects.push(Effect::Record(Body::Command(CommandRecord {
            by,
            command,
            accepted: answer.is_ok(),
            answer: text,
        })));
        effects.extend(after);
        effects.push(Effect::Reply { request, answer });
    }

    fn obey(
        &mut self,
        by: &Operator,
        command: &Command,
        effects: &mut Vec<Effect>,
    ) -> Result<String, String> {
        match command {
            Command::Approve { incident, binding } => {
                self.approve(by, incident, binding.as_deref(), effects)
            }
            Command::Reject { incident, reason } => {
                checked_reason(reason)?;
                self.proposal(incident)?;
                self.escalate(
                    incident,
                    &format!("rejected by {}: {reason}", by.name),
                    effects,
                );
                Ok(format!("{incident} will not be acted on"))
            }
            Command::Judge {
                incident,
                playbook,
                judgement,
            } => self.judge(incident, playbook.as_deref(), *judgement),
            Command::Inhibit { unit, span, reason } => {
                self.inhibit(by, unit.clone(), *span, reason, effects)
            }
            Command::LiftInhibit { id } => {
                let before = self.inhibits.len();
                self.inhibits.retain(|inhibit| inhibit.id != *id);
                if self.inhibits.len() == before {
                    return Err(format!(
                        "there is no inhibit {id}; `medic status` lists those in force"
                    ));
                }
                self.look_again();
                Ok(format!("inhibit {id} lifted"))
            }
            Command::Pause { reason } => {
                checked_reason(reason)?;
                self.paused = Some(format!("{reason} (by {})", by.name));
                Ok("paused: nothing will be done to this host until `medic resume`".to_owned())
            }
            Command::Resume => {
                if self.paused.take().is_none() {
                    return Err("not paused".to_owned());
                }
                self.look_again();
                Ok("resumed".to_owned())
            }
        }
    }

    fn approve(
        &mut self,
        by: &Operator,
        incident: &IncidentId,
        binding: Option<&str>,
        effects: &mut Vec<Effect>,
    ) -> Result<String, String> {
        if let Some(reason) = &self.paused {
            return Err(format!("paused: {reason}; `medic resume` first"));
        }
        let (proposal, evidence) = self.proposal(incident)?;
        if binding.is_some_and(|binding| binding != proposal.binding) {
            return Err(format!(
                "the proposal has changed since you saw it; look at `medic incident {incident}` again"
            ));
        }
        if self.now.since(proposal.from) >= proposal.span.0 {
            return Err(format!("the proposal has expired after {}", proposal.span));
        }
        let unit = self
            .cases
            .get(incident)
            .and_then(|case| match &case.decided {
                Some(_) => self.target_of(incident),
                None => None,
            });
        let Some(unit) = unit else {
            return Err(format!("{incident} has no target any more"));
        };
        // Every guard is asked again with fresh readings; an approval overrules only the need
        // for one.
        effects.push(Effect::Inspect {
            incident: incident.clone(),
            unit,
            also: Vec::new(),
        });
        let approval = Some(Approval {
            by: by.clone(),
            evidence,
        });
        let now = self.now;
        self.enter(
            incident,
            Stage::Inspecting {
                since: now,
                approval,
            },
        );
        Ok(format!(
            "approved: {}; guards are asked once more",
            proposal.summary
        ))
    }

    fn proposal(
        &self,
        incident: &IncidentId,
    ) -> Result<(hostmedic_model::command::Proposal, String), String> {
        let case = self
            .cases
            .get(incident)
            .ok_or_else(|| format!("there is no incident {incident}; see `medic incidents`"))?;
        match &case.stage {
            Stage::Proposed { proposal, evidence } => Ok((proposal.clone(), evidence.clone())),
            _ => Err(format!(
                "{incident} has no proposal waiting; it is {:?}",
                case.incident.status
            )
            .to_lowercase()),
        }
    }

    fn inhibit(
        &mut self,
        by: &Operator,
        unit: Option<hostmedic_model::subject::UnitName>,
        span: Span,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) -> Result<String, String> {
        checked_reason(reason)?;
        if span.0.is_zero() || span > INHIBIT_MAX {
            return Err(format!(
                "an inhibit lasts above 0 and at most {INHIBIT_MAX}, not {span}"
            ));
        }
        if self.inhibits.len() >= INHIBITS_MAX {
            return Err(format!(
                "{INHIBITS_MAX} inhibits are in force already; lift some"
            ));
        }
        let inhibit = Inhibit {
            id: self.inhibit_next,
            unit,
            from: self.now,
            span,
            reason: reason.to_owned(),
            by: by.clone(),
        };
        self.inhibit_next += 1;
        let what = inhibit
            .unit
            .as_ref()
            .map_or_else(|| "the whole host".to_owned(), ToString::to_string);
        let answer = format!("inhibit {}: {what} is left alone for {span}", inhibit.id);
        effects.push(Effect::Record(Body::Inhibited(inhibit.clone())));
        self.inhibits.push(inhibit);
        Ok(answer)
    }

    /// What held may hold no longer.
    fn look_again(&mut self) {
        let now = self.now;
        for case in self.cases.values_mut() {
            if let Stage::Held { look_at } = &mut case.stage {
                *look_at = now;
            }
        }
    }
}

fn checked_reason(reason: &str) -> Result<(), String> {
    if reason.trim().is_empty() {
        return Err("a reason is needed: the next person on call will read it".to_owned());
    }
    if reason.len() > REASON_MAX {
        return Err(format!("the reason is longer than {REASON_MAX} bytes"));
    }
    Ok(())
}
