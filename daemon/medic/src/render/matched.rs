//! What the text matcher made of an incident, with every part of why.

use hostmedic_model::{
    advice::{Advice, Lowered},
    matched::{Matched, MatchedPlaybook},
};

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
    if let Some(advice) = &matched.advice {
        page += &advised(advice, style);
    }
    page
}

/// What came of asking a language model: its guess, marked as one, and what it changed.
fn advised(advice: &Advice, style: Style) -> String {
    let head = format!("A LANGUAGE MODEL'S GUESS ({})", clean(&advice.model));
    let mut page = format!("\n{}\n", style.paint(Tone::Head, &head));
    if let Some(problem) = &advice.problem {
        let word = if advice.was_asked() {
            "no answer"
        } else {
            "not asked"
        };
        let word = style.paint(Tone::Warn, word);
        page += &format!("  {word}: {}; nothing has changed\n", clean(problem));
    }
    let Some(said) = &advice.said else {
        return page;
    };
    let mut table = Table::indented(2);
    let mut row = |name: &str, text: String| table.plain([name.to_owned(), text]);
    let chosen = said.playbook.as_deref().unwrap_or("none of them");
    row("chose", format!("{chosen}, {:.2} sure", said.confidence));
    if !said.hypothesis.is_empty() {
        row("guesses", said.hypothesis.clone());
    }
    for Lowered { playbook, from, to } in &advice.lowered {
        row("lowered", format!("{playbook} from {from:.2} to {to:.2}"));
    }
    page += &table.render(style);
    page += "  a guess is no evidence: check it before you believe it\n";
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
    if near.wording != 0.0 {
        parts.push(format!("examples {:+.2}", near.wording));
    }
    if near.familiar != 0.0 {
        parts.push(format!("familiar {:+.2}", near.familiar));
    }
    if near.numbers != 0.0 {
        parts.push(format!("numbers {:+.2}", near.numbers));
    }
    if near.not_for_excess > 0.0 {
        parts.push(format!("not meant {:.2}", near.not_for_excess));
    }
    if near.not_for_words > 0.0 {
        parts.push(format!("words against {:.2}", near.not_for_words));
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
