//! `medic status`: what somebody who was just woken needs, most urgent first.

use std::time::Duration;

use hostmedic_model::{
    calendar::{Calendar, CalendarReading, Purpose},
    loss::{Coverage, HookCounters},
    view::{JournalStatus, LanguageModelStatus, Status},
};

use super::{
    evidence::phase,
    lists,
    text::{Style, Table, Tone, clean, count, percent, short, size, span, utc},
};

/// More playbooks than these are counted, not named: they would fill the screen.
const PLAYBOOKS_NAMED_MAX: usize = 4;

/// The page.
pub(crate) fn page(status: &Status, style: Style) -> String {
    let mut page = format!(
        "{}: hostmedic {}, up {}, {} (times are UTC)\n",
        style.paint(Tone::Head, &clean(&status.hostname)),
        clean(&status.version),
        span(status.at.since(status.started_at)),
        utc(status.at.wall_ms),
    );
    page += &alarms(status, style);
    page.push('\n');
    page += &overview(status, style);
    for (head, section) in [
        ("WAITS FOR AN OPERATOR", proposals(status, style)),
        ("HELD", holds(status, style)),
        ("INHIBITS", inhibits(status, style)),
        ("CALENDAR", calendar(status, style)),
        ("HOOKS", hooks(status, style)),
    ] {
        if !section.is_empty() {
            page += &format!("\n{}\n{section}", style.paint(Tone::Head, head));
        }
    }
    page
}

/// What stops hostmedic from working, in full sentences.
fn alarms(status: &Status, style: Style) -> String {
    let mut alarms = Vec::new();
    if let Some(reason) = &status.paused {
        alarms.push(format!(
            "PAUSED: nothing is done until `medic resume`: {reason}"
        ));
    }
    if let Some(reason) = &status.audit.failing {
        alarms.push(format!(
            "AUDIT FAILS: nothing is done, {} records wait, {} were dropped: {reason}",
            status.audit.unwritten, status.audit.dropped
        ));
    }
    if let Some(CalendarReading::Unreadable { reason, .. }) = &status.calendar {
        alarms.push(format!("CALENDAR UNREADABLE: everything is held: {reason}"));
    }
    let lines = alarms
        .iter()
        .map(|alarm| style.paint(Tone::Bad, &clean(alarm)) + "\n");
    lines.collect()
}

fn overview(status: &Status, style: Style) -> String {
    let mut table = Table::default();
    let mut row = |name: &str, text: String, tone: Option<Tone>| {
        table.row([(name.to_owned(), Some(Tone::Dim)), (text, tone)]);
    };
    let (word, means) = phase(status.phase);
    row("phase", format!("{word}: {means}"), None);
    let waiting = status.proposals.len();
    let incidents = format!(
        "{} open, {waiting} waiting for an operator, {} held",
        status.open_incidents,
        status.holds.len()
    );
    row(
        "incidents",
        incidents,
        (status.open_incidents > 0).then_some(Tone::Warn),
    );
    row("playbooks", playbooks(status), None);
    let baselines = status.baselines;
    row(
        "baselines",
        format!("{} of {} warm", baselines.warm, baselines.series),
        None,
    );
    row(
        "audit",
        format!(
            "record {}, head {}",
            status.audit.seq,
            short(&status.audit.head)
        ),
        None,
    );
    let (text, tone) = replication(status);
    row("collector", text, tone);
    let (text, tone) = journal(status.journal.as_ref());
    row("journal", text, tone);
    if let Some(model) = &status.language_model {
        let (text, tone) = language_model(model);
        row("model", text, tone);
    }
    row("own cost", cost(status), None);
    table.render(style)
}

fn playbooks(status: &Status) -> String {
    if status.playbooks.is_empty() {
        return "none: hostmedic only observes".to_owned();
    }
    if status.playbooks.len() > PLAYBOOKS_NAMED_MAX {
        return format!(
            "{} in force; `medic playbook ls` names them, with --missing what some wait for",
            status.playbooks.len()
        );
    }
    let names = status
        .playbooks
        .iter()
        .map(|playbook| format!("{} v{}", playbook.name, playbook.version));
    names.collect::<Vec<_>>().join(", ")
}

fn replication(status: &Status) -> (String, Option<Tone>) {
    let link = &status.replication;
    let Some(collector) = &link.collector else {
        return (
            "none configured: the audit chain has no copy elsewhere".to_owned(),
            Some(Tone::Warn),
        );
    };
    let behind = status.audit.seq.saturating_sub(link.acknowledged_seq);
    let state = if link.connected {
        "connected"
    } else {
        "not connected"
    };
    let mut text = format!(
        "{collector}: {state}, has {} ({behind} behind)",
        link.acknowledged_seq
    );
    if !link.last_error.is_empty() {
        text += &format!("; {}", link.last_error);
    }
    (
        text,
        (!link.connected || !link.last_error.is_empty()).then_some(Tone::Warn),
    )
}

fn journal(journal: Option<&JournalStatus>) -> (String, Option<Tone>) {
    let Some(journal) = journal else {
        return ("not followed: the configuration says so".to_owned(), None);
    };
    let state = journal.problem.as_ref().map_or_else(
        || "followed".to_owned(),
        |reason| format!("NOT FOLLOWED: {reason}"),
    );
    let lost = format!(
        "{} lines lost ({} too long, {} unreadable, {} untold)",
        journal.lost(),
        journal.too_long,
        journal.unreadable,
        journal.untold
    );
    let mut parts = Vec::new();
    if journal.interruptions > 0 {
        parts.push(count(
            usize::try_from(journal.interruptions).unwrap_or(usize::MAX),
            "interruption",
        ));
    }
    parts.push(lost);
    if journal.units_forgotten + journal.kinds_forgotten > 0 {
        parts.push(format!(
            "{} units and {} kinds of lines forgotten",
            journal.units_forgotten, journal.kinds_forgotten
        ));
    }
    let is_bad = journal.problem.is_some() || journal.interruptions > 0 || journal.lost() > 0;
    (
        format!("{state}; {}", parts.join(", ")),
        is_bad.then_some(Tone::Warn),
    )
}

fn language_model(model: &LanguageModelStatus) -> (String, Option<Tone>) {
    let LanguageModelStatus {
        model,
        asked,
        per_hour,
        refused,
    } = model;
    let mut text = format!("{model}: {asked} of {per_hour} questions in the last hour");
    if *refused > 0 {
        text += &format!("; not asked for that limit: {refused} since the start");
    }
    (text, (asked >= per_hour).then_some(Tone::Warn))
}

fn cost(status: &Status) -> String {
    let cost = &status.cost;
    format!(
        "{} resident, {} in BPF maps, {} of a core now, {} since the start",
        size(cost.rss_bytes),
        size(cost.kernel_map_bytes),
        percent(cost.cpu_recent_ratio),
        percent(cost.cpu_ratio),
    )
}

fn proposals(status: &Status, style: Style) -> String {
    let mut text = String::new();
    for proposal in &status.proposals {
        let left = proposal
            .span
            .0
            .saturating_sub(status.at.since(proposal.from));
        let left = if left.is_zero() {
            "expired".to_owned()
        } else {
            format!("{} left", span(left))
        };
        let id = clean(&proposal.incident.0);
        text += &format!(
            "  {} ({left})\n    {}\n    medic approve {id} --binding {}\n    medic reject {id} --reason ...\n",
            style.paint(Tone::Warn, &id),
            clean(&proposal.summary),
            clean(short(&proposal.binding)),
        );
    }
    text
}

fn holds(status: &Status, style: Style) -> String {
    let mut table = Table::indented(2);
    for hold in &status.holds {
        table.row([
            (hold.incident.to_string(), Some(Tone::Warn)),
            (hold.subject.to_string(), None),
            (format!("since {}", span(status.at.since(hold.at))), None),
            (hold.reason.clone(), None),
        ]);
    }
    table.render(style)
}

fn inhibits(status: &Status, style: Style) -> String {
    if status.inhibits.is_empty() {
        return String::new();
    }
    super::text::indent(&lists::inhibits(&status.inhibits, status.at, style), 2)
}

fn calendar(status: &Status, style: Style) -> String {
    match &status.calendar {
        None => "  not read yet: everything is held\n".to_owned(),
        Some(CalendarReading::Unreadable { reason, .. }) => {
            format!("  unreadable: {}\n", clean(reason))
        }
        Some(CalendarReading::Readable(calendar)) => readable(status, calendar, style),
    }
}

fn readable(status: &Status, calendar: &Calendar, style: Style) -> String {
    let mut table = Table::indented(2);
    for activity in &calendar.running {
        table.row([
            ("running".to_owned(), Some(Tone::Warn)),
            (activity.name.clone(), None),
            (purpose(activity.purpose).to_owned(), None),
            (format!("begun by {}", activity.began_by), None),
        ]);
    }
    for due in &calendar.due {
        let until = due.at_wall_ms.saturating_sub(status.at.wall_ms);
        let until = u64::try_from(until).map_or_else(
            |_| "now".to_owned(),
            |ms| format!("in {}", span(Duration::from_millis(ms))),
        );
        table.row([
            ("due".to_owned(), None),
            (due.unit.to_string(), None),
            (purpose(due.purpose).to_owned(), None),
            (format!("{until}, by {}", due.timer), None),
        ]);
    }
    for lock in &calendar.inhibitors {
        table.plain([
            "lock".to_owned(),
            lock.what.clone(),
            lock.mode.clone(),
            format!("held by {}: {}", lock.who, lock.why),
        ]);
    }
    format!(
        "{}  {} running, {} due, {}, read {} ago\n",
        table.render(style),
        calendar.running.len(),
        calendar.due.len(),
        count(calendar.inhibitors.len(), "lock"),
        span(status.at.since(calendar.at)),
    )
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Backup => "backup",
        Purpose::PackageTransaction => "packages",
        Purpose::Other => "other",
    }
}

fn hooks(status: &Status, style: Style) -> String {
    let mut table = Table::indented(2);
    let heads = [
        "HOOK",
        "COVERAGE",
        "SEEN",
        "DELIVERED",
        "LOST",
        "NS/RUN",
        "NOTE",
    ];
    table.row(heads.map(|head| (head.to_owned(), Some(Tone::Dim))));
    for hook in &status.hooks {
        let counters = status
            .counters
            .iter()
            .find(|counters| counters.hook == hook.hook);
        let cost = status
            .cost
            .hook_ns
            .iter()
            .find(|cost| cost.hook == hook.hook);
        let (coverage, tone) = match hook.coverage {
            Coverage::Captured => ("captured", Tone::Good),
            Coverage::Degraded => ("degraded", Tone::Warn),
            Coverage::Absent => ("absent", Tone::Bad),
        };
        let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let lost = counters.map(HookCounters::lost);
        table.row([
            (hook.hook.clone(), None),
            (coverage.to_owned(), Some(tone)),
            (number(counters.map(|counters| counters.seen)), None),
            (number(counters.map(|counters| counters.delivered)), None),
            (
                number(lost),
                lost.filter(|lost| *lost > 0).map(|_| Tone::Warn),
            ),
            (
                number(
                    cost.filter(|cost| cost.runs > 0)
                        .map(|cost| cost.ns_per_run),
                ),
                None,
            ),
            (hook.reason.clone(), None),
        ]);
    }
    let queues = &status.queues;
    let dropped = queues.undecodable + queues.queue_full;
    format!(
        "{}  {} read from the rings, {dropped} dropped after them ({} undecodable, {} queue full)\n",
        table.render(style),
        queues.read,
        queues.undecodable,
        queues.queue_full,
    )
}

#[cfg(test)]
mod tests {
    use hostmedic_serve::testing;

    use super::*;

    #[test]
    fn busy_night_fits_one_screen() {
        let text = page(&testing::status(), Style::default());
        assert_eq!(text, include_str!("snapshots/status.txt"), "\n{text}");
        assert!(text.lines().count() <= 40, "one screen");
    }

    #[test]
    fn alarms_stand_first() {
        let mut status = testing::status();
        status.paused = Some("moving the rack".to_owned());
        status.audit.failing = Some("No space left on device".to_owned());
        status.audit.unwritten = 3;
        status.calendar = Some(CalendarReading::Unreadable {
            at: status.at,
            reason: "no answer from logind".to_owned(),
        });
        let text = page(&status, Style::default());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "PAUSED: nothing is done until `medic resume`: moving the rack"
        );
        assert!(
            lines[2].starts_with("AUDIT FAILS: nothing is done, 3 records wait"),
            "{text}"
        );
        assert!(lines[3].starts_with("CALENDAR UNREADABLE"), "{text}");
    }

    #[test]
    fn a_journal_that_is_not_followed_says_why() {
        assert!(journal(None).0.starts_with("not followed"));
        let told = JournalStatus::default();
        let quiet = "followed; 0 lines lost (0 too long, 0 unreadable, 0 untold)";
        assert_eq!(journal(Some(&told)), (quiet.to_owned(), None));
        let told = JournalStatus {
            problem: Some("no files of a journal".to_owned()),
            interruptions: 2,
            kinds_forgotten: 5,
            ..told
        };
        let (text, tone) = journal(Some(&told));
        assert_eq!(
            text,
            "NOT FOLLOWED: no files of a journal; 2 interruptions, 0 lines lost (0 too long, 0 \
             unreadable, 0 untold), 0 units and 5 kinds of lines forgotten"
        );
        assert_eq!(tone, Some(Tone::Warn));
    }

    #[test]
    fn quiet_host_has_no_empty_sections() {
        let mut status = testing::status();
        status.proposals.clear();
        status.holds.clear();
        status.inhibits.clear();
        status.open_incidents = 0;
        status.replication.collector = None;
        status.calendar = None;
        let text = page(&status, Style::default());
        for absent in ["WAITS", "HELD", "INHIBITS"] {
            assert!(!text.contains(absent), "{text}");
        }
        assert!(text.contains("0 open, 0 waiting"), "{text}");
        assert!(text.contains("none configured"), "{text}");
        assert!(text.contains("not read yet"), "{text}");
    }
}
