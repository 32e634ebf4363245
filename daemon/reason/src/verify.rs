//! Did it help? Judged on readings newer than the step's end, never on systemd's "done".

use hostmedic_model::{
    intent::Intent,
    outcome::{CheckResult, Verification},
    playbook::{Check, VerifyPlan},
    sample::Series,
    subject::Subject,
    time::At,
    unit::ActiveState,
    wake::Inspection,
};

use crate::facts::Facts;

/// What the checks see.
pub(crate) struct Seen<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) intent: &'a Intent,
    /// When the last step ended.
    pub(crate) ended: At,
    pub(crate) inspection: &'a Inspection,
    pub(crate) facts: &'a Facts,
}

/// Runs every check. `Resolved` only if all pass; `Worse` if units that were active before the
/// step are down; `Indeterminate` if there is nothing fresh to judge by.
pub(crate) fn verify(plan: &VerifyPlan, seen: &Seen<'_>) -> (Verification, Vec<CheckResult>) {
    let fresh = seen
        .inspection
        .unit
        .as_ref()
        .is_ok_and(|unit| unit.at.boot_ns > seen.ended.boot_ns);
    let mut results: Vec<_> = plan
        .checks
        .iter()
        .map(|check| run(check, seen, fresh))
        .collect();
    let lost = &seen.inspection.also_down;
    if !lost.is_empty() && !plan.checks.contains(&Check::ClosureRestored) {
        // Damage to others is looked for whether the playbook asks or not.
        results.push(run(&Check::ClosureRestored, seen, fresh));
    }
    let verification = if !fresh {
        Verification::Indeterminate
    } else if !lost.is_empty() {
        Verification::Worse
    } else if results.iter().all(|result| result.passed) {
        Verification::Resolved
    } else {
        Verification::Unchanged
    };
    (verification, results)
}

fn run(check: &Check, seen: &Seen<'_>, fresh: bool) -> CheckResult {
    let (name, passed, observed) = match (check, &seen.inspection.unit) {
        (Check::UnitActive, Ok(unit)) => (
            format!("{} is active", unit.unit),
            unit.state.active == ActiveState::Active,
            format!(
                "{:?} ({}), result {}",
                unit.state.active, unit.state.sub, unit.state.result
            )
            .to_lowercase(),
        ),
        (Check::NewInvocation, Ok(unit)) => (
            format!("{} runs anew", unit.unit),
            unit.state.invocation_id.is_some()
                && unit.state.invocation_id != seen.intent.invocation_before,
            format!(
                "invocation {} before, {} now",
                seen.intent.invocation_before.as_deref().unwrap_or("none"),
                unit.state.invocation_id.as_deref().unwrap_or("none"),
            ),
        ),
        (Check::UnitActive | Check::NewInvocation, Err(reason)) => (
            format!("{} can be read", seen.intent.unit),
            false,
            reason.clone(),
        ),
        (Check::NoSignal(kind), _) => {
            let count = seen.facts.signals_since(seen.subject, *kind, seen.ended);
            (
                format!("no {kind:?} since the step ended"),
                count == 0,
                format!("{count} seen"),
            )
        }
        (Check::Below { measure, limit }, _) => {
            let series = Series {
                subject: seen.subject.clone(),
                measure: *measure,
            };
            let name = format!("{series} below {limit}");
            match seen.facts.sample(&series) {
                Some(sample) if sample.at.boot_ns > seen.ended.boot_ns => {
                    (name, sample.value < *limit, format!("{:.4}", sample.value))
                }
                _ => (name, false, "no sample since the step ended".to_owned()),
            }
        }
        (Check::ClosureRestored, _) => {
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
            (
                format!(
                    "{} units that were active with it are active",
                    seen.intent.closure_before.len()
                ),
                down.is_empty(),
                observed,
            )
        }
    };
    CheckResult {
        check: name,
        passed: passed && fresh,
        observed: if fresh {
            observed
        } else {
            format!("stale: {observed}")
        },
    }
}
