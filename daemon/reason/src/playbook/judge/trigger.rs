//! Single conditions of a trigger, and what they bind.

use hostmedic_model::{playbook::Condition, time::Span, unit::ActiveState};

use super::{Bound, Judge, filter::filter, ways::Said};
use crate::playbook::{
    placed::{Args, Placed},
    quantity::Unit,
    registry::{Witness, find, measures, nearest, signals, states},
    wire::{self, TargetKind},
};

/// Signals are kept for a while only; a trigger cannot look further back.
const WITHIN_MAX: Span = Span::minutes(24 * 60);
/// What has to be so for longer than this is no matter for a trigger.
const HELD_MAX: Span = Span::minutes(24 * 60);
/// What `bind` can name, its kind, and whether it is the incident's subject.
const PATHS: [(&str, TargetKind, bool); 10] = [
    ("event.unit", TargetKind::Unit, true),
    ("event.mount", TargetKind::Mount, true),
    ("event.device", TargetKind::Device, true),
    ("event.interface", TargetKind::Interface, true),
    ("event.slice", TargetKind::Unit, false),
    ("event.offender", TargetKind::Unit, false),
    ("event.parent", TargetKind::Unit, false),
    ("event.holder", TargetKind::Unit, false),
    ("event.mount_device", TargetKind::Device, false),
    ("event.consumer", TargetKind::Unit, false),
];

impl Judge<'_> {
    pub(super) fn bind(&mut self, args: &Args) {
        for (name, path) in &args.0 {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(legal) {
                let message = format!("`{}` is no name for a binding: a-z 0-9 _ only", name.value);
                self.findings.error("wrong-name", name.place, message);
                continue;
            }
            let Some(text) = self.plain_text(path) else {
                continue;
            };
            match PATHS.iter().find(|(known, ..)| *known == text) {
                Some((_, kind, subject)) => {
                    let bound = Bound {
                        kind: *kind,
                        subject: *subject,
                    };
                    if !*subject {
                        self.miss(format!("binding {text}"));
                    }
                    let before = self.bound.insert(name.value.clone(), bound);
                    if before.is_some_and(|before| before != bound) {
                        let message = format!("`{}` is bound to two different things", name.value);
                        self.findings.error("bind", name.place, message);
                    }
                }
                None => {
                    let help = nearest(PATHS.iter().map(|(path, ..)| *path), &text).map_or_else(
                        || format!("it can be: {}", PATHS.map(|(path, ..)| path).join(", ")),
                        |meant| format!("did you mean `{meant}`?"),
                    );
                    let message = format!("nothing of an event is called `{text}`");
                    self.findings
                        .error_help("unknown-name", path.place, message, help);
                }
            }
        }
    }

    /// One condition of the file as the engine's conditions, and who says so.
    pub(super) fn condition(
        &mut self,
        condition: &Placed<wire::Condition>,
    ) -> (Vec<Condition>, Option<Said>) {
        let wire::Condition {
            signal,
            state,
            measure,
            fields,
            held_for,
            ..
        } = &condition.value;
        let (conditions, witness) = match (signal, state, measure) {
            (Some(name), None, None) => {
                self.allowed("signal", condition, &["at_least", "within", "where"]);
                let (conditions, witness) = self.signal(condition, name);
                (conditions, witness.map(|witness| (witness, "")))
            }
            (None, Some(name), None) => {
                self.allowed("state", condition, &["where", "for"]);
                (self.state(name, fields), Some((Witness::Reading, "")))
            }
            (None, None, Some(name)) => {
                self.allowed("measure", condition, &["above", "below", "for"]);
                let entry = find(measures::ALL, name);
                let source = entry.map(|entry| (Witness::Series, entry.source()));
                (self.measure(condition, name), source)
            }
            _ => {
                self.findings.error(
                    "condition",
                    condition.place,
                    "a condition has exactly one of `signal`, `state` and `measure`, or is a group of `all`, `any` or `none`",
                );
                return (Vec::new(), None);
            }
        };
        let Some(span) = held_for.as_ref().filter(|_| signal.is_none()) else {
            return (conditions, witness);
        };
        if span.0.0.is_zero() || span.0 > HELD_MAX {
            let message = format!(
                "`for` is {}; it must lie above 0 and at most {HELD_MAX}",
                span.0
            );
            self.findings.error("range", span.place, message);
        }
        let held = conditions.into_iter().map(|condition| match condition {
            unseen @ Condition::Unseen(_) => unseen,
            condition => Condition::Held {
                condition: Box::new(condition),
                span: span.0,
            },
        });
        (held.collect(), witness)
    }

    /// Only these keys mean something beside `kind`.
    pub(super) fn allowed(
        &mut self,
        kind: &str,
        condition: &Placed<wire::Condition>,
        allowed: &[&str],
    ) {
        let wire::Condition {
            at_least,
            within,
            fields,
            above,
            below,
            held_for,
            bind,
            ..
        } = &condition.value;
        let is_group = allowed.is_empty();
        let first = |args: &Args| args.0.first().map(|(key, _)| key.place);
        for (key, place) in [
            ("at_least", at_least.as_ref().map(|value| value.place)),
            ("within", within.as_ref().map(|value| value.place)),
            ("where", first(fields)),
            ("above", above.as_ref().map(|value| value.place)),
            ("below", below.as_ref().map(|value| value.place)),
            ("for", held_for.as_ref().map(|value| value.place)),
            ("bind", first(bind).filter(|_| is_group)),
        ] {
            if let Some(place) = place
                && !allowed.contains(&key)
            {
                let message = format!("`{key}` means nothing beside `{kind}`");
                self.findings.error("condition", place, message);
            }
        }
    }

    fn signal(
        &mut self,
        condition: &Placed<wire::Condition>,
        name: &Placed<String>,
    ) -> (Vec<Condition>, Option<Witness>) {
        let Some(entry) = self.entry("signal", signals::ALL, name, name.place) else {
            return (Vec::new(), None);
        };
        self.slots(
            &format!("signal {}", entry.name),
            entry.fields,
            &condition.fields,
            name.place,
        );
        let at_least = condition.at_least.as_ref().map_or(1, |count| count.value);
        if at_least == 0 {
            self.findings
                .error("always", condition.place, "`at_least: 0` always holds");
        }
        let within = match &condition.within {
            Some(within) if within.0.0.is_zero() || within.0 > WITHIN_MAX => {
                self.findings.error(
                    "range",
                    within.place,
                    format!(
                        "`within` is {}; it must lie above 0 and at most {WITHIN_MAX}",
                        within.0
                    ),
                );
                return (Vec::new(), Some(entry.witness));
            }
            Some(within) => within.0,
            None => {
                self.findings.error_help(
                    "missing-key",
                    name.place,
                    "a signal needs `within`: how long ago it may have been",
                    "such as `within: 2min`",
                );
                return (Vec::new(), Some(entry.witness));
            }
        };
        let mut conditions = Vec::new();
        if let Some(kind) = entry.kind() {
            let only = filter(kind, &condition.fields);
            let is_read = only.is_some() || entry.name == signals::STATE;
            if !condition.fields.0.is_empty() && !is_read {
                conditions.push(self.unseen(format!("`where` on signal {}", entry.name)));
            }
            conditions.push(Condition::Signal {
                kind,
                at_least,
                within,
                only,
            });
        } else if entry.counts_starts() {
            conditions.push(Condition::Starts { at_least, within });
        } else {
            conditions.push(self.unseen(format!("signal {}", entry.name)));
        }
        if !condition.fields.0.is_empty() {
            if entry.name == signals::STATE {
                conditions.push(self.unit_state(&condition.fields));
            } else if entry.kind().is_none() {
                conditions.push(self.unseen(format!("`where` on signal {}", entry.name)));
            }
        }
        (conditions, Some(entry.witness))
    }

    fn state(&mut self, name: &Placed<String>, fields: &Args) -> Vec<Condition> {
        let Some(entry) = self.entry("state", states::ALL, name, name.place) else {
            return Vec::new();
        };
        self.slots(
            &format!("state {}", entry.name),
            entry.fields,
            fields,
            name.place,
        );
        if fields.0.is_empty() {
            let known: Vec<_> = entry.fields.iter().map(|field| field.name).collect();
            self.findings.error_help(
                "always",
                name.place,
                format!("state {} without `where` always holds", entry.name),
                format!("ask for at least one of: {}", known.join(", ")),
            );
            return Vec::new();
        }
        if entry.name == states::UNIT {
            vec![self.unit_state(fields)]
        } else {
            vec![self.unseen(format!("state {}", entry.name))]
        }
    }

    fn unit_state(&mut self, fields: &Args) -> Condition {
        let words = |name: &str| fields.texts(name).into_iter().map(str::to_owned).collect();
        Condition::UnitState {
            active: fields
                .texts("active_state")
                .into_iter()
                .map(ActiveState::parse)
                .collect(),
            result: words("result"),
            result_not: words("result_not"),
            restart_policy: words("restart_policy"),
        }
    }

    fn measure(
        &mut self,
        condition: &Placed<wire::Condition>,
        name: &Placed<String>,
    ) -> Vec<Condition> {
        let Some(entry) = self.entry("measure", measures::ALL, name, name.place) else {
            return Vec::new();
        };
        let limit = match (&condition.above, &condition.below) {
            (Some(limit), None) | (None, Some(limit)) => self.number(limit, entry.unit),
            _ => {
                self.findings.error_help(
                    "condition",
                    name.place,
                    "a measure needs exactly one of `above` and `below`",
                    format!("such as `above: {}`", entry.unit.example()),
                );
                None
            }
        };
        let Some(limit) = limit else {
            return Vec::new();
        };
        if entry.unit == Unit::Ratio && limit > 1.0 {
            let message = format!("{} is never above 100%", entry.name);
            self.findings.error("range", name.place, message);
        }
        match entry.model() {
            Some(measure) if condition.above.is_some() => {
                vec![Condition::Above { measure, limit }]
            }
            Some(measure) => vec![Condition::Below { measure, limit }],
            None => vec![self.unseen(format!("measure {}", entry.name))],
        }
    }

    fn unseen(&mut self, what: String) -> Condition {
        self.miss(what.clone());
        Condition::Unseen(what)
    }
}
