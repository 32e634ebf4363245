//! Tables of incidents, inhibits and playbooks.

use hostmedic_model::{
    command::Inhibit,
    incident::Incident,
    playbook::{Playbook, Remedy, StepTemplate, Target},
    time::At,
};

use super::{
    evidence::{phase, severity, status},
    text::{Style, Table, short, span, utc},
};

/// `medic incidents`.
pub(crate) fn incidents(incidents: &[Incident], all: bool, style: Style) -> String {
    if incidents.is_empty() {
        return if all {
            "no incidents\n".to_owned()
        } else {
            "no open incidents; --all lists those that are over, too\n".to_owned()
        };
    }
    let mut table = Table::with_head(&["INCIDENT", "OPENED (UTC)", "SEVERITY", "STATUS", "WHAT"]);
    for incident in incidents {
        let (how_bad, severity_tone) = severity(incident.severity);
        let (now, status_tone) = status(incident.status);
        table.row([
            (incident.id.to_string(), None),
            (utc(incident.opened_at.wall_ms), None),
            (how_bad.to_owned(), severity_tone),
            (now.to_owned(), status_tone),
            (incident.title.clone(), None),
        ]);
    }
    table.render(style)
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
        Remedy::Steps { steps, .. } => steps.iter().map(step).collect::<Vec<_>>().join(", "),
        Remedy::Escalate(_) => "escalate".to_owned(),
        Remedy::Unbuilt(what) => format!("nothing yet: {what}"),
    }
}

/// A step in words.
pub(crate) fn step(step: &StepTemplate) -> String {
    match &step.target {
        Target::Subject => format!("{} the unit", step.verb.word()),
        Target::Unit(unit) => format!("{} {unit}", step.verb.word()),
        Target::Action(name) => format!("{} action {name}", step.verb.word()),
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
    fn empty_lists_say_so() {
        let style = Style::default();
        assert!(incidents(&[], false, style).contains("--all"));
        assert_eq!(incidents(&[], true, style), "no incidents\n");
        assert!(inhibits(&[], testing::T0, style).starts_with("no inhibits"));
        assert!(playbooks(&[], style).starts_with("no playbooks"));
    }
}
