//! Values against the typed slots that take them.

use hostmedic_model::subject::UnitName;

use super::Judge;
use crate::playbook::{
    placed::{Args, Place, Placed, Value},
    quantity::Unit,
    registry::{Field, Slot, measures, nearest, signals},
    wire::TargetKind,
};

/// Words that YAML 1.1 takes for truth values or nothing.
const AMBIGUOUS: [&str; 10] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~",
];

/// The name in `{{ name }}`.
pub(super) fn binding(text: &str) -> Option<&str> {
    let name = text.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!name.is_empty() && name.chars().all(legal)).then_some(name)
}

impl Judge<'_> {
    /// Checks named values against the fields that take them. `what` is said in findings.
    pub(super) fn slots(&mut self, what: &str, fields: &[Field], args: &Args, place: Place) {
        for (key, value) in &args.0 {
            match fields.iter().find(|field| field.name == key.value) {
                Some(field) => self.slot(field, value, args),
                None => {
                    let known = fields.iter().map(|field| field.name);
                    let help = nearest(known.clone(), key).map_or_else(
                        || match known.collect::<Vec<_>>() {
                            none if none.is_empty() => format!("{what} takes no values"),
                            some => format!("{what} takes: {}", some.join(", ")),
                        },
                        |meant| format!("did you mean `{meant}`?"),
                    );
                    let message = format!("{what} takes no `{}`", key.value);
                    self.findings
                        .error_help("unknown-key", key.place, message, help);
                }
            }
        }
        for field in fields.iter().filter(|field| field.required) {
            if args.get(field.name).is_none() {
                let help = format!("such as `{}: {}`", field.name, example(field.slot));
                let message = format!("{what} needs `{}`", field.name);
                self.findings
                    .error_help("missing-key", place, message, help);
            }
        }
        let choice: Vec<_> = ["to", "of_current"]
            .into_iter()
            .filter(|name| {
                fields
                    .iter()
                    .any(|field| field.name == *name && !field.required)
            })
            .collect();
        if choice.len() == 2
            && choice
                .iter()
                .filter(|name| args.get(name).is_some())
                .count()
                != 1
        {
            self.findings.error(
                "missing-key",
                place,
                format!("{what} needs exactly one of `to` and `of_current`"),
            );
        }
    }

    fn slot(&mut self, field: &Field, value: &Placed<Value>, args: &Args) {
        match field.slot {
            Slot::SystemdUnit => self.named(value, Some(TargetKind::Unit), |text| {
                UnitName::new(text)
                    .map(|_| ())
                    .map_err(|error| error.to_string())
            }),
            Slot::Path => self.named(value, Some(TargetKind::Mount), |text| {
                let sane = text.starts_with('/') && !text.split('/').any(|part| part == "..");
                if sane {
                    Ok(())
                } else {
                    Err(format!("`{text}` is no absolute path"))
                }
            }),
            Slot::Name => self.named(value, None, |text| {
                let legal = |c: char| c.is_ascii_alphanumeric() || "._:@-".contains(c);
                if !text.is_empty() && text.len() <= 128 && text.chars().all(legal) {
                    Ok(())
                } else {
                    Err(format!("`{text}` is no name: a-z A-Z 0-9 . _ : @ - only"))
                }
            }),
            Slot::Span => _ = self.number(value, Unit::Seconds),
            Slot::Number(unit) => _ = self.number(value, unit),
            Slot::Flag => {
                if let Value::Bool(flag) = value.value {
                    self.flag(&Placed {
                        value: flag,
                        place: value.place,
                    });
                } else {
                    let message = format!("`{}` is neither true nor false", value.value);
                    self.findings.error("wrong-type", value.place, message);
                }
            }
            Slot::Word(words) => self.word(value, words),
            Slot::Words(words) => match &value.value {
                Value::List(values) if values.is_empty() => {
                    let message =
                        format!("`{}` is an empty list: it would fit nothing", field.name);
                    self.findings.error("empty", value.place, message);
                }
                Value::List(values) => {
                    for value in values {
                        self.word(value, words);
                    }
                }
                _ => self.word(value, words),
            },
            Slot::Signal => {
                if let Some(name) = self.plain_text(value) {
                    self.entry("signal", signals::ALL, &name, value.place);
                }
            }
            Slot::Measure => {
                if let Some(name) = self.plain_text(value) {
                    self.entry("measure", measures::ALL, &name, value.place);
                }
            }
            Slot::OfMeasure => {
                let measure = args
                    .text("measure")
                    .and_then(|name| measures::ALL.iter().find(|measure| measure.name == name));
                if let Some(measure) = measure {
                    self.number(value, measure.unit);
                }
            }
        }
    }

    /// A name of the world: a literal that `legal` accepts, or a binding of this kind.
    fn named(
        &mut self,
        value: &Placed<Value>,
        kind: Option<TargetKind>,
        legal: impl Fn(&str) -> Result<(), String>,
    ) {
        let Some(text) = self.plain_text(value) else {
            return;
        };
        if text.contains("{{") || text.contains("}}") {
            self.binding_of(&text, kind, value.place);
        } else if let Err(why) = legal(&text) {
            self.findings.error("wrong-name", value.place, why);
        }
    }

    /// Checks that a binding is known and of this kind; gives its name.
    pub(super) fn binding_of(
        &mut self,
        text: &str,
        kind: Option<TargetKind>,
        place: Place,
    ) -> Option<String> {
        let Some(name) = binding(text) else {
            self.findings.error_help(
                "template",
                place,
                format!("`{text}` is no binding"),
                "only a whole value can be bound, and only to a name: \"{{ unit }}\"",
            );
            return None;
        };
        let Some(bound) = self.bound.get(name).copied() else {
            let help = nearest(self.bound.keys().map(String::as_str), name).map_or_else(
                || format!("bind it in the trigger: `bind: {{{name}: event.unit}}`"),
                |meant| format!("did you mean `{{{{ {meant} }}}}`?"),
            );
            let message = format!("nothing binds `{name}`");
            self.findings.error_help("unbound", place, message, help);
            return None;
        };
        if let Some(kind) = kind
            && bound.kind != kind
        {
            self.findings.error(
                "wrong-type",
                place,
                format!(
                    "`{name}` names a {}, and a {} is needed here",
                    bound.kind.word(),
                    kind.word()
                ),
            );
            return None;
        }
        Some(name.to_owned())
    }

    fn word(&mut self, value: &Placed<Value>, words: &'static [&'static str]) {
        let Some(text) = self.plain_text(value) else {
            return;
        };
        if !words.contains(&text.as_str()) {
            let help = nearest(words.iter().copied(), &text).map_or_else(
                || format!("it can be: {}", words.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            let message = format!("`{text}` is not one of the words that can stand here");
            self.findings
                .error_help("unknown-word", value.place, message, help);
        }
    }

    /// The text of a value that must be text, and must be so for every reader of YAML.
    pub(super) fn plain_text(&mut self, value: &Placed<Value>) -> Option<String> {
        let raw = self.raw(value.place).to_owned();
        let quoted = raw.starts_with(['"', '\'', '|', '>']);
        match &value.value {
            Value::Bool(_) | Value::Text(_)
                if !quoted && AMBIGUOUS.contains(&raw.to_ascii_lowercase().as_str()) =>
            {
                self.findings.error_help(
                    "ambiguous-text",
                    value.place,
                    format!("`{raw}` without quotes is a truth value to some readers of YAML"),
                    format!("write \"{raw}\""),
                );
                None
            }
            Value::Text(text) => Some(text.clone()),
            other => {
                let message = format!("`{other}` is not text");
                self.findings.error("wrong-type", value.place, message);
                None
            }
        }
    }

    /// A truth value must be written as one: `yes` and `on` are words to other readers.
    pub(super) fn flag(&mut self, flag: &Placed<bool>) {
        let raw = self.raw(flag.place);
        if !["true", "false"].contains(&raw) {
            let message = format!("`{raw}` is a truth value to some readers of YAML only");
            let help = format!("write {}", flag.value);
            self.findings
                .error_help("ambiguous-text", flag.place, message, help);
        }
    }

    /// What stands at a place.
    fn raw(&self, place: Place) -> &str {
        self.text.get(place.start..place.end).unwrap_or_default()
    }

    /// A number in this unit; what lacks its unit is an error.
    pub(super) fn number(&mut self, value: &Placed<Value>, unit: Unit) -> Option<f64> {
        let parsed = match (&value.value, unit) {
            (Value::Int(number), Unit::Count) if *number >= 0 => Ok(*number as f64),
            (Value::Float(number), Unit::Count) if *number >= 0.0 => Ok(*number),
            (Value::Text(_), Unit::Count) => Err(format!("`{}` is not a count", value.value)),
            (Value::Text(text), _) => unit.parse(text),
            (Value::Int(_) | Value::Float(_), Unit::Count) => {
                Err(format!("`{}` is below zero", value.value))
            }
            (Value::Int(_) | Value::Float(_), _) => Err(format!(
                "`{}` has no unit; write it like `{}`",
                value.value,
                unit.example()
            )),
            _ => Err(format!("`{}` is not a number", value.value)),
        };
        match parsed {
            Ok(number) if number.is_finite() => Some(number),
            Ok(_) => None,
            Err(why) => {
                self.findings.error("missing-unit", value.place, why);
                None
            }
        }
    }
}

/// How a value of a slot is written.
fn example(slot: Slot) -> String {
    match slot {
        Slot::SystemdUnit => "\"{{ unit }}\"".to_owned(),
        Slot::Span => "30s".to_owned(),
        Slot::Number(unit) => unit.example().to_owned(),
        Slot::Flag => "true".to_owned(),
        Slot::Word(words) | Slot::Words(words) => words.first().copied().unwrap_or("").to_owned(),
        Slot::Path => "/var".to_owned(),
        Slot::Name => "\"{{ device }}\"".to_owned(),
        Slot::Signal => "kernel.oom_kill".to_owned(),
        Slot::Measure => "disk_used_ratio".to_owned(),
        Slot::OfMeasure => "85%".to_owned(),
    }
}
