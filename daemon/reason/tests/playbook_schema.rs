//! What an editor says of a playbook: the checked-in JSON Schema accepts every shipped one, and marks
//! what the linter would.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

use jsonschema::Validator;
use serde_json::{Value, json};

fn library() -> Vec<(String, Value)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let files = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let playbooks: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            (name, serde_saphyr::from_str(&text).unwrap())
        })
        .collect();
    assert!(!playbooks.is_empty());
    playbooks
}

fn validator() -> Validator {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../playbooks/schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn every_shipped_playbook_is_valid() {
    let validator = validator();
    let found: Vec<_> = library()
        .iter()
        .flat_map(|(name, playbook)| {
            let errors = validator.iter_errors(playbook);
            let told = errors.map(|error| format!("{name}: {}: {error}", error.instance_path()));
            told.collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn an_unknown_key_is_not() {
    let validator = validator();
    let (_, mut playbook) = library().swap_remove(0);
    playbook["describe"]["sumary"] = json!("x");
    assert!(!validator.is_valid(&playbook));
}
