//! A record as one line: for `watch`, `audit show` and the timeline of an incident.

use hostmedic_model::{
    command::Command,
    loss::HookCounters,
    outcome::StepResult,
    record::{Body, Record},
    time::At,
};

use super::{
    evidence::{self, phase, status, verdict, verification},
    text::{Style, Table, Tone, count, short, span, utc_ms},
};

/// Kind and content of a record, and what it means to its reader.
pub(crate) fn summary(body: &Body) -> (&'static str, String, Option<Tone>) {
    match body {
        Body::Started(started) => (
            "started",
            format!(
                "medicd {} on {} (Linux {}), phase {}, {}, {}",
                started.version,
                started.hostname,
                started.kernel,
                phase(started.phase).0,
                count(started.hooks.len(), "hook"),
                count(started.playbooks.len(), "playbook"),
            ),
            None,
        ),
        Body::Stopped { reason } => ("stopped", reason.clone(), None),
        Body::Coverage(row) => {
            let lost = row.hooks.iter().map(HookCounters::lost).sum::<u64>();
            let dropped = row.queues.undecodable + row.queues.queue_full;
            let tone = (lost + dropped > 0).then_some(Tone::Warn);
            (
                "coverage",
                format!(
                    "{} events read, {} lost since the start",
                    row.queues.read,
                    lost + dropped
                ),
                tone,
            )
        }
        Body::HookMode(change) => (
            "hook mode",
            format!(
                "{} goes from {:?} to {:?}: {}",
                change.hook, change.from, change.to, change.reason
            )
            .to_lowercase(),
            Some(Tone::Warn),
        ),
        Body::IncidentOpened(incident) => (
            "opened",
            incident.title.clone(),
            evidence::severity(incident.severity).1,
        ),
        Body::IncidentExtended { evidence, .. } => ("extended", evidence::line(evidence), None),
        Body::IncidentClosed {
            status: now,
            reason,
            ..
        } => {
            let (word, tone) = status(*now);
            (word, reason.clone(), tone)
        }
        Body::Matched(matched) => {
            let near = matched.candidates.first().map_or_else(
                || "no playbook is near".to_owned(),
                |first| format!("{} ({:.2})", first.playbook, first.confidence),
            );
            let text = match &matched.problem {
                Some(problem) => format!("no ranking: {problem}"),
                None => format!("{near}, route {}", matched.route.word()),
            };
            let advice = matched.advice.as_ref().map(|advice| match &advice.problem {
                Some(problem) if advice.was_asked() => {
                    format!("; no answer of the language model: {problem}")
                }
                Some(problem) => format!("; the language model was not asked: {problem}"),
                None => "; with a language model's guess".to_owned(),
            });
            let text = text + advice.as_deref().unwrap_or_default();
            let tone = matched.problem.is_some().then_some(Tone::Warn);
            ("matched", text, tone)
        }
        Body::Decision(decision) => {
            let (word, tone) = verdict(decision.verdict);
            let playbook = decision.playbook.as_ref().map_or_else(
                || "no playbook fits".to_owned(),
                |playbook| format!("playbook {} v{}", playbook.name, playbook.version),
            );
            (
                "decision",
                format!("{word}: {} ({playbook})", decision.reason),
                tone,
            )
        }
        Body::Proposed(proposal) => (
            "proposed",
            format!(
                "{} (binding {}, for {})",
                proposal.summary,
                short(&proposal.binding),
                proposal.span
            ),
            Some(Tone::Warn),
        ),
        Body::Command(command) => (
            "command",
            format!(
                "{} (uid {}): {}: {}",
                command.by.name,
                command.by.uid,
                command_text(&command.command),
                command.answer
            ),
            (!command.accepted).then_some(Tone::Warn),
        ),
        Body::Inhibited(inhibit) => (
            "inhibited",
            format!(
                "{} for {} by {}: {}",
                inhibit
                    .unit
                    .as_ref()
                    .map_or("every unit", |unit| unit.as_str()),
                inhibit.span,
                inhibit.by.name,
                inhibit.reason
            ),
            None,
        ),
        Body::Intent(intent) => (
            "intent",
            format!(
                "{}{} ({}{}), wait at most {}",
                if intent.undoes.is_some() {
                    "back: "
                } else {
                    ""
                },
                intent.says(),
                intent.id,
                intent
                    .approved_by
                    .as_ref()
                    .map_or_else(String::new, |by| format!(", approved by {by}")),
                intent.wait_max
            ),
            None,
        ),
        Body::Captured(captured) => {
            let mut text = format!(
                "{}, {}",
                count(captured.journal.len(), "journal line"),
                count(captured.cgroup.len(), "cgroup file")
            );
            if !captured.parts.is_empty() {
                let names: Vec<_> = captured
                    .parts
                    .iter()
                    .map(|part| part.name.as_str())
                    .collect();
                text += &format!(", {}", names.join(", "));
            }
            if !captured.missing.is_empty() {
                text += &format!(", {} missing", captured.missing.len());
            }
            ("captured", text, None)
        }
        Body::StepEnded(end) => {
            let (mut text, tone) = match &end.result {
                StepResult::Job { result, .. } => (
                    format!("systemd says {result}"),
                    if end.result.is_done() {
                        Tone::Good
                    } else {
                        Tone::Bad
                    },
                ),
                StepResult::Refused { reason } => (format!("refused: {reason}"), Tone::Bad),
                StepResult::Unknown { reason } => (format!("unknown: {reason}"), Tone::Bad),
            };
            if let Some(after) = &end.after {
                text += &format!("; {} is {}", after.unit, evidence::unit_state(&after.state));
            }
            ("step ended", text, Some(tone))
        }
        Body::Indeterminate { reason, intent, .. } => (
            "unknown",
            format!("what came of {intent}: {reason}"),
            Some(Tone::Bad),
        ),
        Body::Outcome(outcome) => {
            let (word, tone) = verification(outcome.verification);
            let passed = outcome.checks.iter().filter(|check| check.passed).count();
            (
                "outcome",
                format!(
                    "{word}: {passed} of {} checks passed{}",
                    outcome.checks.len(),
                    match outcome.undoing.len() {
                        0 => String::new(),
                        steps => format!("; taking {} back", count(steps, "step")),
                    }
                ),
                tone,
            )
        }
        Body::ReplicationRefused { reason } => (
            "refused",
            format!("the collector refused our chain: {reason}"),
            Some(Tone::Bad),
        ),
    }
}

fn command_text(command: &Command) -> String {
    match command {
        Command::Approve { incident, .. } => format!("approve {incident}"),
        Command::Reject { incident, reason } => format!("reject {incident} ({reason})"),
        Command::Judge {
            incident,
            playbook,
            judgement,
        } => {
            let playbook = playbook.as_deref().unwrap_or("the nearest playbook");
            format!("judge {incident}: {playbook} {judgement:?}").to_lowercase()
        }
        Command::Inhibit { unit, span, reason } => format!(
            "inhibit {} for {span} ({reason})",
            unit.as_ref().map_or("every unit", |unit| unit.as_str())
        ),
        Command::LiftInhibit { id } => format!("lift inhibit {id}"),
        Command::Pause { reason } => format!("pause ({reason})"),
        Command::Resume => "resume".to_owned(),
    }
}

/// One record on one line: number, moment, incident, what it says.
pub(crate) fn line(record: &Record, style: Style) -> String {
    table(std::slice::from_ref(record), style)
}

/// Records as a table without a heading, so that pages can be put together.
pub(crate) fn table(records: &[Record], style: Style) -> String {
    let mut table = Table::default();
    for record in records {
        let (kind, text, tone) = summary(&record.body);
        let incident = record
            .body
            .incident()
            .map(|id| format!("{id}: "))
            .unwrap_or_default();
        table.row([
            (format!("{:>5}", record.seq), Some(Tone::Dim)),
            (utc_ms(record.at.wall_ms), Some(Tone::Dim)),
            (format!("{kind:<10}"), tone),
            (format!("{incident}{text}"), None),
        ]);
    }
    table.render(style)
}

/// What a replay said, as one line.
pub(crate) fn said(at: At, body: &Body, style: Style) -> String {
    let (kind, text, tone) = summary(body);
    let incident = body.incident();
    let incident = incident.map(|id| format!("{id}: ")).unwrap_or_default();
    let mut table = Table::default();
    table.row([
        (utc_ms(at.wall_ms), Some(Tone::Dim)),
        (format!("{kind:<10}"), tone),
        (format!("{incident}{text}"), None),
    ]);
    table.render(style)
}

/// `+12ms`, `+1m 30s`: how long after the first evidence.
pub(crate) fn offset(ms: i64) -> String {
    let sign = if ms < 0 { '-' } else { '+' };
    let ms = ms.unsigned_abs();
    if ms < 100_000 {
        format!("{sign}{ms}ms")
    } else {
        format!("{sign}{}", span(std::time::Duration::from_millis(ms)))
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_serve::testing;

    use super::*;

    #[test]
    fn every_record_of_a_night_has_one_line() {
        let text = table(&testing::records(), Style::default());
        let expected = include_str!("snapshots/records.txt");
        assert_eq!(text, expected, "\n{text}");
        assert_eq!(text.lines().count(), testing::records().len());
    }

    #[test]
    fn offsets_are_milliseconds_first() {
        assert_eq!(offset(0), "+0ms");
        assert_eq!(offset(10_689), "+10689ms");
        assert_eq!(offset(-3), "-3ms");
        assert_eq!(offset(788_023), "+13m 8s");
    }
}
