//! The YAML form of a playbook, schema 1. Kept apart from the model, so that the file format
//! can stay while the model moves.

use hostmedic_model::{
    playbook::{
        Check as ModelCheck, Condition as ModelCondition, Phase, StepTemplate, Target, Verb,
    },
    sample::Measure,
    signal::SignalKind,
    time::Span,
    unit::ActiveState,
};
use serde::Deserialize;
use serde_saphyr::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Playbook {
    pub(super) schema: Spanned<u32>,
    pub(super) name: Spanned<String>,
    pub(super) version: u32,
    pub(super) describe: Spanned<String>,
    pub(super) trigger: Spanned<Vec<Spanned<Condition>>>,
    pub(super) steps: Option<Spanned<Vec<Spanned<Step>>>>,
    pub(super) escalate: Option<Spanned<String>>,
    pub(super) verify: Option<Spanned<Verify>>,
    pub(super) limits: Spanned<Limits>,
    pub(super) phase_max: Option<Phase>,
    pub(super) rollback: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) cooldown: Span,
    pub(super) per_unit_per_hour: u32,
    pub(super) per_slice_per_hour: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    pub(super) settle: Span,
    pub(super) within: Span,
    pub(super) checks: Vec<Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Check {
    UnitActive,
    NewInvocation,
    ClosureRestored,
    NoSignal(SignalKind),
    #[serde(rename = "measure")]
    Below {
        measure: Measure,
        below: f64,
    },
}

impl From<Check> for ModelCheck {
    fn from(check: Check) -> Self {
        match check {
            Check::UnitActive => Self::UnitActive,
            Check::NewInvocation => Self::NewInvocation,
            Check::ClosureRestored => Self::ClosureRestored,
            Check::NoSignal(kind) => Self::NoSignal(kind),
            Check::Below { measure, below } => Self::Below {
                measure,
                limit: below,
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Condition {
    Signal {
        kind: SignalKind,
        #[serde(default = "one")]
        at_least: u32,
        within: Span,
    },
    UnitState {
        #[serde(default)]
        active: Vec<ActiveState>,
        #[serde(default)]
        result: Vec<String>,
        #[serde(default)]
        result_not: Vec<String>,
        #[serde(default)]
        restart_policy: Vec<String>,
    },
    Starts {
        at_least: u32,
        within: Span,
    },
    #[serde(rename = "measure")]
    Above {
        measure: Measure,
        above: f64,
    },
}

fn one() -> u32 {
    1
}

impl From<Condition> for ModelCondition {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Signal {
                kind,
                at_least,
                within,
            } => Self::Signal {
                kind,
                at_least,
                within,
            },
            Condition::UnitState {
                active,
                result,
                result_not,
                restart_policy,
            } => Self::UnitState {
                active,
                result,
                result_not,
                restart_policy,
            },
            Condition::Starts { at_least, within } => Self::Starts { at_least, within },
            Condition::Above { measure, above } => Self::Above {
                measure,
                limit: above,
            },
        }
    }
}

/// One step: a verb on the incident's unit, or a shipped action.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// A verb on the incident's own unit.
    unit: Option<Verb>,
    /// A shipped action, by name: starts `hostmedic-<name>@<instance>.service`.
    action: Option<String>,
    wait: Span,
}

impl Step {
    pub(super) fn into_template(self) -> Result<StepTemplate, String> {
        let wait_max = self.wait;
        match (self.unit, self.action) {
            (Some(verb), None) => Ok(StepTemplate {
                verb,
                target: Target::Subject,
                wait_max,
            }),
            (None, Some(action)) => {
                let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if action.is_empty() || !action.chars().all(legal) {
                    return Err(format!("action `{action}` must be made of a-z, 0-9 and -"));
                }
                Ok(StepTemplate {
                    verb: Verb::Start,
                    target: Target::Action(action),
                    wait_max,
                })
            }
            _ => Err("a step has exactly one of `unit: <verb>` and `action: <name>`".to_owned()),
        }
    }
}
