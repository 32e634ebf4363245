//! `medic playbook lint`: findings with the lines that they are about, as rustc shows them.

use annotate_snippets::{AnnotationKind, Group, Level as Shown, Renderer, Snippet};
use hostmedic_reason::playbook::{Checked, Finding, Level};

use crate::render::text::{Style, Tone, clean, count};

/// One file's page.
pub(crate) fn page(
    name: &str,
    text: &str,
    checked: &Checked,
    strict: bool,
    style: Style,
) -> String {
    let name = clean(name);
    if checked.findings.is_empty() || !strict && checked.is_ok() && only_quiet(checked) {
        return format!(
            "{} {name}{}\n",
            style.paint(Tone::Good, "ok"),
            note(checked)
        );
    }
    let renderer = if style.colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut page = String::new();
    for finding in &checked.findings {
        page += &renderer.render(&groups(&name, text, finding));
        page += "\n\n";
    }
    page
}

/// Whether the only findings are remarks that the daemon does not mind and a list need not show.
fn only_quiet(checked: &Checked) -> bool {
    checked
        .findings
        .iter()
        .all(|finding| finding.rule == "few-tests")
}

/// What a right playbook still waits for.
fn note(checked: &Checked) -> String {
    let missing = checked.playbook.as_ref().map(|playbook| &playbook.missing);
    missing
        .filter(|missing| !missing.is_empty())
        .map_or_else(String::new, |missing| {
            format!("  (observe only; missing: {})", missing.join(", "))
        })
}

fn groups<'a>(name: &'a str, text: &'a str, finding: &'a Finding) -> Vec<Group<'a>> {
    let level = match finding.level {
        Level::Error => Shown::ERROR,
        Level::Warning => Shown::WARNING,
    };
    let title = level
        .primary_title(clean(&finding.message))
        .id(finding.rule);
    let (start, end) = span(text, finding.place.start, finding.place.end);
    let snippet = Snippet::source(text)
        .path(name)
        .annotation(AnnotationKind::Primary.span(start..end));
    let mut groups = vec![title.element(snippet)];
    if let Some(help) = &finding.help {
        groups.push(Group::with_title(Shown::HELP.secondary_title(clean(help))));
    }
    groups
}

/// A span on character boundaries, of one line at most: what is wrong with a section is shown at its
/// beginning.
fn span(text: &str, start: usize, end: usize) -> (usize, usize) {
    let floor = |at: usize| {
        let at = at.min(text.len());
        (0..=at)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0)
    };
    let (start, end) = (floor(start), floor(end.max(start)));
    let line = text[start..end].find('\n').map_or(end, |at| start + at);
    (start, line)
}

/// The last line.
pub(crate) fn end(files: usize, wrong: usize) -> String {
    format!("{}, {wrong} wrong\n", count(files, "playbook"))
}

#[cfg(test)]
mod tests {
    use hostmedic_reason::playbook::check;

    use super::*;

    #[test]
    fn a_finding_shows_its_line_and_what_was_meant() {
        let text = "name: a\ndescribe:\n  sumary: Something that people should know about.\n";
        let page = page(
            "x/a.yaml",
            text,
            &check("x/a.yaml", text),
            false,
            Style::default(),
        );
        for part in [
            "error[unknown-key]: there is no key `sumary` here",
            "--> x/a.yaml:3:3",
            "3 |   sumary: Something",
            "^^^^^^",
            "help: did you mean `summary`?",
        ] {
            assert!(page.contains(part), "no `{part}` in\n{page}");
        }
    }

    #[test]
    fn hostile_text_is_shown_and_not_obeyed() {
        let text = "name: a\u{1b}[2J\ndescribe: {summary: \"\u{1b}]0;x\u{7}\"}\nnot\u{1b}: 1\n";
        let page = page(
            "x/\u{1b}.yaml",
            text,
            &check("a.yaml", text),
            true,
            Style::default(),
        );
        assert!(
            !page.contains('\u{1b}') && !page.contains('\u{7}'),
            "{page:?}"
        );
    }
}
