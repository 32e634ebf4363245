//! `medic why`: the verdict, the guards that decided it, and all the others.

use hostmedic_model::{
    decision::{Decision, GuardVerdict, Stance, Verdict},
    subject::UnitName,
    view::Why,
};

use super::{
    evidence::{phase, stance, status, unit_state, verdict},
    matched,
    text::{Style, Table, Tone, clean, short, size, span, utc_ms},
};

/// The page.
pub(crate) fn page(why: &Why, style: Style) -> String {
    let (now, tone) = status(why.status);
    let mut page = format!(
        "{}  {}  {}\n{}\n\n",
        style.paint(Tone::Head, &clean(&why.incident.0)),
        clean(&why.subject.to_string()),
        tone.map_or_else(|| now.to_owned(), |tone| style.paint(tone, now)),
        clean(&why.title),
    );
    if let Some(decision) = &why.decision {
        page += &decided(decision, style);
        page += &guards(&decision.guards, style);
    } else {
        page += "nothing is decided yet\n";
    }
    if let Some(matched) = &why.matched {
        page += &format!("\n{}", matched::section(matched, style));
    }
    if let Some(proposal) = &why.proposal {
        page += &format!(
            "\nproposed: {}\n  medic approve {} --binding {}\n",
            clean(&proposal.summary),
            clean(&why.incident.0),
            clean(short(&proposal.binding)),
        );
    }
    page
}

/// Verdict, the guards that decided, and on which ground.
pub(crate) fn decided(decision: &Decision, style: Style) -> String {
    let (word, tone) = verdict(decision.verdict);
    let word = tone.map_or_else(|| word.to_owned(), |tone| style.paint(tone, word));
    let mut table = Table::default();
    let mut row = |name: &str, text: String| table.plain([name.to_owned(), text]);
    let deciding = deciding(decision);
    if !deciding.is_empty() {
        let names: Vec<&str> = deciding.iter().map(|guard| guard.guard.as_str()).collect();
        row("decided by", names.join(", "));
    }
    row(
        "playbook",
        decision.playbook.as_ref().map_or_else(
            || "none fits".to_owned(),
            |playbook| {
                format!(
                    "{} v{} ({})",
                    playbook.name,
                    playbook.version,
                    short(&playbook.sha256)
                )
            },
        ),
    );
    if let Some(target) = &decision.target {
        row("target", target.to_string());
    }
    row("phase", phase(decision.phase).0.to_owned());
    row("when", utc_ms(decision.at.wall_ms));
    format!(
        "{word}: {}\n\n{}\n",
        clean(&decision.reason),
        table.render(style)
    )
}

/// The guards whose stance led to the verdict.
fn deciding(decision: &Decision) -> Vec<&GuardVerdict> {
    let wanted = match decision.verdict {
        Verdict::Act => return Vec::new(),
        Verdict::Propose => Stance::Ask,
        Verdict::Shadow => Stance::Shadow,
        Verdict::Hold => Stance::Wait,
        Verdict::Escalate => Stance::Refuse,
    };
    decision
        .guards
        .iter()
        .filter(|guard| guard.stance == wanted)
        .collect()
}

/// Every guard's word, objections first.
pub(crate) fn guards(guards: &[GuardVerdict], style: Style) -> String {
    let mut table = Table::indented(2);
    let passes = |guard: &&GuardVerdict| guard.stance == Stance::Pass;
    let objecting = guards.iter().filter(|guard| !passes(guard));
    for guard in objecting.chain(guards.iter().filter(passes)) {
        let (word, tone) = stance(guard.stance);
        table.row([
            (word.to_owned(), tone),
            (guard.guard.clone(), None),
            (guard.reason.clone(), None),
        ]);
    }
    format!(
        "{}\n{}",
        style.paint(Tone::Head, "GUARDS"),
        table.render(style)
    )
}

/// The unit as the guards saw it.
pub(crate) fn unit(decision: &Decision, style: Style) -> String {
    let Some(unit) = &decision.unit else {
        return String::new();
    };
    let mut table = Table::indented(2);
    let mut row = |name: &str, text: String| table.plain([name.to_owned(), text]);
    row("unit", format!("{} ({})", unit.unit, unit.load_state));
    row("state", unit_state(&unit.state));
    let slice = unit.slice.as_ref().map_or("-", |slice| slice.as_str());
    row("slice", format!("{slice}, cgroup {}", unit.control_group));
    let limit = match unit.start_limit_burst {
        0 => "no start limit".to_owned(),
        burst => format!(
            "{burst} starts within {}",
            span(unit.start_limit_interval.0)
        ),
    };
    row("restart", format!("{}, {limit}", unit.restart_policy));
    row(
        "last exit",
        last_exit(unit.exec_main_code, unit.exec_main_status),
    );
    if let Some(bytes) = unit.memory_current_bytes {
        row("memory", size(bytes));
    }
    if let Some(job) = &unit.pending_job {
        row("job", format!("{job} is pending"));
    }
    let closure: Vec<&str> = unit.stop_closure.iter().map(UnitName::as_str).collect();
    row(
        "a stop takes",
        if closure.is_empty() {
            "nothing else".to_owned()
        } else {
            closure.join(", ")
        },
    );
    let head = style.paint(Tone::Head, "UNIT AS THE GUARDS SAW IT");
    format!("\n{head}\n{}", table.render(style))
}

/// `ExecMainCode` and `ExecMainStatus`; the codes are those of waitid(2).
fn last_exit(code: i32, status: i32) -> String {
    match code {
        0 => "none".to_owned(),
        1 => format!("status {status}"),
        2 => format!("killed by signal {status}"),
        3 => format!("killed by signal {status}, core dumped"),
        other => format!("code {other}, status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_model::{
        advice::{Advice, Lowered, Said},
        incident::IncidentId,
        view::IncidentDetail,
    };
    use hostmedic_serve::testing;

    use super::*;

    fn why(id: &str) -> Why {
        let id = IncidentId(id.to_owned());
        let mut incidents = testing::incidents().into_iter();
        let found = incidents.find(|incident| incident.id == id);
        let incident = found.unwrap_or_else(|| panic!("{id} is not in the story"));
        let timeline = testing::records();
        IncidentDetail {
            incident,
            proposal: testing::status()
                .proposals
                .into_iter()
                .find(|p| p.incident == id),
            timeline: (timeline.into_iter())
                .filter(|record| record.body.incident().as_ref() == Some(&id))
                .collect(),
        }
        .into()
    }

    #[test]
    fn hold_names_its_guard_first() {
        let text = page(&why(testing::HELD), Style::default());
        assert_eq!(text, include_str!("snapshots/why-held.txt"), "\n{text}");
    }

    #[test]
    fn proposal_says_how_to_approve_it() {
        let text = page(&why(testing::WAITING), Style::default());
        assert_eq!(text, include_str!("snapshots/why-waiting.txt"), "\n{text}");
    }

    #[test]
    fn a_language_models_guess_stands_apart_and_is_called_one() {
        let asked = |question: &str, said, problem: Option<&str>, lowered| {
            let mut why = why(testing::HELD);
            let matched = why.matched.as_mut().unwrap();
            matched.advice = Some(Advice {
                model: "small".to_owned(),
                question: question.to_owned(),
                said,
                problem: problem.map(str::to_owned),
                lowered,
            });
            let text = page(&why, Style::default());
            text.split_once("\nA LANGUAGE").unwrap().1.to_owned()
        };
        let advised = |said, problem, lowered| asked("ab", said, problem, lowered);
        let said = Said {
            playbook: None,
            confidence: 0.8,
            hypothesis: "The backup filled the memory. \u{1b}[2J".to_owned(),
        };
        let lowered = vec![Lowered {
            playbook: "unit-oom-dead".to_owned(),
            from: 0.9937,
            to: 0.84,
        }];
        assert_eq!(
            advised(Some(said), None, lowered),
            " MODEL'S GUESS (small)\n  \
             chose    none of them, 0.80 sure\n  \
             guesses  The backup filled the memory. \\u{1b}[2J\n  \
             lowered  unit-oom-dead from 0.99 to 0.84\n  \
             a guess is no evidence: check it before you believe it\n"
        );
        assert_eq!(
            advised(None, Some("no answer within 10s"), Vec::new()),
            " MODEL'S GUESS (small)\n  \
             no answer: no answer within 10s; nothing has changed\n"
        );
        assert_eq!(
            asked("", None, Some("the limit was reached"), Vec::new()),
            " MODEL'S GUESS (small)\n  \
             not asked: the limit was reached; nothing has changed\n"
        );
    }

    #[test]
    fn undecided_incident_says_so() {
        let mut why = why(testing::HELD);
        why.decision = None;
        why.matched = None;
        assert!(page(&why, Style::default()).ends_with("nothing is decided yet\n"));
    }
}
