//! What the fleet's incident list keeps of a host's records.

use hostmedic_model::{incident::IncidentId, record::Body};
use hostmedic_retain::proto::IncidentRow;
use serde::{Deserialize, Serialize};

/// An incident as the newest record about it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub(crate) subject: String,
    pub(crate) title: String,
    pub(crate) severity: String,
    pub(crate) status: String,
    pub(crate) opened_wall_ms: i64,
    pub(crate) closed_wall_ms: Option<i64>,
    pub(crate) reason: String,
}

impl Incident {
    pub(crate) fn into_row(self, host: String, name: String, incident: String) -> IncidentRow {
        IncidentRow {
            host,
            name,
            incident,
            subject: self.subject,
            title: self.title,
            severity: self.severity,
            status: self.status,
            opened_wall_ms: self.opened_wall_ms,
            closed_wall_ms: self.closed_wall_ms.unwrap_or(0),
            reason: self.reason,
        }
    }
}

/// What a record, written at `wall_ms`, makes of the list. `known` looks an incident up.
pub(crate) fn fold<E>(
    body: &Body,
    wall_ms: i64,
    known: impl FnOnce(&IncidentId) -> Result<Option<Incident>, E>,
) -> Result<Option<(IncidentId, Incident)>, E> {
    match body {
        Body::IncidentOpened(opened) => {
            let incident = Incident {
                subject: opened.subject.to_string(),
                title: opened.title.clone(),
                severity: word(&opened.severity),
                status: word(&opened.status),
                opened_wall_ms: opened.opened_at.wall_ms,
                closed_wall_ms: None,
                reason: String::new(),
            };
            Ok(Some((opened.id.clone(), incident)))
        }
        Body::IncidentClosed {
            incident: id,
            status,
            reason,
        } => {
            let Some(mut incident) = known(id)? else {
                return Ok(None);
            };
            incident.status = word(status);
            incident.closed_wall_ms = status.is_over().then_some(wall_ms);
            incident.reason.clone_from(reason);
            Ok(Some((id.clone(), incident)))
        }
        _ => Ok(None),
    }
}

/// The word that serde writes for a value.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
