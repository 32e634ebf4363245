//! The trigger as a whole: its groups, and the ways in which they come to hold.

use hostmedic_model::playbook::{Condition, RiskClass};

use super::{Judge, ways::Ways};
use crate::playbook::{
    placed::{Placed, PlacedList},
    wire,
};

/// Groups within groups beyond this nobody can read.
const DEPTH_MAX: usize = 4;

impl Judge<'_> {
    /// The conditions of `all` and `any`, and those of `none`.
    pub(super) fn trigger(
        &mut self,
        trigger: &Placed<wire::Trigger>,
        class: RiskClass,
    ) -> (Vec<Condition>, Vec<Condition>) {
        let (all, any) = (trigger.all.as_ref(), trigger.any.as_ref());
        if all.is_none() && any.is_none() {
            self.findings.error_help(
                "missing-key",
                trigger.place,
                "a trigger needs `all` or `any`: without a condition it would match everything",
                "such as `all: [{signal: kernel.oom_kill, within: 2min}]`",
            );
        }
        let mut conditions = Vec::new();
        let mut ways = Ways::certain();
        if let Some(all) = all {
            for condition in self.members("all", all) {
                let (condition, way) = self.grouped(condition, true, 1);
                conditions.extend(condition);
                ways = ways.and(&way);
            }
        }
        if let Some(any) = any {
            let (condition, way) = self.any(any, true, 1);
            conditions.push(condition);
            ways = ways.and(&way);
        }
        let mut none = Vec::new();
        for condition in &trigger.none {
            none.extend(self.exception(condition));
        }
        self.enough_witnesses(&ways, trigger.place, class);
        (conditions, none)
    }

    /// One condition of `none`.
    pub(super) fn exception(&mut self, condition: &Placed<wire::Condition>) -> Vec<Condition> {
        let (conditions, _) = self.grouped(condition, false, 1);
        together(conditions).into_iter().collect()
    }

    /// The members of a group, which must have some.
    fn members<'d>(
        &mut self,
        key: &str,
        list: &'d PlacedList<wire::Condition>,
    ) -> &'d [Placed<wire::Condition>] {
        if list.value.is_empty() {
            self.findings.error(
                "empty",
                list.place,
                format!("`{key}` must name at least one condition: an empty one says nothing"),
            );
        }
        &list.value
    }

    fn any(
        &mut self,
        list: &PlacedList<wire::Condition>,
        happens: bool,
        depth: usize,
    ) -> (Condition, Ways) {
        let mut conditions = Vec::new();
        let mut ways = Ways::default();
        for member in self.members("any", list) {
            let (condition, way) = self.grouped(member, happens, depth + 1);
            conditions.extend(together(condition));
            ways = ways.or(way.at(member.place));
        }
        (Condition::Any(conditions), ways)
    }

    /// A condition or a group of them, and the ways in which it comes to hold. `happens`: it is
    /// asked for, and not its absence.
    fn grouped(
        &mut self,
        condition: &Placed<wire::Condition>,
        happens: bool,
        depth: usize,
    ) -> (Vec<Condition>, Ways) {
        let wire::Condition { all, any, none, .. } = &condition.value;
        let group = match (all, any, none) {
            (None, None, None) => {
                if happens {
                    self.bind(&condition.bind);
                } else if let Some((key, _)) = condition.bind.0.first() {
                    self.findings.error(
                        "bind",
                        key.place,
                        "what does not happen cannot be bound to a name",
                    );
                }
                let (conditions, witness) = self.condition(condition);
                return (conditions, Ways::one(witness));
            }
            (Some(list), None, None) => ("all", list),
            (None, Some(list), None) => ("any", list),
            (None, None, Some(list)) => ("none", list),
            _ => {
                self.findings.error(
                    "condition",
                    condition.place,
                    "a group has exactly one of `all`, `any` and `none`",
                );
                return (Vec::new(), Ways::certain());
            }
        };
        let (name, list) = group;
        self.nothing_beside(name, condition);
        if depth > DEPTH_MAX {
            self.findings.error(
                "condition",
                list.place,
                format!("more than {DEPTH_MAX} groups within each other: nobody can read that"),
            );
            return (Vec::new(), Ways::certain());
        }
        match name {
            "any" => {
                let (condition, ways) = self.any(list, happens, depth);
                (vec![condition], ways)
            }
            "all" => {
                let mut conditions = Vec::new();
                let mut ways = Ways::certain();
                for member in self.members(name, list) {
                    let (condition, way) = self.grouped(member, happens, depth + 1);
                    conditions.extend(condition);
                    ways = ways.and(&way);
                }
                (vec![Condition::All(conditions)], ways)
            }
            _ => {
                let mut conditions = Vec::new();
                for member in self.members(name, list) {
                    let (condition, _) = self.grouped(member, false, depth + 1);
                    conditions.extend(together(condition));
                }
                // What is not so is nobody's word.
                (vec![Condition::None(conditions)], Ways::certain())
            }
        }
    }

    /// A group takes no values of its own.
    fn nothing_beside(&mut self, group: &str, condition: &Placed<wire::Condition>) {
        let single = [&condition.signal, &condition.state, &condition.measure];
        let single = single.into_iter().flatten().map(|name| name.place).next();
        if let Some(place) = single {
            self.findings.error(
                "condition",
                place,
                format!("a condition stands in the group `{group}`, not beside it"),
            );
        }
        self.allowed(group, condition, &[]);
    }
}

/// Conditions that stand for one of the file: more than one hold together.
fn together(mut conditions: Vec<Condition>) -> Option<Condition> {
    if conditions.len() > 1 {
        return Some(Condition::All(conditions));
    }
    conditions.pop()
}
