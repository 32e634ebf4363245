//! The JSON Schema of a playbook, made from the types that read it and from the registries, so
//! that an editor knows what the daemon knows. `playbooks/schema.json` is checked in.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

use super::{
    quantity::Unit,
    registry::{Entry, Field, Slot, checks, measures, names, signals, states, steps},
    wire::Document,
};

/// The schema as JSON, draft 2020-12.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Document>().to_value();
    if let Some(root) = schema.as_object_mut() {
        let base = "https://hostmedic.dev/schemas/playbook-v1.schema.json";
        root.insert("$id".to_owned(), json!(base));
    }
    schema
}

/// The schema as it is checked in.
pub fn text() -> String {
    // A value of plain maps and strings always has a text.
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

fn words(words: impl Iterator<Item = &'static str>) -> Schema {
    let words: Vec<_> = words.collect();
    json_schema!({ "type": "string", "enum": words })
}

pub(super) fn signal_name(_: &mut SchemaGenerator) -> Schema {
    words(names(signals::ALL))
}

pub(super) fn state_name(_: &mut SchemaGenerator) -> Schema {
    words(names(states::ALL))
}

pub(super) fn measure_name(_: &mut SchemaGenerator) -> Schema {
    words(names(measures::ALL))
}

pub(super) fn restart_policy(_: &mut SchemaGenerator) -> Schema {
    words(states::RESTART.iter().copied())
}

pub(super) fn step_name(_: &mut SchemaGenerator) -> Schema {
    words(names(steps::ALL))
}

pub(super) fn pre_check_name(_: &mut SchemaGenerator) -> Schema {
    words(
        checks::ALL
            .iter()
            .filter(|check| check.before)
            .map(Entry::name),
    )
}

pub(super) fn verify_check_name(_: &mut SchemaGenerator) -> Schema {
    words(
        checks::ALL
            .iter()
            .filter(|check| check.after)
            .map(Entry::name),
    )
}

/// A number with its unit, or a plain count.
pub(super) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            { "type": "number", "minimum": 0 },
            { "type": "string", "pattern": r"^[0-9]" }
        ]
    })
}

/// Adds to a step what each kind takes in `with`.
pub(super) fn step(schema: &mut Schema) {
    let rules: Vec<_> = steps::ALL
        .iter()
        .map(|step| with("uses", step.name, step.fields))
        .collect();
    schema.insert("allOf".to_owned(), Value::Array(rules));
}

/// Adds to a pre-check what each kind takes in `with`.
pub(super) fn pre_check(schema: &mut Schema) {
    check_rules(schema, "type", |check| check.before);
}

/// Adds to a check what each kind takes in `with`.
pub(super) fn verify_check(schema: &mut Schema) {
    check_rules(schema, "check", |check| check.after);
}

fn check_rules(schema: &mut Schema, key: &str, which: impl Fn(&checks::Check) -> bool) {
    let rules: Vec<_> = checks::ALL
        .iter()
        .filter(|check| which(check))
        .map(|check| with(key, check.name, check.fields))
        .collect();
    schema.insert("allOf".to_owned(), Value::Array(rules));
}

/// `if` this kind `then` these values.
fn with(key: &str, name: &str, fields: &[Field]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in fields {
        properties.insert(field.name.to_owned(), slot(field.slot));
        if field.required {
            required.push(field.name);
        }
    }
    let mut then = json!({
        "properties": {
            "with": {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": false
            }
        }
    });
    if !required.is_empty() {
        then["required"] = json!(["with"]);
    }
    json!({
        "if": { "properties": { key: { "const": name } }, "required": [key] },
        "then": then
    })
}

fn slot(slot: Slot) -> Value {
    match slot {
        Slot::SystemdUnit | Slot::Name => json!({ "type": "string", "minLength": 1 }),
        Slot::Path => json!({ "type": "string", "pattern": r"^(/|\{\{)" }),
        Slot::Span => number(Unit::Seconds),
        Slot::Number(unit) => number(unit),
        Slot::Flag => json!({ "type": "boolean" }),
        Slot::Word(words) => json!({ "type": "string", "enum": words }),
        Slot::Words(words) => json!({
            "anyOf": [
                { "type": "string", "enum": words },
                { "type": "array", "minItems": 1, "items": { "type": "string", "enum": words } }
            ]
        }),
        Slot::Signal => {
            json!({ "type": "string", "enum": names(signals::ALL).collect::<Vec<_>>() })
        }
        Slot::Measure => {
            json!({ "type": "string", "enum": names(measures::ALL).collect::<Vec<_>>() })
        }
        Slot::OfMeasure => json!({ "type": ["string", "number"] }),
    }
}

fn number(unit: Unit) -> Value {
    unit.pattern().map_or_else(
        || json!({ "type": "number", "minimum": 0 }),
        |pattern| json!({ "type": "string", "pattern": pattern, "examples": [unit.example()] }),
    )
}
