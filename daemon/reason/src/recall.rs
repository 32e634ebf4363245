//! Rebuilds what must survive a restart from the audit chain: attempts, incidents, inhibits, the
//! pause, and intents whose outcome nobody knows.

use std::{borrow::Borrow, collections::BTreeMap};

use hostmedic_model::{
    command::{Command, Judgement},
    decision,
    incident::{Evidence, IncidentId, IncidentStatus},
    intent::{Intent, IntentId},
    playbook::{
        Approval, Check, Describe, HostTags, Limits, Needs, Phase, Playbook, Remedy, RiskClass,
        StepTemplate, Target, VerifyPlan,
    },
    record::{Body, Record},
    time::{At, Span},
    wake::Effect,
};

use crate::{
    case::{Case, EVIDENCE_MAX, Run, Stage},
    gather::severity_of,
    guard::is_in_force,
    lessons::Lesson,
    matching::learned::Verdict,
    pipeline::State,
    undo::{Recalled, Undoing},
};

/// What the chain says about intents.
#[derive(Default)]
struct Open {
    intents: BTreeMap<IntentId, Intent>,
    /// The newest text of each incident, and the playbook of its newest intent.
    texts: BTreeMap<IncidentId, String>,
    playbooks: BTreeMap<IncidentId, String>,
    /// What the newest attempt of each incident did, and how far it was taken back.
    undo: BTreeMap<IncidentId, Recalled>,
    /// The last word on what an incident teaches, by its record's place in the chain.
    lessons: BTreeMap<u64, Lesson>,
}

impl Open {
    /// Takes a word on an incident in, in place of any earlier; `None` takes it back.
    fn teach(&mut self, seq: u64, incident: &IncidentId, said: Option<(String, Verdict)>) {
        self.lessons.retain(|_, known| known.incident != *incident);
        if let (Some((playbook, verdict)), Some(text)) = (said, self.texts.get(incident)) {
            let lesson = Lesson {
                incident: incident.clone(),
                playbook,
                text: text.clone(),
                verdict,
            };
            self.lessons.insert(seq, lesson);
        }
    }
}

impl State {
    /// Takes the chain's records in, oldest first. Thirty days of them are enough.
    pub fn recall(&mut self, records: impl IntoIterator<Item = impl Borrow<Record>>, now: At) {
        self.now = now;
        self.started = now;
        self.facts.begin(now);
        let mut open = Open::default();
        for record in records {
            self.recall_one(record.borrow(), &mut open);
        }
        self.attempts.live(now, &self.boot);
        let now = self.now;
        self.inhibits.retain(|inhibit| is_in_force(inhibit, now));
        self.recall_lessons(open.lessons);
        for intent in open.intents.into_values() {
            let reason = "medicd ended before the outcome was known".to_owned();
            if intent.undoes.is_some() {
                self.recall_undo(
                    &intent.incident.clone(),
                    Some((intent, reason)),
                    &mut open.undo,
                );
                continue;
            }
            let playbook = self.playbook_of(&intent);
            if let Some(case) = self.cases.get_mut(&intent.incident) {
                let recalled = open.undo.remove(&intent.incident).unwrap_or_default();
                let run = Run {
                    playbook,
                    step: 0,
                    intent,
                    unknown: Some(reason),
                    before: Vec::new(),
                    held: Vec::new(),
                    done: recalled.done,
                    halted: None,
                };
                case.enter(Stage::Settling {
                    run,
                    ended: now,
                    look_at: now,
                });
            }
        }
        for id in open.undo.keys().cloned().collect::<Vec<_>>() {
            self.recall_undo(&id, None, &mut open.undo);
        }
    }

    /// First effects of a run: says of every intent without an outcome that nobody knows what
    /// came of it. It will be verified and never carried out again.
    pub fn begin(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (id, case) in &self.cases {
            let unknown = match &case.stage {
                Stage::Settling { run, .. } => run.unknown.as_ref().map(|why| (&run.intent, why)),
                Stage::Undoing {
                    at: Undoing::Settling { call, .. },
                    ..
                } => call.unknown.as_ref().map(|why| (&call.intent, why)),
                _ => None,
            };
            if let Some((intent, reason)) = unknown {
                effects.push(Effect::Record(Body::Indeterminate {
                    intent: intent.id.clone(),
                    incident: id.clone(),
                    reason: reason.clone(),
                }));
            }
        }
        effects
    }

    fn recall_one(&mut self, record: &Record, open: &mut Open) {
        self.attempts.live(record.at, &record.boot);
        match &record.body {
            Body::IncidentOpened(incident) => {
                let mut incident = incident.clone();
                incident
                    .evidence
                    .iter()
                    .for_each(|piece| self.recall_evidence(piece));
                if record.boot != self.boot {
                    // Moments of another boot mean nothing on this one's clock.
                    incident.last_at.boot_ns = 0;
                }
                let look_at = self.now;
                if let Some(case) = self.cases.get_mut(&incident.id) {
                    // Opened again: what was tried before still counts.
                    case.incident = incident;
                    case.decided = None;
                    case.enter(Stage::Waiting { look_at });
                } else {
                    self.correlation.remember(&incident, record.at.wall_ms);
                    self.cases
                        .insert(incident.id.clone(), Case::new(incident, look_at));
                }
            }
            Body::IncidentExtended { incident, evidence } => {
                self.recall_evidence(evidence);
                if let Evidence::Child(child) = evidence {
                    self.set_parent(&child.incident, incident);
                }
                if let Some(case) = self.cases.get_mut(incident) {
                    case.incident.extended += 1;
                    case.incident.severity = case.incident.severity.max(severity_of(evidence));
                    if case.incident.evidence.len() < EVIDENCE_MAX {
                        case.incident.evidence.push(evidence.clone());
                    }
                }
            }
            Body::IncidentClosed {
                incident, status, ..
            } => {
                if let Some(case) = self.cases.get_mut(incident) {
                    open.undo.remove(incident);
                    let over = status.is_over();
                    case.enter(if over { Stage::Over } else { Stage::Escalated });
                    case.incident.status = *status;
                    case.incident.closed_at = over.then_some(record.at);
                }
            }
            Body::Matched(matched) => {
                let text = matched.text.clone();
                open.texts.insert(matched.incident.clone(), text);
                if let Some(case) = self.cases.get_mut(&matched.incident) {
                    let question_ended = case.reading.recalled(matched);
                    if question_ended && record.boot == self.boot {
                        self.recall_question(record.at);
                    }
                }
            }
            Body::Decision(decision) => {
                if let Some(case) = self.cases.get_mut(&decision.incident) {
                    case.reason = (decision.at, decision.reason.clone());
                    // A proposal does not survive: what it showed may have changed.
                    case.decided = (decision.verdict != decision::Verdict::Propose)
                        .then(|| crate::decide::key(decision.verdict, &decision.guards));
                }
            }
            Body::Intent(intent) if intent.undoes.is_some() => {
                open.intents.insert(intent.id.clone(), intent.clone());
            }
            Body::Intent(intent) => {
                let recalled = open.undo.entry(intent.incident.clone()).or_default();
                recalled.began(intent, is_first_step(&intent.id));
                if is_first_step(&intent.id) {
                    self.attempts.add(intent);
                    if let Some(case) = self.cases.get_mut(&intent.incident) {
                        case.attempts += 1;
                    }
                }
                let name = intent.playbook.name.clone();
                open.playbooks.insert(intent.incident.clone(), name);
                // A later step of the same attempt takes the place of the one before it.
                open.intents
                    .retain(|_, earlier| earlier.incident != intent.incident);
                open.intents.insert(intent.id.clone(), intent.clone());
            }
            Body::Outcome(outcome) => {
                let undone = open.intents.remove(&outcome.intent);
                let recalled = open.undo.entry(outcome.incident.clone()).or_default();
                recalled.concluded(outcome, undone.as_ref());
                if undone.is_some_and(|intent| intent.undoes.is_some()) {
                    // Taking back teaches nothing: what it takes back has failed already.
                    return;
                }
                let verdict = crate::lessons::verdict(outcome.verification);
                let playbook = open.playbooks.get(&outcome.incident).cloned();
                if let Some(said) = playbook.zip(verdict) {
                    open.teach(record.seq, &outcome.incident, Some(said));
                }
            }
            Body::StepEnded(end) => {
                let incident = end.intent.incident();
                if let Some(recalled) = incident.and_then(|id| open.undo.get_mut(&id)) {
                    recalled.ended(end);
                }
            }
            Body::Inhibited(inhibit) => {
                self.inhibit_next = self.inhibit_next.max(inhibit.id + 1);
                let mut inhibit = inhibit.clone();
                if record.boot != self.boot {
                    // Only the wall clock can speak for an inhibit of another boot.
                    inhibit.from.boot_ns = u64::MAX;
                }
                self.inhibits.push(inhibit);
            }
            Body::Command(command) if command.accepted => match &command.command {
                Command::Pause { reason } => {
                    self.paused = Some(format!("{reason} (by {})", command.by.name));
                }
                Command::Resume => self.paused = None,
                Command::LiftInhibit { id } => self.inhibits.retain(|inhibit| inhibit.id != *id),
                Command::Judge {
                    incident,
                    playbook,
                    judgement,
                } => {
                    let first = || {
                        let case = self.cases.get(incident)?;
                        let newest = case.reading.newest.as_ref()?;
                        Some(newest.candidates.first()?.playbook.clone())
                    };
                    let verdict = match judgement {
                        Judgement::Right => Some(Verdict::Right),
                        Judgement::Wrong => Some(Verdict::Wrong),
                        Judgement::Forget => None,
                    };
                    let said = playbook.clone().or_else(first).zip(verdict);
                    open.teach(record.seq, incident, said);
                }
                Command::Approve { .. } | Command::Reject { .. } | Command::Inhibit { .. } => {}
            },
            // The newest run's word is the best there is until this one's is in the chain.
            Body::Started(started) => self.facts.learn_hooks(&started.hooks),
            Body::Stopped { .. }
            | Body::Coverage(_)
            | Body::HookMode(_)
            | Body::Command(_)
            | Body::Proposed(_)
            | Body::Captured(_)
            | Body::Indeterminate { .. }
            | Body::ReplicationRefused { .. } => {}
        }
    }

    fn recall_evidence(&mut self, evidence: &Evidence) {
        if let Evidence::Signal(signal) = evidence {
            self.notices.recall_oom(signal);
        }
    }

    /// Pauses from outside the loop: the flag file that works even with a dead daemon.
    pub fn pause(&mut self, reason: String) {
        self.paused = Some(reason);
    }

    /// The playbook an intent was made by, or one that only verifies it if that has gone.
    pub(crate) fn playbook_of(&self, intent: &Intent) -> Playbook {
        let known = self
            .playbooks
            .iter()
            .find(|playbook| playbook.sha256 == intent.playbook.sha256);
        known.cloned().unwrap_or_else(|| Playbook {
            name: intent.playbook.name.clone(),
            version: intent.playbook.version,
            describe: Describe::default(),
            hosts: HostTags::default(),
            trigger: Vec::new(),
            none: Vec::new(),
            class: RiskClass::Disruptive,
            pre_checks: Vec::new(),
            captures: Vec::new(),
            remedy: Remedy::Steps {
                steps: vec![StepTemplate {
                    verb: intent.verb,
                    target: Target::Subject,
                    wait_max: intent.wait_max,
                    set: None,
                    inverse: intent.inverse,
                    undo_on_failure: false,
                }],
                verify: plain_verification(),
            },
            limits: Limits::default(),
            phase_max: Phase::Observe,
            needs: Needs::default(),
            approval: Approval::default(),
            lookahead: Span::secs(0),
            missing: Vec::new(),
            rollback: String::new(),
            sha256: intent.playbook.sha256.clone(),
        })
    }

    /// The unit that the newest decision about an incident would touch.
    pub(crate) fn target_of(
        &self,
        incident: &IncidentId,
    ) -> Option<hostmedic_model::subject::UnitName> {
        let case = self.cases.get(incident)?;
        let subject = &case.incident.subject;
        match crate::matching::choose(&self.playbooks, subject, &self.facts, self.now) {
            crate::matching::Match::One(playbook) => match &playbook.remedy {
                Remedy::Steps { steps, .. } => crate::plan::target(steps.first()?, subject).ok(),
                Remedy::Escalate(_) | Remedy::Unbuilt(_) => None,
            },
            _ => None,
        }
    }

    /// Status an incident shows; used by tests of promises.
    pub fn status(&self, incident: &IncidentId) -> Option<IncidentStatus> {
        self.cases.get(incident).map(|case| case.incident.status)
    }
}

/// How an intent is verified whose playbook is gone.
pub(crate) fn plain_verification() -> VerifyPlan {
    VerifyPlan {
        settle: Span::secs(1),
        within: Span::secs(30),
        checks: vec![Check::UnitActive],
        undo_without: Vec::new(),
    }
}

/// Intents are named `incident/attempt.step`.
fn is_first_step(id: &IntentId) -> bool {
    id.0.ends_with(".1")
}
