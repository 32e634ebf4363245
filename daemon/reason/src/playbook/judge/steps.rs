//! Steps and rollback: what they do, how dangerous that is, and whether it can be taken back.

use std::collections::BTreeSet;

use hostmedic_model::{
    playbook::{RiskClass, StepTemplate, Target},
    property::{Aim, Amount, Property, Setting},
    subject::UnitName,
    time::Span,
};

use super::{Judge, checks::number, slots::binding};
use crate::{
    playbook::{
        placed::{Placed, PlacedList},
        registry::{
            Slot,
            steps::{self, Inverse},
        },
        wire::{self, FailAction, OnFailure, TargetKind},
    },
    setting,
};

/// A step may not be waited for longer than this: an operator must hear of it before.
const WAIT_MAX: Span = Span::minutes(10);
/// What a step is waited for unless it says otherwise.
const WAIT: Span = Span::secs(60);
/// More steps than this are no remedy but a program.
const STEPS_MAX: usize = 12;

/// What the steps of a playbook come to.
pub(super) struct Plan {
    /// The engine's steps; `None` if there is one that it cannot do.
    pub(super) steps: Option<Vec<StepTemplate>>,
    /// The class of the most dangerous step.
    pub(super) class: RiskClass,
    /// The first step that cannot be undone, and why.
    pub(super) impossible: Option<(&'static str, &'static str)>,
    /// The first step that twice is not as good as once, and why.
    pub(super) not_idempotent: Option<(&'static str, &'static str)>,
    /// Whether a step may stop units that need the target.
    pub(super) may_stop_others: bool,
}

impl Judge<'_> {
    /// Checks the steps and gives what they come to.
    pub(super) fn steps(&mut self, list: &PlacedList<wire::Step>) -> Plan {
        let mut plan = Plan {
            steps: Some(Vec::new()),
            class: RiskClass::ReadOnly,
            impossible: None,
            not_idempotent: None,
            may_stop_others: false,
        };
        if list.value.is_empty() || list.value.len() > STEPS_MAX {
            self.findings.error_help(
                "empty",
                list.place,
                format!(
                    "there are {} steps; 1 to {STEPS_MAX} make a remedy",
                    list.value.len()
                ),
                "leave `steps` out where nothing may be done by a machine",
            );
        }
        let mut ids = BTreeSet::new();
        for step in &list.value {
            self.step_id(&step.id, &mut ids);
            let Some(entry) = self.entry("step", steps::ALL, &step.uses, step.uses.place) else {
                plan.steps = None;
                continue;
            };
            if entry.name == steps::UNDO {
                self.findings.error(
                    "undo",
                    step.uses.place,
                    format!("{} stands in `rollback` only", steps::UNDO),
                );
            }
            let what = format!("step {}", entry.name);
            self.slots(&what, entry.fields, &step.with, step.uses.place);
            plan.class = plan.class.max(entry.class);
            if let Inverse::Impossible(why) = entry.inverse {
                plan.impossible.get_or_insert((entry.name, why));
            }
            if !entry.idempotent.0 {
                plan.not_idempotent
                    .get_or_insert((entry.name, entry.idempotent.1));
            }
            plan.may_stop_others |= entry.may_stop_others();
            let wait_max = self.wait(step.timeout.as_ref());
            let on_failure = step.on_failure.as_ref().map(|action| action.value);
            if on_failure == Some(OnFailure::Continue) {
                self.miss("step `on_failure: continue`");
            }
            let set = entry
                .property()
                .and_then(|property| self.aim(property, entry, step));
            match (entry.call(), self.step_target(entry, step)) {
                (Some(verb), Some(target)) => {
                    if let Some(steps) = &mut plan.steps {
                        steps.push(StepTemplate {
                            verb,
                            target,
                            wait_max,
                            set,
                            inverse: entry.way_back(),
                            undo_on_failure: on_failure == Some(OnFailure::Rollback),
                        });
                    }
                }
                (None, _) => {
                    self.miss(what);
                    plan.steps = None;
                }
                (Some(_), None) => plan.steps = None,
            }
        }
        // Guards look at one target; a plan that touches two would pass half unguarded.
        if let Some(steps) = &plan.steps
            && steps.iter().any(|step| step.target != steps[0].target)
        {
            self.miss("steps on more than one unit");
            plan.steps = None;
        }
        plan
    }

    /// What a step sets; a value that no unit could run with is an error.
    fn aim(&mut self, property: Property, entry: &steps::Step, step: &wire::Step) -> Option<Aim> {
        let given = |name: &str| {
            let field = entry.fields.iter().find(|field| field.name == name)?;
            let Slot::Number(unit) = field.slot else {
                return None;
            };
            Some((number(&step.with, name, unit)?, step.with.get(name)?.place))
        };
        let (to, wrong, place) = if let Some((to, place)) = given("to") {
            // systemd counts a quota in microseconds of each second.
            let in_its_unit = if property == Property::CpuQuota {
                1_000_000.0
            } else {
                1.0
            };
            let to = to * in_its_unit;
            let wrong = if property != Property::CpuQuota && to.fract() != 0.0 {
                Err(format!("{to} is no whole number"))
            } else {
                setting::within_bounds(property, Setting(to.round() as u64))
            };
            (Amount::To(Setting(to.round() as u64)), wrong, place)
        } else {
            let (share, place) = given("of_current")?;
            let wrong = setting::share_within_bounds(property, share);
            (Amount::OfCurrent(share), wrong, place)
        };
        if let Err(why) = wrong {
            self.findings.error("range", place, why);
        }
        Some(Aim { property, to })
    }

    fn step_id(&mut self, id: &Placed<String>, ids: &mut BTreeSet<String>) {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if id.is_empty() || !id.chars().all(legal) {
            let message = format!("`{}` is no id of a step: a-z 0-9 _ - only", id.value);
            self.findings.error("wrong-name", id.place, message);
        }
        if !ids.insert(id.value.clone()) {
            let message = format!("two steps are called `{}`", id.value);
            self.findings.error("duplicate-id", id.place, message);
        }
    }

    fn wait(&mut self, timeout: Option<&Placed<crate::playbook::quantity::Duration>>) -> Span {
        let Some(timeout) = timeout else {
            return WAIT;
        };
        let wait = timeout.0;
        if wait.0.is_zero() || wait > WAIT_MAX {
            self.findings.error(
                "range",
                timeout.place,
                format!("`timeout` is {wait}; it must lie above 0 and at most {WAIT_MAX}"),
            );
        }
        wait
    }

    /// On what the engine would carry the step out; `None` if it cannot resolve that.
    fn step_target(&mut self, entry: &steps::Step, step: &wire::Step) -> Option<Target> {
        if let steps::Privilege::Action(name) = entry.privilege {
            return Some(Target::Action(name.to_owned()));
        }
        let text = step.with.text("unit")?;
        let Some(name) = binding(text) else {
            return UnitName::new(text).ok().map(Target::Unit);
        };
        let bound = self.bound.get(name).copied()?;
        if bound.kind == TargetKind::Unit && bound.subject {
            Some(Target::Subject)
        } else {
            self.miss(format!("step on binding `{name}`"));
            None
        }
    }

    /// What says `rollback` must have something to take back.
    pub(super) fn rollback_is_there(
        &mut self,
        rollback: &Placed<wire::Rollback>,
        list: &PlacedList<wire::Step>,
        verify: Option<&Placed<wire::Verify>>,
    ) {
        let of_steps = list
            .value
            .iter()
            .filter_map(|step| step.on_failure.as_ref());
        let asking = of_steps.filter(|action| action.value == OnFailure::Rollback);
        let checks = verify.into_iter().flat_map(|verify| &verify.all.value);
        let of_checks = checks
            .map(|check| &check.fail_action)
            .filter(|action| action.value == FailAction::Rollback);
        let place = asking
            .map(|action| action.place)
            .chain(of_checks.map(|action| action.place))
            .next();
        if let (Some(place), true) = (place, rollback.none.is_some()) {
            self.findings.error_help(
                "rollback",
                place,
                "there is nothing to take back: `rollback` says `none`",
                "write `escalate`",
            );
        }
    }

    /// Checks the rollback against the steps; gives it in words.
    pub(super) fn rollback(
        &mut self,
        rollback: &Placed<wire::Rollback>,
        plan: &Plan,
        list: &PlacedList<wire::Step>,
    ) -> String {
        let (steps, none) = match (&rollback.steps, &rollback.none) {
            (Some(steps), None) => (steps, None),
            (None, Some(none)) => {
                self.sentence("rollback: none", none, 10);
                (list, Some(none))
            }
            _ => {
                self.findings.error_help(
                    "rollback",
                    rollback.place,
                    "a rollback has exactly one of `steps` and `none`",
                    "`none: why nothing can or need be undone`",
                );
                return String::new();
            }
        };
        if let Some(none) = none {
            let undoable = list.value.iter().find_map(|step| {
                let entry = crate::playbook::registry::find(steps::ALL, &step.uses)?;
                matches!(entry.inverse, Inverse::PriorValue).then_some(entry.name)
            });
            if let Some(name) = undoable {
                self.findings.error_help(
                    "rollback",
                    none.place,
                    format!("{name} records its prior value, so it can be undone"),
                    "`steps: [{id: undo, uses: undo.journal}]`",
                );
            }
            return none.value.trim().to_owned();
        }
        let mut ids = BTreeSet::new();
        let mut words = Vec::new();
        for step in &steps.value {
            self.step_id(&step.id, &mut ids);
            let Some(entry) = self.entry("step", steps::ALL, &step.uses, step.uses.place) else {
                continue;
            };
            let what = format!("step {}", entry.name);
            self.slots(&what, entry.fields, &step.with, step.uses.place);
            if entry.class > plan.class {
                self.findings.error(
                    "rollback",
                    step.uses.place,
                    format!("{} is more dangerous than what it would undo", entry.name),
                );
            }
            if entry.name == steps::UNDO
                && let Some((name, why)) = plan.impossible
            {
                self.findings.error_help(
                    "rollback",
                    step.uses.place,
                    format!("{name} has no inverse that could be replayed: {why}"),
                    "say so: `rollback: {none: ...}`",
                );
            }
            if entry.name != steps::UNDO {
                self.miss(format!("rollback step {}", entry.name));
            }
            words.push(entry.says);
        }
        if steps.value.is_empty() {
            self.findings
                .error("empty", steps.place, "`rollback: steps` is empty");
        }
        words.join("; ")
    }
}
