//! Holds `openapi.json` to the routes and to the model: neither can change without the other.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod samples;
mod support;

use std::collections::BTreeSet;

use hostmedic_serve::{OPENAPI, routes, testing::FakeDaemon};
use hyper::{Method, StatusCode};
use jsonschema::Validator;
use serde_json::{Value, json};
use support::Scene;

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

/// A validator of any schema of the document, with its references.
fn validator(schema: &Value) -> Validator {
    let mut root = schema.clone();
    root["components"] = document()["components"].clone();
    jsonschema::validator_for(&root).unwrap()
}

fn named(name: &str) -> Validator {
    validator(&json!({"$ref": format!("#/components/schemas/{name}")}))
}

#[track_caller]
fn assert_valid(what: &str, validator: &Validator, value: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("at {}: {error}", error.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "{what} and openapi.json differ: {errors:#?}\n{value:#}"
    );
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let routed: BTreeSet<(String, String)> = routes::<FakeDaemon>()
        .into_iter()
        .map(|route| (route.path.to_owned(), route.method.as_str().to_lowercase()))
        .collect();
    let document = document();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (path.clone(), method.clone()))
        })
        .collect();
    assert_eq!(routed, described);
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(keys) => {
                if let Some(Value::String(reference)) = keys.get("$ref") {
                    found.insert(reference.clone());
                }
                keys.values().for_each(|value| collect(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut used = BTreeSet::new();
    collect(&document, &mut used);
    let defined: BTreeSet<String> = ["schemas", "responses"]
        .iter()
        .flat_map(|kind| {
            let names = document["components"][kind].as_object().unwrap().keys();
            names.map(move |name| format!("#/components/{kind}/{name}"))
        })
        .collect();
    assert_eq!(used, defined);
}

/// Goal: no field or variant of the model is missing in the document, or only there.
/// Method: every schema refuses unknown keys and asks for all it names, so a sample of every
/// variant, written by the model, finds both kinds of mistake.
#[test]
fn every_variant_of_the_model_fits_its_schema() {
    for (schema, samples) in samples::all() {
        let validator = named(schema);
        for sample in &samples {
            assert_valid(schema, &validator, sample);
        }
    }
}

#[test]
fn every_word_of_the_model_is_in_its_schema() {
    let document = document();
    for (schema, words) in samples::words() {
        let described: BTreeSet<&str> = document["components"]["schemas"][schema]["enum"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let written: BTreeSet<&str> = words.iter().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(described, written, "{schema}");
    }
}

/// Every alternative of every tagged schema must be met by a sample, so none is out of date.
#[test]
fn every_alternative_of_a_schema_is_met() {
    let document = document();
    for (schema, samples) in samples::all() {
        let alternatives = &document["components"]["schemas"][schema]["oneOf"];
        for alternative in alternatives.as_array().into_iter().flatten() {
            let validator = validator(alternative);
            assert!(
                samples.iter().any(|sample| validator.is_valid(sample)),
                "no sample of {schema} meets {alternative:#}"
            );
        }
    }
}

#[test]
fn closed_schemas_refuse_an_unknown_key_and_a_missing_one() {
    for (schema, samples) in samples::all() {
        let validator = named(schema);
        for sample in samples.iter().filter(|sample| sample.is_object()) {
            let mut more = sample.clone();
            more["surprise"] = json!(1);
            assert!(!validator.is_valid(&more), "{schema} is open: {more:#}");
            for key in sample.as_object().unwrap().keys() {
                let may_be_left_out: &[&str] = match schema {
                    "Command" => &["binding", "unit", "playbook"],
                    // What older records do not have.
                    "Incident" => &["parent", "similar"],
                    "Matched" => &["advice"],
                    "Body" => &["parts", "change", "inverse", "undoes", "undoing"],
                    "StepTemplate" => &["set", "inverse", "undo_on_failure"],
                    "VerifyPlan" => &["undo_without"],
                    "Anomaly" | "Evidence" => &["forecast", "together"],
                    "Vitals" => &["freezer", "watchdog"],
                    _ => &[],
                };
                if may_be_left_out.contains(&key.as_str()) {
                    continue;
                }
                let mut less = sample.clone();
                less.as_object_mut().unwrap().remove(key);
                assert!(
                    !validator.is_valid(&less),
                    "{schema} does without {key}: {less:#}"
                );
            }
        }
    }
}

/// Goal: what really comes out of the socket is what the document says.
#[tokio::test]
async fn real_answers_fit_their_schemas() {
    let scene = Scene::new();
    let document = document();
    for (path, template) in [
        ("/v1/status", "/v1/status"),
        ("/v1/incidents", "/v1/incidents"),
        ("/v1/incidents?all=true", "/v1/incidents"),
        (
            "/v1/incidents/inc_20260814_021703_9f2c41d0",
            "/v1/incidents/{id}",
        ),
        (
            "/v1/incidents/inc_20260814_023011_51be07aa",
            "/v1/incidents/{id}",
        ),
        (
            "/v1/incidents/inc_20260814_024500_c0ffee11",
            "/v1/incidents/{id}",
        ),
        (
            "/v1/incidents/inc_20260814_021703_9f2c41d0/why",
            "/v1/incidents/{id}/why",
        ),
        (
            "/v1/incidents/inc_20260814_024500_c0ffee11/why",
            "/v1/incidents/{id}/why",
        ),
        ("/v1/audit", "/v1/audit"),
        ("/v1/audit?from=5&limit=3", "/v1/audit"),
        ("/v1/playbooks", "/v1/playbooks"),
        ("/v1/probes", "/v1/probes"),
        ("/v1/top", "/v1/top"),
        ("/v1/events", "/v1/events"),
        ("/v1/events?after=0&limit=2", "/v1/events"),
        (
            "/v1/events?unit=web.service&kind=oom_kill,process_exit",
            "/v1/events",
        ),
        ("/v1/coverage?hook=oom_victim&since=0", "/v1/coverage"),
        (
            "/v1/coverage?hook=process_exec&since=0&until=9",
            "/v1/coverage",
        ),
        ("/v1/baselines", "/v1/baselines"),
        (
            "/v1/series?name=disk_used_ratio%20of%20mount%20/var",
            "/v1/series",
        ),
        ("/v1/anomalies", "/v1/anomalies"),
        ("/v1/anomalies?since=0", "/v1/anomalies"),
        ("/v1/openapi.json", "/v1/openapi.json"),
    ] {
        let (status, body) = scene.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body:#}");
        let answer = &document["paths"][template]["get"]["responses"]["200"];
        let schema = &answer["content"]["application/json"]["schema"];
        assert_valid(path, &validator(schema), &body);
    }
    let commands = [
        r#"{"command":"approve","incident":"inc_20260814_024500_c0ffee11"}"#,
        r#"{"command":"inhibit","span":"2h","reason":"moving house"}"#,
        r#"{"command":"inhibit","unit":"db.service","span":"90m","reason":"restore"}"#,
        r#"{"command":"lift_inhibit","id":7}"#,
        r#"{"command":"pause","reason":"let me look"}"#,
        r#"{"command":"resume"}"#,
    ];
    let operation = &document["paths"]["/v1/commands"]["post"];
    let request = validator(&operation["requestBody"]["content"]["application/json"]["schema"]);
    let answer = validator(&operation["responses"]["200"]["content"]["application/json"]["schema"]);
    for command in commands {
        assert_valid(command, &request, &serde_json::from_str(command).unwrap());
        let (status, body) = scene.command(command).await;
        assert_eq!(status, StatusCode::OK, "{command}: {body:#}");
        assert_valid(command, &answer, &body);
    }
    assert_eq!(scene.server.daemon.commands().len(), commands.len());
}

/// Goal: what is refused is refused in the described form and with a described status.
#[tokio::test]
async fn real_refusals_fit_their_schema() {
    let scene = Scene::new();
    let document = document();
    let failure = named("Failure");
    for (method, path, template, body) in [
        (Method::GET, "/v1/incidents?al=1", "/v1/incidents", ""),
        (Method::GET, "/v1/incidents/inc_x", "/v1/incidents/{id}", ""),
        (
            Method::GET,
            "/v1/incidents/inc_x/why",
            "/v1/incidents/{id}/why",
            "",
        ),
        (Method::GET, "/v1/audit?limit=0", "/v1/audit", ""),
        (Method::GET, "/v1/events?limit=0", "/v1/events", ""),
        (
            Method::GET,
            "/v1/coverage?hook=x&since=0",
            "/v1/coverage",
            "",
        ),
        (Method::GET, "/v1/coverage", "/v1/coverage", ""),
        (Method::POST, "/v1/commands", "/v1/commands", "{"),
        (
            Method::POST,
            "/v1/commands",
            "/v1/commands",
            r#"{"command":"resume"}"#,
        ),
        (
            Method::POST,
            "/v1/commands",
            "/v1/commands",
            r#"{"command":"lift_inhibit","id":99}"#,
        ),
    ] {
        let (status, answer) = scene.send(method.clone(), path, body).await;
        assert!(!status.is_success(), "{path} {body}");
        assert_valid(path, &failure, &answer);
        let operation = &document["paths"][template][method.as_str().to_lowercase()];
        let responses = operation["responses"].as_object().unwrap();
        assert!(
            responses.contains_key(status.as_str()),
            "{template} does not describe {status}"
        );
    }
}
