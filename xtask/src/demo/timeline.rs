//! An incident's records as a timeline: what happened when, counted from the kernel's event.

use hostmedic_model::{
    decision::{Decision, Stance, Verdict},
    incident::{Evidence, IncidentStatus},
    outcome::StepResult,
    record::{Body, Record},
    signal::{Fact, Signal},
    time::At,
    view::IncidentDetail,
};
use serde_json::{Value, json};

/// When each stage was reached, in milliseconds after the kernel's event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stages {
    /// The decision to act was recorded.
    pub(crate) decided_ms: Option<f64>,
    /// It was on disk at the latest: what follows it in order had been done.
    pub(crate) durable_by_ms: Option<f64>,
    /// systemd said that our job had ended.
    pub(crate) job_done_ms: Option<f64>,
    /// Verification found the unit well.
    pub(crate) verified_ms: Option<f64>,
}

impl Stages {
    /// Computes them from the records' own moments, all on the boot clock.
    pub(crate) fn of(detail: &IncidentDetail) -> Option<Self> {
        let event = kernel_event(detail)?.at;
        let mut stages = Self::default();
        for record in &detail.timeline {
            match &record.body {
                Body::Decision(decision) if decision.verdict == Verdict::Act => {
                    stages.decided_ms.get_or_insert(millis(event, record.at));
                }
                Body::Captured(captured) => {
                    stages
                        .durable_by_ms
                        .get_or_insert(millis(event, captured.at));
                }
                Body::StepEnded(end) => {
                    stages.job_done_ms.get_or_insert(millis(event, end.at));
                }
                Body::Outcome(outcome) => {
                    stages.verified_ms.get_or_insert(millis(event, outcome.at));
                }
                _ => {}
            }
        }
        Some(stages)
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        json!({
            "kernel_event_to_decision": self.decided_ms,
            "kernel_event_to_decision_durable_at_most": self.durable_by_ms,
            "kernel_event_to_job_done": self.job_done_ms,
            "kernel_event_to_verified": self.verified_ms,
        })
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let part = |name: &str, ms: Option<f64>| {
            ms.map_or_else(|| format!("no {name}"), |ms| format!("{name} {ms:.1} ms"))
        };
        format!(
            "kernel event to {}, {}, {}, {}",
            part("decision", self.decided_ms),
            part("durable by", self.durable_by_ms),
            part("job done", self.job_done_ms),
            part("verified", self.verified_ms)
        )
    }
}

/// Prints the timeline.
pub(crate) fn print(detail: &IncidentDetail) {
    println!("  {} {}", detail.incident.id, detail.incident.title);
    let begin = kernel_event(detail).map_or(detail.incident.opened_at, |signal| signal.at);
    if let Some(signal) = kernel_event(detail) {
        line(0.0, &format!("kernel: {}", signal_words(signal)));
    }
    for record in &detail.timeline {
        if let Some(words) = words(record) {
            line(millis(begin, moment(record)), &words);
        }
    }
}

/// The newest decision of an incident.
pub(crate) fn last_decision(detail: &IncidentDetail) -> Option<&Decision> {
    detail
        .timeline
        .iter()
        .rev()
        .find_map(|record| match &record.body {
            Body::Decision(decision) => Some(decision),
            _ => None,
        })
}

/// How often something was decided to be done.
pub(crate) fn acts(detail: &IncidentDetail) -> usize {
    detail
        .timeline
        .iter()
        .filter(|record| matches!(record.body, Body::Intent(_)))
        .count()
}

/// The kernel's event that the incident is about: the newest before its first decision.
fn kernel_event(detail: &IncidentDetail) -> Option<&Signal> {
    detail
        .incident
        .evidence
        .iter()
        .find_map(|evidence| match evidence {
            Evidence::Signal(signal) if matches!(signal.fact, Fact::OomKill(_)) => Some(signal),
            _ => None,
        })
}

fn line(ms: f64, words: &str) {
    println!("  {ms:>10.1} ms  {words}");
}

/// When what the record tells of happened, which may be before it was written.
fn moment(record: &Record) -> At {
    match &record.body {
        Body::StepEnded(end) => end.at,
        Body::Outcome(outcome) => outcome.at,
        Body::IncidentExtended {
            evidence: Evidence::Signal(signal),
            ..
        } => signal.at,
        _ => record.at,
    }
}

fn millis(from: At, to: At) -> f64 {
    to.since(from).as_secs_f64() * 1000.0
}

/// The record in words; `None` for those that tell nothing new to a reader.
fn words(record: &Record) -> Option<String> {
    let seq = record.seq;
    Some(match &record.body {
        Body::IncidentOpened(_) => format!("incident opened (record {seq})"),
        Body::IncidentExtended {
            evidence: Evidence::Signal(signal),
            ..
        } => {
            format!("evidence: {}", signal_words(signal))
        }
        Body::Decision(decision) => {
            let all = decision.guards.len();
            let against = decision.guards.iter();
            let against = against.filter(|guard| guard.stance != Stance::Pass).count();
            let guards = match against {
                0 => String::new(),
                against => format!("{against} of {all} guards object; "),
            };
            let word = verdict_word(decision.verdict);
            format!(
                "decision (record {seq}): {word}; {guards}{}",
                decision.reason
            )
        }
        Body::Intent(intent) => {
            let says = intent.says();
            format!("intent (record {seq}): {says}, by {}", intent.playbook.name)
        }
        Body::Captured(captured) => format!(
            "evidence captured: {} journal lines, {} cgroup files (record {seq})",
            captured.journal.len(),
            captured.cgroup.len()
        ),
        Body::StepEnded(end) => match &end.result {
            StepResult::Job { result, .. } => format!("systemd: job {result} (record {seq})"),
            StepResult::Refused { reason } => format!("systemd refused: {reason} (record {seq})"),
            StepResult::Unknown { reason } => format!("outcome unknown: {reason} (record {seq})"),
        },
        Body::Outcome(outcome) => {
            let passed = outcome.checks.iter().filter(|check| check.passed).count();
            let (all, found) = (outcome.checks.len(), format!("{:?}", outcome.verification));
            let found = found.to_lowercase();
            format!("verified: {found}, {passed} of {all} checks pass (record {seq})")
        }
        Body::IncidentClosed { status, reason, .. } => {
            format!("incident {}: {reason} (record {seq})", status_word(*status))
        }
        _ => return None,
    })
}

fn signal_words(signal: &Signal) -> String {
    match &signal.fact {
        Fact::OomKill(kill) => {
            format!(
                "OOM kill of {} (pid {}) in {}",
                kill.comm, kill.pid, signal.subject
            )
        }
        Fact::ProcessExit(exit) => {
            format!(
                "{} (pid {}) ended by signal {}",
                exit.comm, exit.pid, exit.signal
            )
        }
        Fact::UnitState(state) => {
            let active = format!("{:?}", state.active).to_lowercase();
            format!(
                "{} is {active} ({}, {})",
                signal.subject, state.sub, state.result
            )
        }
        other => other.to_string(),
    }
}

/// The decision in one word.
pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Act => "act",
        Verdict::Propose => "propose",
        Verdict::Shadow => "only say so",
        Verdict::Hold => "hold",
        Verdict::Escalate => "escalate",
    }
}

fn status_word(status: IncidentStatus) -> &'static str {
    match status {
        IncidentStatus::Resolved => "resolved",
        IncidentStatus::Closed => "closed",
        IncidentStatus::Escalated => "escalated",
        _ => "goes on",
    }
}
