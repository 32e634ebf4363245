//! `medic playbook diff`: what changed between two playbooks, and whether it became looser.

use hostmedic_model::playbook::Playbook;
use hostmedic_reason::playbook::tighten;
use serde::Serialize;
use serde_json::Value;

use crate::render::text::{Style, Tone, clean};

/// What changed.
#[derive(Debug, Serialize)]
pub(crate) struct Changes {
    /// Values that are others now: where, before, after.
    pub(crate) values: Vec<(String, Value, Value)>,
    /// What became looser, in words.
    pub(crate) looser: Vec<String>,
}

impl Changes {
    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Compares two playbooks by what they mean, not by how they are written.
pub(crate) fn changes(before: &Playbook, after: &Playbook) -> Changes {
    let tree = |playbook: &Playbook| {
        let mut tree = serde_json::to_value(playbook).unwrap_or_default();
        // The hash changes with every comment.
        if let Some(tree) = tree.as_object_mut() {
            tree.remove("sha256");
        }
        tree
    };
    let mut values = Vec::new();
    compare("", &tree(before), &tree(after), &mut values);
    Changes {
        values,
        looser: tighten::loosened(before, after),
    }
}

fn compare(path: &str, before: &Value, after: &Value, values: &mut Vec<(String, Value, Value)>) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (before, after) = (before.get(key), after.get(key));
                let none = &Value::Null;
                compare(
                    &below(key),
                    before.unwrap_or(none),
                    after.unwrap_or(none),
                    values,
                );
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                compare(&format!("{path}[{index}]"), before, after, values);
            }
        }
        _ if before != after => values.push((path.to_owned(), before.clone(), after.clone())),
        _ => {}
    }
}

/// The changes as text.
pub(crate) fn diff(changes: &Changes, style: Style) -> String {
    if changes.is_empty() {
        return "they mean the same\n".to_owned();
    }
    let mut page = String::new();
    for (path, before, after) in &changes.values {
        page += &format!("{}\n", style.paint(Tone::Head, &clean(path)));
        page += &format!(
            "  {}\n",
            style.paint(Tone::Bad, &clean(&format!("- {before}")))
        );
        page += &format!(
            "  {}\n",
            style.paint(Tone::Good, &clean(&format!("+ {after}")))
        );
    }
    if changes.looser.is_empty() {
        page += "\nnothing became looser\n";
    }
    for looser in &changes.looser {
        page += &format!("{} {}\n", style.paint(Tone::Warn, "looser:"), clean(looser));
    }
    page
}
