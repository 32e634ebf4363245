//! Tables of incidents, inhibits and playbooks.

use hostmedic_model::{
    command::Inhibit,
    incident::{Incident, IncidentId},
    playbook::{Playbook, Remedy},
    time::At,
};

use super::{
    evidence::{phase, severity, status},
    text::{Style, Table, short, span, utc},
};

/// Deeper than incidents can stand.
const DEPTH_MAX: usize = 8;

/// `medic incidents`.
pub(crate) fn incidents(incidents: &[Incident], all: bool, style: Style) -> String {
    if incidents.is_empty() {
        return if all {
            "no incidents\n".to_owned()
        } else {
            "no open incidents; --all lists those that are over, too\n".to_owned()
        };
    }
    let mut table = Table::with_head(&[
        "INCIDENT",
        "OPENED (UTC)",
        "SEVERITY",
        "STATUS",
        "SUBJECT",
        "WHAT",
    ]);
    for (depth, incident) in below_parents(incidents) {
        let (how_bad, severity_tone) = severity(incident.severity);
        let (now, status_tone) = status(incident.status);
        table.row([
            (incident.id.to_string(), None),
            (utc(incident.opened_at.wall_ms), None),
            (how_bad.to_owned(), severity_tone),
            (now.to_owned(), status_tone),
            (format!("{}{}", branch(depth), incident.subject), None),
            (incident.title.clone(), None),
        ]);
    }
    table.render(style)
}

/// Incidents in their order, each followed by those that it is taken to have caused; with how deep
/// they stand. One whose parent is not in the list stands for itself.
fn below_parents(incidents: &[Incident]) -> Vec<(usize, &Incident)> {
    let is_listed = |id: &IncidentId| incidents.iter().any(|incident| incident.id == *id);
    let is_top = |incident: &&Incident| incident.parent.as_ref().is_none_or(|id| !is_listed(id));
    let mut waiting: Vec<_> = incidents
        .iter()
        .rev()
        .filter(is_top)
        .map(|top| (0, top))
        .collect();
    let mut ordered = Vec::new();
    while let Some((depth, incident)) = waiting.pop() {
        ordered.push((depth, incident));
        // A list that goes in circles would otherwise never end.
        if depth < DEPTH_MAX {
            let is_child = |other: &&Incident| other.parent.as_ref() == Some(&incident.id);
            let children = incidents.iter().rev().filter(is_child);
            waiting.extend(children.map(|child| (depth + 1, child)));
        }
    }
    ordered
}

fn branch(depth: usize) -> String {
    match depth {
        0 => String::new(),
        _ => format!("{}└ ", "  ".repeat(depth - 1)),
    }
}

/// `medic inhibit --list`. `now` is the daemon's.
pub(crate) fn inhibits(inhibits: &[Inhibit], now: At, style: Style) -> String {
    if inhibits.is_empty() {
        return "no inhibits in force\n".to_owned();
    }
    let mut table = Table::with_head(&["NUMBER", "UNIT", "LEFT", "BY", "REASON"]);
    for inhibit in inhibits {
        let left = inhibit.span.0.saturating_sub(now.since(inhibit.from));
        let unit = inhibit
            .unit
            .as_ref()
            .map_or("every unit", |unit| unit.as_str());
        table.plain([
            inhibit.id.to_string(),
            unit.to_owned(),
            span(left),
            inhibit.by.name.clone(),
            inhibit.reason.clone(),
        ]);
    }
    table.render(style)
}

/// `medic playbook ls`.
pub(crate) fn playbooks(playbooks: &[Playbook], style: Style) -> String {
    if playbooks.is_empty() {
        return "no playbooks in force: hostmedic only observes\n".to_owned();
    }
    let mut table = Table::with_head(&["NAME", "VERSION", "SHA-256", "UP TO", "DOES", "WHEN"]);
    for playbook in playbooks {
        table.plain([
            playbook.name.clone(),
            playbook.version.to_string(),
            short(&playbook.sha256).to_owned(),
            phase(playbook.phase_max).0.to_owned(),
            remedy(&playbook.remedy),
            playbook.describe.summary.clone(),
        ]);
    }
    table.render(style)
}

/// `medic playbook ls --missing`.
pub(crate) fn missing(playbooks: &[Playbook], style: Style) -> String {
    if playbooks.is_empty() {
        return "no playbook waits for anything\n".to_owned();
    }
    let mut table = Table::with_head(&["NAME", "MISSING"]);
    for playbook in playbooks {
        for (index, missing) in playbook.missing.iter().enumerate() {
            let name = if index == 0 {
                playbook.name.as_str()
            } else {
                ""
            };
            table.plain([name.to_owned(), missing.clone()]);
        }
    }
    table.render(style)
}

fn remedy(remedy: &Remedy) -> String {
    match remedy {
        Remedy::Steps { steps, .. } => {
            let steps = steps.iter().map(ToString::to_string);
            steps.collect::<Vec<_>>().join(", ")
        }
        Remedy::Escalate(_) => "escalate".to_owned(),
        Remedy::Unbuilt(what) => format!("nothing yet: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_serve::testing;

    use super::*;

    #[test]
    fn lists_are_aligned() {
        let style = Style::default();
        let status = testing::status();
        let text = [
            incidents(&testing::incidents(), true, style),
            inhibits(&status.inhibits, status.at, style),
            playbooks(&testing::playbooks(), style),
        ]
        .join("\n");
        assert_eq!(text, include_str!("snapshots/lists.txt"), "\n{text}");
    }

    #[test]
    fn children_stand_below_their_parent() {
        let mut listed = testing::incidents();
        let parent = listed[2].id.clone();
        listed[0].parent = Some(parent);
        let text = incidents(&listed, true, Style::default());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "\n{text}");
        assert!(lines[2].contains(testing::RESOLVED), "\n{text}");
        assert!(
            lines[3].contains("└ mount /var  /var is filling"),
            "\n{text}"
        );
        // Without its parent in the list it stands for itself.
        let alone = incidents(&listed[..1], false, Style::default());
        assert!(!alone.contains('└'), "\n{alone}");
    }

    #[test]
    fn lists_that_go_in_circles_end() {
        let mut listed = testing::incidents();
        listed.truncate(2);
        listed[0].parent = Some(listed[1].id.clone());
        listed[1].parent = Some(listed[0].id.clone());
        assert!(incidents(&listed, true, Style::default()).contains("INCIDENT"));
    }

    #[test]
    fn empty_lists_say_so() {
        let style = Style::default();
        assert!(incidents(&[], false, style).contains("--all"));
        assert_eq!(incidents(&[], true, style), "no incidents\n");
        assert!(inhibits(&[], testing::T0, style).starts_with("no inhibits"));
        assert!(playbooks(&[], style).starts_with("no playbooks"));
    }
}
