//! What is supposed to be happening. The guard this project exists for: a database was once
//! restarted during its backup, because nobody asked this question.

use std::time::Duration;

use hostmedic_model::{
    calendar::{Calendar, CalendarReading, Purpose},
    subject::UnitName,
};

use super::{Look, Word, pass, wait};

/// Older than this, a reading of the calendar says nothing about now.
const AGE_MAX: Duration = Duration::from_secs(10);

pub(super) fn ask(look: &Look<'_>) -> Word {
    let calendar = match look.calendar {
        CalendarReading::Readable(calendar) => calendar,
        CalendarReading::Unreadable { reason, .. } => {
            return wait(format!(
                "what is supposed to be happening cannot be read: {reason}"
            ));
        }
    };
    let age = look.now.since(calendar.at);
    if age > AGE_MAX {
        return wait(format!("the calendar was read {} s ago", age.as_secs()));
    }
    if let Some(reason) = running(look, calendar)
        .or_else(|| program(look))
        .or_else(|| due(look, calendar))
    {
        return wait(reason);
    }
    let (running, timers) = (calendar.running.len(), calendar.due.len());
    pass(format!(
        "nothing scheduled touches {} ({running} activities run, {timers} timers known)",
        look.target
    ))
}

/// Work that runs now and concerns the target.
fn running(look: &Look<'_>, calendar: &Calendar) -> Option<String> {
    calendar
        .running
        .iter()
        .filter(|activity| activity.name != look.target.as_str())
        .find_map(|activity| {
            let why = concerns(look, activity.purpose, &activity.related)?;
            Some(format!(
                "{} is running, begun by {}: {why}",
                activity.name, activity.began_by
            ))
        })
}

/// Backup and package programs seen at exec that have not ended: they may have no unit.
fn program(look: &Look<'_>) -> Option<String> {
    let program = look.facts.programs().next()?;
    let seconds = look.now.since(program.at).as_secs();
    let why = concerns(look, program.purpose, &[])?;
    Some(format!(
        "{} has been running for {seconds} s: {why}",
        program.comm
    ))
}

/// Work that begins so soon that acting now would run into it.
fn due(look: &Look<'_>, calendar: &Calendar) -> Option<String> {
    let window = look.policy.due_window.max(look.playbook.lookahead);
    let window_ms = i64::try_from(window.0.as_millis()).unwrap_or(i64::MAX);
    calendar
        .due
        .iter()
        .filter(|due| due.unit != *look.target)
        .find_map(|due| {
            let in_ms = due.at_wall_ms.saturating_sub(look.now.wall_ms);
            // A time just passed is a timer that is about to be run, or a clock that was set.
            if in_ms > window_ms || in_ms < -window_ms {
                return None;
            }
            let why = concerns(look, due.purpose, &due.related)?;
            Some(format!(
                "{} is due in {} s by {}: {why}",
                due.unit,
                in_ms.max(0) / 1000,
                due.timer
            ))
        })
}

/// Why work with this purpose and these related units forbids touching the target.
fn concerns(look: &Look<'_>, purpose: Purpose, related: &[UnitName]) -> Option<String> {
    if let Some(unit) = look.touched().find(|unit| related.contains(unit)) {
        return Some(format!("it works with {unit}"));
    }
    match purpose {
        Purpose::Backup => {
            Some("a backup may read any unit's data, so it protects all of them".to_owned())
        }
        Purpose::PackageTransaction => {
            Some("a package transaction may restart any unit itself".to_owned())
        }
        Purpose::Other => None,
    }
}
