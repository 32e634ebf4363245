//! `medic incident`: from the kernel event to the outcome, each step with its distance in
//! milliseconds.

use hostmedic_model::{
    incident::{Evidence, Incident},
    outcome::Outcome,
    record::{Body, Captured, Record},
    time::At,
    view::IncidentDetail,
};

use super::{
    evidence::{self, severity, status},
    record::{offset, summary},
    text::{Style, Table, Tone, clean, count, indent, span, utc_ms},
    why,
};

/// The page.
pub(crate) fn page(detail: &IncidentDetail, style: Style) -> String {
    let incident = &detail.incident;
    let start = start(incident);
    let mut page = head(incident, style);
    if let Some(matched) = detail.matched() {
        page += &format!("in words: {}\n", clean(&matched.text));
    }
    page += &format!(
        "\n{}\n{}",
        style.paint(
            Tone::Head,
            &format!(
                "TIMELINE (+0 is the first evidence, {})",
                utc_ms(start.wall_ms)
            )
        ),
        timeline(detail, start, style)
    );
    for record in &detail.timeline {
        let distance = offset(record_ms(record, start, &detail.timeline));
        match &record.body {
            Body::Decision(decision) => {
                page += &format!(
                    "\n{} ",
                    style.paint(Tone::Head, &format!("DECISION {distance}"))
                );
                page += &why::decided(decision, style);
                page += &why::guards(&decision.guards, style);
                page += &why::unit(decision, style);
            }
            Body::Captured(capture) => page += &captured(capture, &distance, style),
            Body::Outcome(outcome) => page += &checks(outcome, &distance, style),
            _ => {}
        }
    }
    if let Some(proposal) = &detail.proposal {
        let id = clean(&incident.id.0);
        page += &format!(
            "\n{}\n  {}\n  medic approve {id} --binding {}\n  medic reject {id} --reason ...\n",
            style.paint(Tone::Head, "WAITS FOR AN OPERATOR"),
            clean(&proposal.summary),
            clean(super::text::short(&proposal.binding)),
        );
    }
    page
}

fn head(incident: &Incident, style: Style) -> String {
    let painted = |(word, tone): (&str, Option<Tone>)| {
        tone.map_or_else(|| word.to_owned(), |tone| style.paint(tone, word))
    };
    let mut head = format!(
        "{}  {}  {}  {}\n{}\nopened {}",
        style.paint(Tone::Head, &clean(&incident.id.0)),
        clean(&incident.subject.to_string()),
        painted(severity(incident.severity)),
        painted(status(incident.status)),
        clean(&incident.title),
        utc_ms(incident.opened_at.wall_ms),
    );
    if let Some(closed_at) = incident.closed_at {
        let took = span(closed_at.since(incident.opened_at));
        head += &format!(", over {} ({took} later)", utc_ms(closed_at.wall_ms));
    }
    let before = usize::try_from(incident.recurrences_30d).unwrap_or(usize::MAX);
    head += &format!(
        "; {} in the 30 days before\n",
        count(before, "such incident")
    );
    if let Some(similar) = &incident.similar {
        let elsewhere = usize::try_from(similar.count).unwrap_or(usize::MAX);
        head += &format!(
            "{} elsewhere in that time, the newest {}\n",
            count(elsewhere, "such incident"),
            clean(&similar.last.0)
        );
    }
    if let Some(parent) = &incident.parent {
        head += &format!(
            "below {}, which is taken to be its cause\n",
            clean(&parent.0)
        );
    }
    head
}

/// The moment that everything is counted from.
fn start(incident: &Incident) -> At {
    let moments = incident.evidence.iter().map(evidence::moment);
    moments
        .min_by_key(|at| at.boot_ns)
        .unwrap_or(incident.opened_at)
}

/// Milliseconds from `start` on the boot clock or, for a moment of another boot, on the wall
/// clock, which may have been set meanwhile.
fn distance_ms(at: At, start: At, same_boot: bool) -> i64 {
    if same_boot {
        let ns = i128::from(at.boot_ns) - i128::from(start.boot_ns);
        i64::try_from(ns.div_euclid(1_000_000)).unwrap_or(i64::MAX)
    } else {
        at.wall_ms.saturating_sub(start.wall_ms)
    }
}

fn record_ms(record: &Record, start: At, timeline: &[Record]) -> i64 {
    let same_boot = timeline
        .first()
        .is_none_or(|first| first.boot == record.boot);
    distance_ms(record.at, start, same_boot)
}

/// Records in the chain's order, with each piece of evidence before the first record after it.
fn timeline(detail: &IncidentDetail, start: At, style: Style) -> String {
    let mut evidence: Vec<(i64, &Evidence)> = detail
        .incident
        .evidence
        .iter()
        .map(|piece| {
            let at = evidence::moment(piece);
            // Evidence has no boot id; a boot clock behind the first one's is another boot's.
            (distance_ms(at, start, at.boot_ns >= start.boot_ns), piece)
        })
        .collect();
    evidence.sort_by_key(|(ms, _)| *ms);
    let mut evidence = evidence.into_iter().peekable();
    let mut table = Table::indented(2);
    let mut row = |ms: i64, kind: &str, seq: String, text: String, tone| {
        table.row([
            (format!("{:>8}", offset(ms)), Some(Tone::Dim)),
            (kind.to_owned(), tone),
            (seq, Some(Tone::Dim)),
            (text, None),
        ]);
    };
    for record in &detail.timeline {
        let ms = record_ms(record, start, &detail.timeline);
        while let Some((ms, piece)) = evidence.next_if(|(before, _)| *before <= ms) {
            row(ms, "evidence", String::new(), evidence::line(piece), None);
        }
        let (kind, text, tone) = summary(&record.body);
        row(ms, kind, format!("#{}", record.seq), text, tone);
    }
    for (ms, piece) in evidence {
        row(ms, "evidence", String::new(), evidence::line(piece), None);
    }
    let kept = u32::try_from(detail.incident.evidence.len()).unwrap_or(u32::MAX);
    let all = detail.incident.extended.saturating_add(1);
    let mut text = table.render(style);
    if all > kept && kept > 0 {
        text += &format!(
            "  {} more pieces of evidence came and were counted only\n",
            all - kept
        );
    }
    text
}

fn captured(captured: &Captured, distance: &str, style: Style) -> String {
    let head = |text: &str| style.paint(Tone::Head, text);
    let mut text = format!(
        "\n{}\n",
        head(&format!("JOURNAL BEFORE THE STEP, {distance}"))
    );
    for line in &captured.journal {
        text += &format!("  {}\n", clean(line));
    }
    if captured.journal.is_empty() {
        text += "  (nothing)\n";
    }
    if !captured.cgroup.is_empty() {
        text += &format!("\n{}\n", head("MEMORY CGROUP"));
        let mut table = Table::indented(2);
        for (file, content) in &captured.cgroup {
            table.plain([file.clone(), content.trim().replace('\n', ", ")]);
        }
        text += &table.render(style);
    }
    for part in &captured.parts {
        let name = clean(&part.name);
        text += &format!("\n{}\n", head(&name.to_uppercase()));
        for line in &part.lines {
            text += &format!("  {}\n", clean(line));
        }
        if part.lines.is_empty() {
            text += "  (nothing)\n";
        }
    }
    if !captured.missing.is_empty() {
        text += &format!("\n{}\n", head("COULD NOT BE CAPTURED"));
        for missing in &captured.missing {
            text += &indent(&clean(missing), 2);
        }
    }
    text
}

fn checks(outcome: &Outcome, distance: &str, style: Style) -> String {
    let (word, tone) = evidence::verification(outcome.verification);
    let word = tone.map_or_else(|| word.to_owned(), |tone| style.paint(tone, word));
    let mut table = Table::indented(2);
    for check in &outcome.checks {
        let (passed, tone) = if check.passed {
            ("ok", Tone::Good)
        } else {
            ("FAILED", Tone::Bad)
        };
        table.row([
            (passed.to_owned(), Some(tone)),
            (check.check.clone(), None),
            (check.observed.clone(), None),
        ]);
    }
    let what = if outcome.intent.is_undo() {
        "TAKING BACK"
    } else {
        "VERIFICATION"
    };
    let head = style.paint(Tone::Head, &format!("{what} {distance}"));
    format!("\n{head} {word}\n{}", table.render(style))
}

#[cfg(test)]
mod tests {
    use hostmedic_model::{
        incident::{IncidentId, Similar},
        time::BootId,
    };
    use hostmedic_serve::testing;

    use super::*;

    fn detail(id: &str) -> IncidentDetail {
        let id = IncidentId(id.to_owned());
        let mut incidents = testing::incidents().into_iter();
        let found = incidents.find(|incident| incident.id == id);
        let incident = found.unwrap_or_else(|| panic!("{id} is not in the story"));
        let mut timeline = testing::records();
        timeline.retain(|record| record.body.incident().as_ref() == Some(&id));
        let proposal = testing::status()
            .proposals
            .into_iter()
            .find(|p| p.incident == id);
        IncidentDetail {
            incident,
            proposal,
            timeline,
        }
    }

    #[test]
    fn resolved_incident_is_told_from_kill_to_outcome() {
        let text = page(&detail(testing::RESOLVED), Style::default());
        assert_eq!(
            text,
            include_str!("snapshots/incident-resolved.txt"),
            "\n{text}"
        );
    }

    #[test]
    fn waiting_incident_says_what_to_type() {
        let text = page(&detail(testing::WAITING), Style::default());
        assert_eq!(
            text,
            include_str!("snapshots/incident-waiting.txt"),
            "\n{text}"
        );
    }

    #[test]
    fn hostile_journal_stays_text() {
        let text = page(&detail(testing::RESOLVED), Style::default());
        assert!(text.contains("\\u{1b}[2Jall is well"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_child_names_its_parent_and_others_like_it() {
        let mut detail = detail(testing::HELD);
        detail.incident.parent = Some(IncidentId(testing::WAITING.to_owned()));
        detail.incident.similar = Some(Similar {
            count: 2,
            last: IncidentId(testing::RESOLVED.to_owned()),
        });
        let text = page(&detail, Style::default());
        assert!(
            text.contains(&format!("below {}", testing::WAITING)),
            "{text}"
        );
        assert!(
            text.contains("2 such incidents elsewhere in that time"),
            "{text}"
        );
    }

    /// After a reboot the boot clock starts anew; the wall clock still tells the distance.
    #[test]
    fn next_boot_is_measured_by_the_wall_clock() {
        let mut detail = detail(testing::RESOLVED);
        let start = start(&detail.incident);
        let last = detail.timeline.len() - 1;
        let record = &mut detail.timeline[last];
        record.boot = BootId("another".to_owned());
        record.at = At {
            boot_ns: 1,
            wall_ms: start.wall_ms + 60_000,
        };
        assert_eq!(
            record_ms(&detail.timeline[last], start, &detail.timeline),
            60_000
        );
        assert_eq!(record_ms(&detail.timeline[0], start, &detail.timeline), 12);
    }

    #[test]
    fn counted_evidence_is_mentioned() {
        let mut detail = detail(testing::HELD);
        detail.incident.extended = 9;
        let text = page(&detail, Style::default());
        assert!(text.contains("9 more pieces of evidence"), "{text}");
    }
}
