//! Did it help? Judged on readings newer than the step's end, never on systemd's "done".

use std::time::Duration;

use hostmedic_model::{
    intent::Intent,
    outcome::{CheckResult, Verification},
    playbook::{Check, Condition, VerifyPlan},
    sample::{Measure, Sample, Series},
    signal::SignalKind,
    subject::{Subject, UnitName},
    time::{At, Span},
    unit::{ActiveState, UnitSnapshot},
    wake::Inspection,
};

use crate::facts::{Facts, as_condition};

/// What the checks see.
pub(crate) struct Seen<'a> {
    pub(crate) now: At,
    pub(crate) subject: &'a Subject,
    pub(crate) intent: &'a Intent,
    /// When the last step ended.
    pub(crate) ended: At,
    pub(crate) inspection: &'a Inspection,
    pub(crate) facts: &'a Facts,
    /// The subject's numbers just before the first step.
    pub(crate) before: &'a [Sample],
    /// What the look before this one gave as [`Verified::held`].
    pub(crate) held: &'a [Option<At>],
}

/// What the checks came to.
pub(crate) struct Verified {
    /// `Resolved` only if all pass; `Worse` if units that were active before the step are down;
    /// `Indeterminate` if there is nothing fresh to judge by, or nothing else stands in the way.
    pub(crate) verification: Verification,
    pub(crate) checks: Vec<CheckResult>,
    /// Since when each check of the plan has passed at every look.
    pub(crate) held: Vec<Option<At>>,
    /// A check did not pass without which the steps are taken back.
    pub(crate) wants_undo: bool,
    /// All is well, and only has to stay so for a while.
    pub(crate) is_waiting: bool,
}

/// One check at one look.
struct Checked {
    name: String,
    /// `None` where nobody can tell, which is no failure of what was done, and no pass.
    word: Option<bool>,
    observed: String,
}

impl Checked {
    fn new(name: String, passed: bool, observed: String) -> Self {
        Self {
            name,
            word: Some(passed),
            observed,
        }
    }

    fn unknown(name: String, why: String) -> Self {
        Self {
            name,
            word: None,
            observed: why,
        }
    }

    fn passed(&self) -> bool {
        self.word == Some(true)
    }
}

/// Runs every check.
pub(crate) fn verify(plan: &VerifyPlan, seen: &Seen<'_>) -> Verified {
    let fresh = seen
        .inspection
        .unit
        .as_ref()
        .is_ok_and(|unit| unit.at.boot_ns > seen.ended.boot_ns);
    let mut results = Vec::new();
    let mut held = Vec::new();
    let mut is_waiting = fresh;
    for (index, check) in plan.checks.iter().enumerate() {
        let before = seen.held.get(index).copied().flatten();
        let (result, since) = match check {
            Check::Held { check, span } => {
                let inner = match check.as_ref() {
                    Check::NoSignal(kind) => no_signal_now(*kind, seen),
                    check => run(check, seen),
                };
                is_waiting &= inner.passed();
                let since = inner
                    .passed()
                    .then(|| since(check, before, seen))
                    .filter(|_| fresh);
                (lasting(inner, since, *span, check, seen), since)
            }
            check => {
                let result = run(check, seen);
                is_waiting &= result.passed();
                (result, None)
            }
        };
        results.push(result);
        held.push(since);
    }
    let lost = &seen.inspection.also_down;
    if !lost.is_empty() && !plan.checks.contains(&Check::ClosureRestored) {
        // Damage to others is looked for whether the playbook asks or not.
        results.push(run(&Check::ClosureRestored, seen));
    }
    let verification = if !fresh {
        Verification::Indeterminate
    } else if !lost.is_empty() {
        Verification::Worse
    } else if results.iter().all(Checked::passed) {
        Verification::Resolved
    } else if results.iter().any(|result| result.word == Some(false)) {
        Verification::Unchanged
    } else {
        Verification::Indeterminate
    };
    // What cannot be shown to have helped is not left behind either. Damage to others is no check of
    // the plan's, and reason enough where it takes anything back at all.
    let mut decisive = plan.undo_without.iter();
    let wants_undo = match verification {
        Verification::Resolved => false,
        Verification::Worse => !plan.undo_without.is_empty(),
        _ => decisive.any(|place| !fresh || !results.get(*place).is_some_and(Checked::passed)),
    };
    let checks = results.into_iter().map(|result| CheckResult {
        passed: result.passed() && fresh,
        check: result.name,
        observed: if fresh {
            result.observed
        } else {
            format!("stale: {}", result.observed)
        },
    });
    Verified {
        verification,
        checks: checks.collect(),
        held,
        wants_undo,
        is_waiting,
    }
}

/// Whether a check that passes now has done so for long enough.
fn lasting(
    inner: Checked,
    since: Option<At>,
    span: Span,
    check: &Check,
    seen: &Seen<'_>,
) -> Checked {
    let Some(since) = since else {
        let name = format!("{} for {span}", inner.name);
        return Checked { name, ..inner };
    };
    // A number says nothing about the time after it.
    let until = match check {
        Check::Below {
            of_host, measure, ..
        }
        | Check::Above {
            of_host, measure, ..
        } => {
            let newest = seen.facts.sample(&series(*of_host, *measure, seen));
            newest.map_or(since, |sample| sample.at)
        }
        _ => seen.now,
    };
    let lasted = until.since(since);
    let held = Span(Duration::from_secs(lasted.as_secs()));
    Checked::new(
        format!("{} for {span}", inner.name),
        lasted >= span.0,
        format!("{}; for {held} so far", inner.observed),
    )
}

/// Since when a check that passes at this look has passed, as far as anybody saw; at the earliest
/// since the last step ended. What happened between two looks is heard or measured.
fn since(check: &Check, before: Option<At>, seen: &Seen<'_>) -> At {
    let broken = |unit: &UnitName| seen.facts.unit(unit).and_then(|unit| unit.broken);
    let looked = || {
        let unit = seen.inspection.unit.as_ref();
        before.unwrap_or(unit.map_or(seen.now, |unit| unit.at))
    };
    let since = match check {
        Check::NoSignal(kind) => {
            let heard = seen.facts.newest_signal(seen.subject, *kind);
            // What was lost may have been one.
            let complete = seen.facts.complete_since(*kind).unwrap_or(seen.now);
            complete.max(heard.unwrap_or_default())
        }
        Check::Below { of_host, .. } | Check::Above { of_host, .. } => {
            let subject = of(*of_host, seen);
            let condition: Option<Condition> = as_condition(check);
            let standing = condition.and_then(|condition| seen.facts.standing(&condition, subject));
            standing
                .filter(|standing| standing.holds)
                .map_or(seen.now, |standing| standing.since)
        }
        Check::ClosureRestored => {
            let closure = seen.intent.closure_before.iter();
            looked().max(closure.filter_map(broken).max().unwrap_or_default())
        }
        Check::UnitActive | Check::NewInvocation | Check::WatchdogPings => {
            looked().max(broken(&seen.intent.unit).unwrap_or_default())
        }
        Check::FellBy { .. } | Check::Held { .. } => looked(),
    };
    since.max(seen.ended)
}

fn of<'a>(of_host: bool, seen: &Seen<'a>) -> &'a Subject {
    if of_host {
        &Subject::Host
    } else {
        seen.subject
    }
}

fn series(of_host: bool, measure: Measure, seen: &Seen<'_>) -> Series {
    Series {
        subject: of(of_host, seen).clone(),
        measure,
    }
}

/// The newest number, if it was taken after the step and is a word on now.
fn number(series: &Series, seen: &Seen<'_>) -> Result<f64, String> {
    let sample = seen.facts.fresh(series, seen.now)?;
    if sample.at.boot_ns > seen.ended.boot_ns {
        Ok(sample.value)
    } else {
        Err("no sample since the step ended".to_owned())
    }
}

/// Compares the newest number.
fn compared(
    name: String,
    series: &Series,
    seen: &Seen<'_>,
    holds: impl Fn(f64) -> bool,
) -> Checked {
    match number(series, seen) {
        Ok(value) => Checked::new(name, holds(value), format!("{value:.4}")),
        Err(why) => Checked::unknown(name, why),
    }
}

fn run(check: &Check, seen: &Seen<'_>) -> Checked {
    match (check, &seen.inspection.unit) {
        (Check::UnitActive, Ok(unit)) => Checked::new(
            format!("{} is active", unit.unit),
            unit.state.active == ActiveState::Active,
            format!(
                "{:?} ({}), result {}",
                unit.state.active, unit.state.sub, unit.state.result
            )
            .to_lowercase(),
        ),
        (Check::NewInvocation, Ok(unit)) => Checked::new(
            format!("{} runs anew", unit.unit),
            unit.state.invocation_id.is_some()
                && unit.state.invocation_id != seen.intent.invocation_before,
            format!(
                "invocation {} before, {} now",
                seen.intent.invocation_before.as_deref().unwrap_or("none"),
                unit.state.invocation_id.as_deref().unwrap_or("none"),
            ),
        ),
        (Check::WatchdogPings, Ok(unit)) => watchdog_pings(unit, seen),
        (Check::UnitActive | Check::NewInvocation | Check::WatchdogPings, Err(reason)) => {
            Checked::new(
                format!("{} can be read", seen.intent.unit),
                false,
                reason.clone(),
            )
        }
        (Check::NoSignal(kind), _) => no_signal(*kind, seen),
        (
            Check::Below {
                of_host,
                measure,
                limit,
            },
            _,
        ) => {
            let series = series(*of_host, *measure, seen);
            let name = format!("{series} below {limit}");
            compared(name, &series, seen, |value| value < *limit)
        }
        (
            Check::Above {
                of_host,
                measure,
                limit,
            },
            _,
        ) => {
            let series = series(*of_host, *measure, seen);
            let name = format!("{series} above {limit}");
            compared(name, &series, seen, |value| value > *limit)
        }
        (Check::FellBy { measure, by }, _) => fell_by(*measure, *by, seen),
        (Check::ClosureRestored, _) => closure_restored(seen),
        (Check::Held { check, .. }, _) => run(check, seen),
    }
}

fn watchdog_pings(unit: &UnitSnapshot, seen: &Seen<'_>) -> Checked {
    let name = format!("{} reports to systemd", unit.unit);
    let Some(watchdog) = &unit.vitals.watchdog else {
        return Checked::new(name, false, "it has no watchdog".to_owned());
    };
    let age = unit.at.since(watchdog.reported);
    // The start itself counts as a report, and comes before the end of the step.
    let since_step = watchdog.reported.boot_ns > seen.ended.boot_ns;
    Checked::new(
        name,
        since_step && age <= watchdog.timeout.0,
        format!(
            "{} {} s ago, due every {}",
            if since_step { "reported" } else { "started" },
            age.as_secs(),
            watchdog.timeout
        ),
    )
}

fn no_signal(kind: SignalKind, seen: &Seen<'_>) -> Checked {
    let name = format!("no {kind:?} since the step ended");
    let count = seen.facts.signals_since(seen.subject, kind, seen.ended);
    if count > 0 {
        return Checked::new(name, false, format!("{count} seen"));
    }
    match seen.facts.complete_since(kind) {
        Ok(since) if since.boot_ns <= seen.ended.boot_ns => {
            Checked::new(name, true, "0 seen".to_owned())
        }
        Ok(_) => Checked::unknown(name, "some may have gone unheard since then".to_owned()),
        Err(why) => Checked::unknown(name, why),
    }
}

/// At this moment there is none; how long that has been so, [`since`] tells.
fn no_signal_now(kind: SignalKind, seen: &Seen<'_>) -> Checked {
    let name = format!("no {kind:?}");
    match seen.facts.complete_since(kind) {
        Ok(_) => Checked::new(name, true, "none now".to_owned()),
        Err(why) => Checked::unknown(name, why),
    }
}

fn fell_by(measure: Measure, by: f64, seen: &Seen<'_>) -> Checked {
    let series = series(false, measure, seen);
    let name = format!("{series} fell by {:.0}%", by * 100.0);
    let Some(before) = seen.before.iter().find(|sample| sample.series == series) else {
        return Checked::unknown(name, "no number from before the step is known".to_owned());
    };
    match number(&series, seen) {
        Ok(value) => Checked::new(
            name,
            before.value > 0.0 && value <= before.value * (1.0 - by),
            format!("{:.4} before, {value:.4} now", before.value),
        ),
        Err(why) => Checked::unknown(name, why),
    }
}

fn closure_restored(seen: &Seen<'_>) -> Checked {
    let down = &seen.inspection.also_down;
    let list = down
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let observed = if down.is_empty() {
        "all are".to_owned()
    } else {
        format!("down: {list}")
    };
    Checked::new(
        format!(
            "{} units that were active with it are active",
            seen.intent.closure_before.len()
        ),
        down.is_empty(),
        observed,
    )
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
