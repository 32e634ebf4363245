//! What the playbook itself wants to hold just before it acts.

use hostmedic_model::{
    decision::Stance,
    playbook::{Need, Otherwise},
    sample::{Measure, Series},
    subject::Subject,
    unit::{ActiveState, UnitSnapshot},
};

use super::{Look, Word, pass};
use crate::matching::unheard;

pub(super) fn ask(look: &Look<'_>) -> Word {
    let mut worst: Option<Word> = None;
    for check in &look.playbook.pre_checks {
        let Err(observed) = holds(&check.needs, look) else {
            continue;
        };
        let stance = match check.otherwise {
            Otherwise::Escalate => Stance::Refuse,
            Otherwise::Wait => Stance::Wait,
            // An approval is bound to what was shown, and this was shown.
            Otherwise::Ask if look.approved.is_some() => continue,
            Otherwise::Ask => Stance::Ask,
        };
        let stricter = worst
            .as_ref()
            .is_none_or(|(known, _)| rank(stance) > rank(*known));
        if stricter {
            worst = Some((
                stance,
                format!("{}: {observed} ({})", check.name, check.reason),
            ));
        }
    }
    worst.unwrap_or_else(|| {
        pass(format!(
            "{} pre-checks of the playbook hold",
            look.playbook.pre_checks.len()
        ))
    })
}

fn rank(stance: Stance) -> u8 {
    match stance {
        Stance::Pass => 0,
        Stance::Ask => 1,
        Stance::Shadow => 2,
        Stance::Wait => 3,
        Stance::Refuse => 4,
    }
}

/// Whether a need is met; else what was seen instead.
fn holds(need: &Need, look: &Look<'_>) -> Result<(), String> {
    let unit = look
        .unit
        .as_ref()
        .map_err(|reason| format!("{} could not be read: {reason}", look.target));
    let met = |met: bool, seen: String| if met { Ok(()) } else { Err(seen) };
    match need {
        Need::Fresh(max_age) => {
            let age = look.now.since(unit?.at);
            met(
                age <= max_age.0,
                format!("what is known is {} s old", age.as_secs()),
            )
        }
        Need::Active => {
            let state = unit?.state.active;
            met(
                state == ActiveState::Active,
                format!("it is {state:?}").to_lowercase(),
            )
        }
        Need::ClosureAtMost(most) => {
            let count = unit?.stop_closure.len();
            met(
                count <= usize::try_from(*most).unwrap_or(usize::MAX),
                format!("{count} active units would be stopped with it, at most {most}"),
            )
        }
        Need::StartsLeft(least) => {
            let unit = unit?;
            if unit.start_limit_burst == 0 || unit.start_limit_interval.0.is_zero() {
                return Ok(());
            }
            let interval = unit.start_limit_interval.0;
            let seen = look.facts.starts_within(look.target, interval, look.now);
            let used = seen.max(look.attempts.on_unit(look.target, interval));
            let used = u32::try_from(used).unwrap_or(u32::MAX);
            let left = unit.start_limit_burst.saturating_sub(used);
            met(
                left >= *least,
                format!("{left} starts are left, at least {least}"),
            )
        }
        Need::NoJob => no_job(unit?),
        Need::NotFrozen => {
            let freezer = unit?.vitals.freezer.as_str();
            // A systemd that does not tell cannot freeze either.
            met(
                matches!(freezer, "running" | ""),
                format!("its processes are {freezer}"),
            )
        }
        Need::Quiet(span) => {
            no_job(unit?)?;
            let since = look
                .facts
                .unit_since(look.target)
                .ok_or_else(|| "nothing was heard of it yet".to_owned())?;
            let known = look.now.since(since);
            let handled = look
                .facts
                .unit(look.target)
                .and_then(|facts| facts.handled)
                .map(|at| look.now.since(at));
            match handled.filter(|age| *age < span.0) {
                Some(age) => Err(format!(
                    "somebody started, stopped or reloaded it {} s ago",
                    age.as_secs()
                )),
                None => met(
                    known >= span.0,
                    format!("it has been watched for {} s only", known.as_secs()),
                ),
            }
        }
        Need::Below {
            of_host,
            measure,
            limit,
        } => {
            let value = newest(look, *of_host, *measure)?;
            met(
                value < *limit,
                format!("{measure} is {value:.3}, not below {limit:.3}"),
            )
        }
        Need::Above {
            of_host,
            measure,
            limit,
        } => {
            let value = newest(look, *of_host, *measure)?;
            met(
                value > *limit,
                format!("{measure} is {value:.3}, not above {limit:.3}"),
            )
        }
        Need::NoSignal { kind, within } => {
            let count = look
                .facts
                .signals_within(look.subject, *kind, within.0, look.now);
            met(count == 0, format!("{count} {kind:?} within {within}"))?;
            match unheard(*kind, *within, look.subject, look.facts, look.now) {
                None => Ok(()),
                Some(why) => Err(format!("whether there was a {kind:?} is not known: {why}")),
            }
        }
    }
}

fn no_job(unit: &UnitSnapshot) -> Result<(), String> {
    unit.pending_job
        .as_deref()
        .map_or(Ok(()), |job| Err(format!("a {job} job waits for it")))
}

/// The newest sample; none, or an old one, is no reason to act.
fn newest(look: &Look<'_>, of_host: bool, measure: Measure) -> Result<f64, String> {
    let subject = if of_host {
        Subject::Host
    } else {
        look.subject.clone()
    };
    let series = Series { subject, measure };
    look.facts
        .fresh(&series, look.now)
        .map(|sample| sample.value)
}
