//! Checks before the first step and after the last one.

use hostmedic_model::{
    playbook::{Check, Need, Otherwise, PreCheck, VerifyPlan},
    time::Span,
};

use super::Judge;
use crate::playbook::{
    placed::{Args, Place, Placed, PlacedList, Value},
    quantity::Unit,
    registry::{self, Slot, checks, measures, signals},
    wire::{self, FailAction},
};

/// A verification that takes longer says nothing about the step any more.
const WINDOW_MAX: Span = Span::minutes(60);
/// What is known of a target may not be older than this.
const FRESH_MAX: Span = Span::minutes(5);

impl Judge<'_> {
    /// Pre-checks as the engine's.
    pub(super) fn pre_checks(&mut self, list: &PlacedList<wire::PreCheck>) -> Vec<PreCheck> {
        let mut pre_checks = Vec::new();
        for check in &list.value {
            self.sentence("reason", &check.reason, 10);
            let Some(entry) = self.entry("check", checks::ALL, &check.check, check.check.place)
            else {
                continue;
            };
            if !entry.before {
                let message = format!("{} can be asked only after the steps", entry.name);
                self.findings.error_help(
                    "when",
                    check.check.place,
                    message,
                    "it belongs in `verify`",
                );
            }
            let what = format!("check {}", entry.name);
            self.slots(&what, entry.fields, &check.with, check.check.place);
            if let Some(timeout) = &check.timeout
                && (timeout.0.0.is_zero() || timeout.0 > Span::minutes(1))
            {
                let message = format!(
                    "`timeout` is {}; it must lie above 0 and at most 1m",
                    timeout.0
                );
                self.findings.error("range", timeout.place, message);
            }
            let otherwise = match check.fail_action.value {
                FailAction::Abort | FailAction::Escalate => Otherwise::Escalate,
                FailAction::Wait => Otherwise::Wait,
                FailAction::RequestApproval => Otherwise::Ask,
                FailAction::Rollback | FailAction::Warn => {
                    self.findings.error_help(
                        "unknown-word",
                        check.fail_action.place,
                        "nothing has been done yet that could be undone or warned of",
                        "it can be: abort, wait, escalate, request_approval",
                    );
                    continue;
                }
            };
            if entry.name == "signal.none" && check.with.get("within").is_none() {
                self.findings.error_help(
                    "missing-key",
                    check.check.place,
                    "before the steps, signal.none needs `within`: how far back",
                    "such as `within: 10min`",
                );
            }
            if let Some(max_age) = span(&check.with, "max_age")
                && (max_age.0.is_zero() || max_age > FRESH_MAX)
            {
                let message =
                    format!("`max_age` is {max_age}; it must lie above 0 and at most {FRESH_MAX}");
                self.findings.error("range", check.check.place, message);
            }
            match needs(entry.name, &check.with) {
                Some(needs) => pre_checks.push(PreCheck {
                    name: check.name.value.clone(),
                    needs,
                    otherwise,
                    reason: check.reason.value.trim().to_owned(),
                }),
                None => self.miss(lacking(&check.with).unwrap_or(what)),
            }
        }
        pre_checks
    }

    /// The verification as the engine's.
    pub(super) fn verify(&mut self, verify: &Placed<wire::Verify>) -> VerifyPlan {
        let (settle, within) = (verify.settle.0, verify.window.0);
        if settle.0.is_zero() || settle > within || within > WINDOW_MAX {
            self.findings.error(
                "range",
                verify.settle.place,
                format!("`settle` is {settle} and `window` is {within}; it must be 0 < settle <= window <= {WINDOW_MAX}"),
            );
        }
        if verify.all.value.is_empty() {
            self.findings.error(
                "empty",
                verify.all.place,
                "`all` is empty: nothing would be verified",
            );
        }
        let mut list = Vec::new();
        let mut counted = 0;
        let mut undo_without = Vec::new();
        for check in &verify.all.value {
            let Some(entry) = self.entry("check", checks::ALL, &check.check, check.check.place)
            else {
                continue;
            };
            if !entry.after {
                let message = format!("{} can be asked only before the steps", entry.name);
                self.findings.error_help(
                    "when",
                    check.check.place,
                    message,
                    "it belongs in `pre_execution_checks`",
                );
            }
            let what = format!("check {}", entry.name);
            self.slots(&what, entry.fields, &check.with, check.check.place);
            if let Some(span) = &check.held_for
                && (span.0.0.is_zero() || settle.0 + span.0.0 > within.0)
            {
                self.findings.error_help(
                    "range",
                    span.place,
                    format!(
                        "`for` is {} and `window` is {within}: it could never hold for so long",
                        span.0
                    ),
                    "it must be 0 < `for` <= `window` - `settle`",
                );
            }
            let by = number(&check.with, "by", Unit::Ratio);
            if entry.name == "measure.fell_by" && by.is_some_and(|by| by <= 0.0 || 1.0 < by) {
                self.findings.error(
                    "range",
                    check.check.place,
                    "`by` must lie above 0% and at most at 100%",
                );
            }
            if entry.name == "signal.none"
                && let Some((key, _)) = (check.with.0.iter()).find(|(key, _)| key.value == "within")
            {
                self.findings.error_help(
                    "when",
                    key.place,
                    "after the steps, signals count from the end of the last one",
                    "leave `within` out, or write `for` beside `check`",
                );
            }
            match check.fail_action.value {
                FailAction::Escalate | FailAction::Rollback => counted += 1,
                FailAction::Warn => self.miss("verify `fail_action: warn`"),
                FailAction::Abort | FailAction::Wait | FailAction::RequestApproval => {
                    self.findings.error_help(
                        "unknown-word",
                        check.fail_action.place,
                        "the steps are done; nobody can be asked for them any more",
                        "it can be: rollback, escalate, warn",
                    );
                }
            }
            let place = list.len();
            match (compile(entry.name, &check.with), &check.held_for) {
                (Some(compiled), Some(span)) => list.push(Check::Held {
                    check: Box::new(compiled),
                    span: span.0,
                }),
                (Some(compiled), None) => list.push(compiled),
                (None, _) => self.miss(lacking(&check.with).unwrap_or(what)),
            }
            if check.fail_action.value == FailAction::Rollback && place < list.len() {
                undo_without.push(place);
            }
        }
        if counted == 0 && !verify.all.value.is_empty() {
            self.findings.error(
                "no-verdict",
                verify.all.place,
                "every check only warns: nothing could ever fail",
            );
        }
        VerifyPlan {
            settle,
            within,
            checks: list,
            undo_without,
        }
    }
}

/// The signal or measure that a check asks about, if that is what the engine lacks.
fn lacking(with: &Args) -> Option<String> {
    let signal = with.text("signal").and_then(|name| {
        let entry = registry::find(signals::ALL, name)?;
        (!entry.exists()).then(|| format!("signal {}", entry.name))
    });
    let measure = || {
        let entry = registry::find(measures::ALL, with.text("measure")?)?;
        entry
            .model()
            .is_none()
            .then(|| format!("measure {}", entry.name))
    };
    signal.or_else(measure)
}

/// What the engine can ask for; `None` while it cannot.
fn needs(name: &str, with: &Args) -> Option<Need> {
    let count = |field: &str| match with.get(field)?.value {
        Value::Int(count) => u32::try_from(count).ok(),
        _ => None,
    };
    match name {
        "telemetry.fresh" => {
            let max_age = span(with, "max_age")?;
            Some(Need::Fresh(max_age))
        }
        "unit.active" if with.0.is_empty() => Some(Need::Active),
        "unit.stop_closure" => Some(Need::ClosureAtMost(count("max_active")?)),
        "unit.start_budget" => Some(Need::StartsLeft(count("min_remaining")?)),
        "unit.not_frozen" if with.0.is_empty() => Some(Need::NotFrozen),
        "unit.quiet" if with.get("no_admin_action_for").is_none() => Some(Need::NoJob),
        "unit.quiet" => Some(Need::Quiet(span(with, "no_admin_action_for")?)),
        "memory.available" => {
            let min = number(with, "min", Unit::Ratio)?;
            let measure = hostmedic_model::sample::Measure::MemoryUsedRatio;
            Some(Need::Below {
                of_host: true,
                measure,
                limit: 1.0 - min,
            })
        }
        "measure.below" | "measure.above" => {
            let entry = registry::find(measures::ALL, with.text("measure")?)?;
            let (measure, limit) = (entry.model()?, number(with, "limit", entry.unit)?);
            let of_host = with.text("of") == Some("host");
            Some(if name == "measure.below" {
                Need::Below {
                    of_host,
                    measure,
                    limit,
                }
            } else {
                Need::Above {
                    of_host,
                    measure,
                    limit,
                }
            })
        }
        "signal.none" => Some(Need::NoSignal {
            kind: registry::find(signals::ALL, with.text("signal")?)?.kind()?,
            within: span(with, "within")?,
        }),
        _ => None,
    }
}

/// A check after the steps as the engine's; `None` while it cannot.
fn compile(name: &str, with: &Args) -> Option<Check> {
    match name {
        "unit.active" if with.0.is_empty() => Some(Check::UnitActive),
        "unit.new_invocation" if with.0.is_empty() => Some(Check::NewInvocation),
        "unit.watchdog_pings" if with.0.is_empty() => Some(Check::WatchdogPings),
        "unit.closure_restored" => Some(Check::ClosureRestored),
        "signal.none" if with.get("within").is_none() => {
            let kind = registry::find(signals::ALL, with.text("signal")?)?.kind()?;
            Some(Check::NoSignal(kind))
        }
        "measure.below" | "measure.above" => {
            let entry = registry::find(measures::ALL, with.text("measure")?)?;
            let (measure, limit) = (entry.model()?, number(with, "limit", entry.unit)?);
            let of_host = with.text("of") == Some("host");
            Some(if name == "measure.below" {
                Check::Below {
                    of_host,
                    measure,
                    limit,
                }
            } else {
                Check::Above {
                    of_host,
                    measure,
                    limit,
                }
            })
        }
        "measure.fell_by" => {
            let entry = registry::find(measures::ALL, with.text("measure")?)?;
            Some(Check::FellBy {
                measure: entry.model()?,
                by: number(with, "by", Unit::Ratio)?,
            })
        }
        _ => None,
    }
}

fn span(with: &Args, name: &str) -> Option<Span> {
    with.text(name)?.parse().ok()
}

pub(super) fn number(with: &Args, name: &str, unit: Unit) -> Option<f64> {
    unit.of(&with.get(name)?.value)
}

/// Whether the engine can ask a check, with plain values for what it takes.
pub(crate) fn can_check(entry: &checks::Check) -> bool {
    let plain = |text: &str, place| Placed {
        value: Value::Text(text.to_owned()),
        place,
    };
    let place = Place::default();
    let required = entry.fields.iter().filter(|field| field.required);
    let within = entry
        .fields
        .iter()
        .filter(|field| entry.before && field.name == "within");
    let args = required.chain(within).map(|field| {
        let value = match field.slot {
            Slot::Number(Unit::Count) => Placed {
                value: Value::Int(1),
                place,
            },
            Slot::Number(unit) => plain(unit.example(), place),
            Slot::Signal => plain("kernel.oom_kill", place),
            Slot::Measure => plain("memory_used_ratio", place),
            Slot::OfMeasure => plain("50%", place),
            _ => plain("30s", place),
        };
        let name = Placed {
            value: field.name.to_owned(),
            place,
        };
        (name, value)
    });
    let args = Args(args.collect());
    let without = Args(
        args.0
            .iter()
            .filter(|(name, _)| name.value != "within")
            .cloned()
            .collect(),
    );
    entry.before && needs(entry.name, &args).is_some()
        || entry.after && compile(entry.name, &without).is_some()
}
