//! What the text matcher made of an incident, with every part of why.

use hostmedic_model::matched::{Matched, MatchedPlaybook};

use super::text::{Style, Table, Tone, clean};

/// The incident in words, the playbooks that came near, and what the evidence says of the first.
pub(crate) fn section(matched: &Matched, style: Style) -> String {
    let mut page = format!(
        "{}\n  {}\n",
        style.paint(Tone::Head, "IN WORDS"),
        clean(&matched.text)
    );
    let head = style.paint(Tone::Head, "PLAYBOOKS BY THIS TEXT");
    page += &format!("\n{head}\n");
    if let Some(problem) = &matched.problem {
        let problem = clean(problem);
        page += &format!("  no ranking: {problem}; structure alone decides\n");
    }
    let mut table = Table::indented(2);
    for near in &matched.candidates {
        table.plain([
            format!("{:.2}", near.confidence),
            near.playbook.clone(),
            parts(near),
        ]);
    }
    page += &table.render(style);
    if matched.problem.is_none() {
        let tie = if matched.tie {
            ", for two fit equally well"
        } else {
            ""
        };
        page += &format!("  route: {}{tie}\n", matched.route.word());
    }
    if let Some(first) = matched.candidates.first() {
        page += &evidence(first, style);
    }
    page
}

/// How the number came about: the probability of the text, and what moved it.
fn parts(near: &MatchedPlaybook) -> String {
    let mut parts = vec![
        format!("text {:.2}", near.matched),
        format!("score {:.2}", near.score),
        format!("lead {:+.2}", near.margin),
        format!("meaning {:.2}", near.nearness),
        format!("words {:.1}", near.bm25),
        format!("fixed strings {}", near.phrases),
    ];
    if near.not_for_excess > 0.0 {
        parts.push(format!("not meant {:.2}", near.not_for_excess));
    }
    if near.trigger_fired {
        parts.push("its trigger holds".to_owned());
    }
    let shifts = [
        ("chosen by its trigger", near.evidence_shift),
        ("record", near.record_shift),
        ("recurrence", near.recurrence_shift),
    ];
    for (what, shift) in shifts.into_iter().filter(|(_, shift)| *shift != 0.0) {
        parts.push(format!("{what} {shift:+.2}"));
    }
    parts.join(", ")
}

fn evidence(first: &MatchedPlaybook, style: Style) -> String {
    let mut table = Table::indented(2);
    let kinds = [
        ("against", &first.evidence.contradicted, Some(Tone::Bad)),
        ("for", &first.evidence.supported, Some(Tone::Good)),
        ("not seen", &first.evidence.missing, None),
    ];
    for (word, lines, tone) in kinds {
        for line in lines {
            table.row([(word.to_owned(), tone), (line.clone(), None)]);
        }
    }
    let shown = table.render(style);
    if shown.is_empty() {
        return shown;
    }
    let head = format!("EVIDENCE OF {}", clean(&first.playbook));
    format!("\n{}\n{shown}", style.paint(Tone::Head, &head))
}
