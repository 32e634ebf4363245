//! What a request carries, read strictly: an unknown key is a mistake, never ignored.

use axum::{extract::rejection::QueryRejection, http::Uri};
use hostmedic_model::{
    command::Command,
    signal::SignalKind,
    subject::{Subject, UnitName},
    view::{CoverageQuery, EventQuery},
};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::ApiFailure;

/// A reason longer than this is a paste, not a reason.
const REASON_BYTES_MAX: usize = 1024;

/// `GET /v1/incidents`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentsQuery {
    /// Also those that are over.
    #[serde(default)]
    pub(crate) all: bool,
}

/// `GET /v1/audit`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// First record; the chain begins at 1.
    #[serde(default = "first_seq")]
    pub(crate) from: u64,
    /// At most this many.
    #[serde(default = "limit")]
    pub(crate) limit: u32,
}

fn first_seq() -> u64 {
    1
}

fn limit() -> u32 {
    100
}

/// At most this many records in one answer.
pub(crate) const AUDIT_LIMIT_MAX: u32 = 1000;

/// `GET /v1/events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// Unix milliseconds.
    since: Option<i64>,
    /// Unix milliseconds.
    until: Option<i64>,
    /// Only those with a higher number, oldest first; without it, the newest.
    after: Option<u64>,
    /// A unit's name.
    unit: Option<UnitName>,
    /// Kinds, with commas between them.
    kind: Option<String>,
    /// At most this many.
    #[serde(default = "limit")]
    limit: u32,
}

/// At most this many events in one answer.
const EVENTS_LIMIT_MAX: u32 = 1000;

impl EventsQuery {
    /// The question to the daemon.
    pub(crate) fn check(self) -> Result<EventQuery, ApiFailure> {
        if self.limit == 0 || self.limit > EVENTS_LIMIT_MAX {
            return Err(ApiFailure::bad_request(
                format!("limit {} is not within 1..={EVENTS_LIMIT_MAX}", self.limit),
                "ask again with `after` set to the answer's `next_after`",
            ));
        }
        check_span(self.since, self.until)?;
        let kinds = self.kind.as_deref().map(read_kinds).transpose()?;
        Ok(EventQuery {
            since_ms: self.since,
            until_ms: self.until,
            after: self.after,
            subject: self.unit.map(Subject::Unit),
            kinds: kinds.unwrap_or_default(),
            limit: self.limit,
        })
    }
}

/// `oom_kill,fatal_signal`.
fn read_kinds(words: &str) -> Result<Vec<SignalKind>, ApiFailure> {
    let read = |word: &str| {
        serde_json::from_value(Value::from(word)).map_err(|_| {
            ApiFailure::bad_request(
                format!("there is no kind `{word}`"),
                "see schema SignalKind in GET /v1/openapi.json",
            )
        })
    };
    words.split(',').map(read).collect()
}

/// A span that ends before it begins is a mistake, not an empty answer.
fn check_span(since: Option<i64>, until: Option<i64>) -> Result<(), ApiFailure> {
    match (since, until) {
        (Some(since), Some(until)) if since >= until => Err(ApiFailure::bad_request(
            format!("since {since} is not before until {until}"),
            "both are Unix time in milliseconds",
        )),
        _ => Ok(()),
    }
}

/// `GET /v1/series`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesQuery {
    /// As `medic baseline` lists it.
    pub(crate) name: String,
}

/// `GET /v1/anomalies`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnomaliesQuery {
    /// Only from then on, Unix milliseconds; without it, all that are kept.
    pub(crate) since: Option<i64>,
}

/// `GET /v1/coverage`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookQuery {
    /// Name of the probe.
    hook: String,
    /// Unix milliseconds.
    since: i64,
    /// Unix milliseconds; the end of the newest row of the ledger without it.
    until: Option<i64>,
}

impl HookQuery {
    /// The question to the daemon.
    pub(crate) fn check(self) -> Result<CoverageQuery, ApiFailure> {
        check_span(Some(self.since), self.until)?;
        Ok(CoverageQuery {
            hook: self.hook,
            since_ms: self.since,
            until_ms: self.until,
        })
    }
}

/// Names the query and the key that could not be read.
pub(crate) fn bad_query(uri: &Uri, rejection: &QueryRejection) -> ApiFailure {
    let query = uri.query().unwrap_or_default();
    ApiFailure::bad_request(
        format!(
            "query `{query}` of {}: {}",
            uri.path(),
            rejection.body_text()
        ),
        "GET /v1/openapi.json lists the parameters",
    )
}

/// Reads the body of `POST /v1/commands`.
///
/// The derived reader passes over keys that a command without fields does not have. A mistyped
/// key must not be passed over where an operator's wish is at stake, so every key that came
/// must be one that the command, written again, has too.
pub(crate) fn read_command(body: &[u8]) -> Result<Command, ApiFailure> {
    let hint = "see schema Command in GET /v1/openapi.json, for example \
                {\"command\":\"pause\",\"reason\":\"...\"}";
    let bad = |message: String| ApiFailure::bad_request(message, hint);
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| bad(format!("the body is not JSON: {error}")))?;
    let Value::Object(keys) = &value else {
        return Err(bad("the body is not a JSON object".to_owned()));
    };
    let name = match keys.get("command") {
        Some(Value::String(name)) => name.clone(),
        Some(_) => return Err(bad("key `command` is not a text".to_owned())),
        None => return Err(bad("key `command` is missing".to_owned())),
    };
    let command: Command = serde_json::from_value(value.clone())
        .map_err(|error| bad(format!("command `{name}`: {error}")))?;
    let again = serde_json::to_value(&command)
        .map_err(|error| bad(format!("command `{name}`: {error}")))?;
    if let Some(unknown) = keys.keys().find(|key| again.get(key).is_none()) {
        return Err(bad(format!("command `{name}`: unknown key `{unknown}`")));
    }
    check_reason(&command).map_err(|why| bad(format!("command `{name}`: {why}")))?;
    Ok(command)
}

/// A reason is read by people years later, in a terminal: it must be there, short and printable.
fn check_reason(command: &Command) -> Result<(), String> {
    let reason = match command {
        Command::Reject { reason, .. }
        | Command::Pause { reason }
        | Command::Inhibit { reason, .. } => reason,
        Command::Approve { .. }
        | Command::Judge { .. }
        | Command::LiftInhibit { .. }
        | Command::Resume => return Ok(()),
    };
    if reason.trim().is_empty() {
        Err("key `reason` is empty".to_owned())
    } else if reason.len() > REASON_BYTES_MAX {
        Err(format!(
            "key `reason` is longer than {REASON_BYTES_MAX} bytes"
        ))
    } else if reason.chars().any(char::is_control) {
        Err("key `reason` has control characters".to_owned())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    fn error_of(body: &str) -> String {
        format!("{:?}", read_command(body.as_bytes()).unwrap_err())
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(
            read_command(br#"{"command":"resume"}"#).unwrap(),
            Command::Resume
        );
        assert_eq!(
            read_command(br#"{"command":"pause","reason":"backup first"}"#).unwrap(),
            Command::Pause {
                reason: "backup first".to_owned()
            }
        );
    }

    #[test]
    fn each_mistake_names_its_place() {
        for (body, expected) in [
            ("", "line 1 column 0"),
            ("{\n \"command\": oops}", "line 2 column"),
            ("[1]", "not a JSON object"),
            ("{}", "key `command` is missing"),
            (r#"{"command":7}"#, "key `command` is not a text"),
            (r#"{"command":"restart"}"#, "unknown variant `restart`"),
            (r#"{"command":"pause"}"#, "missing field `reason`"),
            (
                r#"{"command":"pause","reason":" "}"#,
                "key `reason` is empty",
            ),
            (r#"{"command":"pause","reason":"a\u001b[2J"}"#, "control"),
            (
                r#"{"command":"pause","reason":"x","for":"2h"}"#,
                "unknown field `for`",
            ),
            // serde itself would pass over this one.
            (
                r#"{"command":"resume","unit":"a.service"}"#,
                "unknown key `unit`",
            ),
            (
                r#"{"command":"inhibit","unit":"web","span":"2h","reason":"x"}"#,
                "unit name `web`",
            ),
            (
                r#"{"command":"inhibit","unit":null,"span":"soon","reason":"x"}"#,
                "`soon` is not a duration",
            ),
        ] {
            let error = error_of(body);
            assert!(error.contains(expected), "{body}: {error}");
        }
        let long = format!(r#"{{"command":"pause","reason":"{}"}}"#, "x".repeat(1025));
        assert!(error_of(&long).contains("longer than 1024 bytes"));
    }
}
