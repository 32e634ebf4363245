//! From a YAML file to a checked [`Playbook`]: strict, and every error has its place.
//!
//! A playbook that could be read two ways would one day be read the wrong way, as root-adjacent
//! software, at night. So unknown keys, a missing verification, missing limits and limits out
//! of range are errors with file, line and column.

mod wire;

use std::fmt;

use hostmedic_model::{
    playbook::{Check, Condition, Limits, Phase, Playbook, Remedy, VerifyPlan},
    time::Span,
};
use serde_saphyr::{Location, Spanned};
use sha2::{Digest, Sha256};

/// The only version of the playbook form that this code reads.
const SCHEMA: u32 = 1;
/// A step may not be waited for longer than this: an operator must hear of it before.
const WAIT_MAX: Span = Span::minutes(10);
/// A verification that takes longer says nothing about the step any more.
const VERIFY_WITHIN_MAX: Span = Span::minutes(60);
/// More attempts an hour than this is a loop, not a remedy.
const PER_HOUR_MAX: u32 = 12;

/// Why a file is no playbook, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PlaybookError {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for PlaybookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

/// Reads and checks one playbook. `file` is its name as errors should show it; the playbook's
/// `name` must equal the file's, so that a listing and an audit record agree.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(file: &str, text: &str) -> Result<Playbook, PlaybookError> {
    let raw: wire::Playbook = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        PlaybookError {
            file: file.to_owned(),
            line: place.map_or(1, |place| place.line()),
            column: place.map_or(1, |place| place.column()),
            message: one_line(&error.without_snippet().to_string()),
        }
    })?;
    Checker { file }.check(raw, text)
}

/// The library's text may span lines; ours is one line after the place.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Checker<'a> {
    file: &'a str,
}

impl Checker<'_> {
    fn check(&self, raw: wire::Playbook, text: &str) -> Result<Playbook, PlaybookError> {
        self.ensure(raw.schema.value == SCHEMA, &raw.schema, || {
            format!(
                "schema {} is unknown; this version reads schema {SCHEMA}",
                raw.schema.value
            )
        })?;
        let stem = self
            .file
            .rsplit('/')
            .next()
            .and_then(|name| name.split('.').next());
        self.ensure(stem == Some(raw.name.value.as_str()), &raw.name, || {
            format!(
                "name `{}` must equal the file's name without .yaml",
                raw.name.value
            )
        })?;
        self.ensure(raw.describe.value.trim().len() >= 20, &raw.describe, || {
            "describe must say in a sentence what this is for".to_owned()
        })?;
        self.ensure(!raw.trigger.value.is_empty(), &raw.trigger, || {
            "trigger must name at least one condition: an empty one would match everything"
                .to_owned()
        })?;
        let limits = self.limits(&raw.limits)?;
        let trigger = raw
            .trigger
            .value
            .into_iter()
            .map(|condition| self.condition(condition));
        let trigger = trigger.collect::<Result<Vec<_>, _>>()?;
        let remedy = match (raw.steps, raw.escalate, raw.verify) {
            (Some(steps), None, Some(verify)) => {
                self.ensure(!steps.value.is_empty(), &steps, || {
                    "steps must not be empty; use escalate where nothing may be done".to_owned()
                })?;
                let verify = self.verify(verify)?;
                let steps = steps.value.into_iter().map(|step| self.step(step));
                Remedy::Steps {
                    steps: steps.collect::<Result<_, _>>()?,
                    verify,
                }
            }
            (Some(steps), None, None) => {
                return Err(self.at(steps.referenced, "verify is missing: a playbook that acts must say how its success is told from its failure".to_owned()));
            }
            (None, Some(reason), None) => Remedy::Escalate(reason.value),
            (None, Some(reason), Some(_)) => {
                return Err(self.at(
                    reason.referenced,
                    "escalate does nothing that verify could check; remove verify".to_owned(),
                ));
            }
            (Some(_), Some(reason), _) => {
                return Err(self.at(
                    reason.referenced,
                    "a playbook has either steps or escalate, not both".to_owned(),
                ));
            }
            (None, None, _) => {
                return Err(self.at(
                    raw.name.referenced,
                    "steps (with verify) or escalate is missing".to_owned(),
                ));
            }
        };
        Ok(Playbook {
            name: raw.name.value,
            version: raw.version,
            describe: raw.describe.value.trim().to_owned(),
            trigger,
            remedy,
            limits,
            phase_max: raw.phase_max.unwrap_or(Phase::Autonomous),
            rollback: raw.rollback,
            sha256: hex::encode(Sha256::digest(text.as_bytes())),
        })
    }

    fn limits(&self, raw: &Spanned<wire::Limits>) -> Result<Limits, PlaybookError> {
        let wire::Limits {
            cooldown,
            per_unit_per_hour,
            per_slice_per_hour,
        } = raw.value;
        for (name, value) in [
            ("per_unit_per_hour", per_unit_per_hour),
            ("per_slice_per_hour", per_slice_per_hour),
        ] {
            self.ensure((1..=PER_HOUR_MAX).contains(&value), raw, || {
                format!("limits: {name} is {value}; it must lie in 1..={PER_HOUR_MAX}")
            })?;
        }
        self.ensure(cooldown >= Span::minutes(1), raw, || {
            format!("limits: cooldown is {cooldown}; under 1m it could not break a loop")
        })?;
        Ok(Limits {
            cooldown,
            per_unit_per_hour,
            per_slice_per_hour,
        })
    }

    fn verify(&self, raw: Spanned<wire::Verify>) -> Result<VerifyPlan, PlaybookError> {
        let place = raw.referenced;
        let wire::Verify {
            settle,
            within,
            checks,
        } = raw.value;
        if checks.is_empty() {
            return Err(self.at(
                place,
                "verify: checks must not be empty: nothing would be verified".to_owned(),
            ));
        }
        if settle.0.is_zero() || settle > within || within > VERIFY_WITHIN_MAX {
            return Err(self.at(place, format!(
                "verify: settle is {settle} and within is {within}; it must be 0 < settle <= within <= {VERIFY_WITHIN_MAX}"
            )));
        }
        for check in &checks {
            if let wire::Check::Below { below, .. } = check
                && !below.is_finite()
            {
                return Err(self.at(place, "verify: below must be a finite number".to_owned()));
            }
        }
        Ok(VerifyPlan {
            settle,
            within,
            checks: checks.into_iter().map(Check::from).collect(),
        })
    }

    fn condition(&self, raw: Spanned<wire::Condition>) -> Result<Condition, PlaybookError> {
        let place = raw.referenced;
        let condition = Condition::from(raw.value);
        let wrong = match &condition {
            Condition::Signal {
                at_least, within, ..
            }
            | Condition::Starts { at_least, within } => (*at_least == 0 || within.0.is_zero())
                .then_some(
                    "at_least and within must be above zero, else the condition always holds",
                ),
            Condition::UnitState {
                active,
                result,
                result_not,
                restart_policy,
            } => [
                active.is_empty(),
                result.is_empty(),
                result_not.is_empty(),
                restart_policy.is_empty(),
            ]
            .iter()
            .all(|empty| *empty)
            .then_some(
                "unit_state must name at least one of active, result, result_not, restart_policy",
            ),
            Condition::Above { limit, .. } => {
                (!limit.is_finite()).then_some("limit must be a finite number")
            }
        };
        wrong.map_or(Ok(condition), |why| {
            Err(self.at(place, format!("trigger: {why}")))
        })
    }

    fn step(
        &self,
        raw: Spanned<wire::Step>,
    ) -> Result<hostmedic_model::playbook::StepTemplate, PlaybookError> {
        let place = raw.referenced;
        let step = raw
            .value
            .into_template()
            .map_err(|why| self.at(place, format!("steps: {why}")))?;
        if step.wait_max.0.is_zero() || step.wait_max > WAIT_MAX {
            return Err(self.at(
                place,
                format!(
                    "steps: wait is {}; it must lie above 0 and at most {WAIT_MAX}",
                    step.wait_max
                ),
            ));
        }
        Ok(step)
    }

    fn ensure<T>(
        &self,
        holds: bool,
        place: &Spanned<T>,
        message: impl FnOnce() -> String,
    ) -> Result<(), PlaybookError> {
        if holds {
            Ok(())
        } else {
            Err(self.at(place.referenced, message()))
        }
    }

    fn at(&self, place: Location, message: String) -> PlaybookError {
        PlaybookError {
            file: self.file.to_owned(),
            line: place.line(),
            column: place.column(),
            message,
        }
    }
}

#[cfg(test)]
mod tests;
