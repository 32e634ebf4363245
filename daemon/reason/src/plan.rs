//! From a decision to the calls it means: which unit, which verb, under which name.

use hostmedic_model::{
    incident::{Evidence, Incident, IncidentId},
    intent::IntentId,
    playbook::{StepTemplate, Target},
    subject::{Subject, UnitName},
};

/// Subjects that evidence is captured about: those of a few pieces are enough.
const ABOUT_MAX: usize = 8;

/// The unit a step works on.
///
/// # Errors
/// Says why there is none: a playbook about units met an incident about something else.
pub(crate) fn target(step: &StepTemplate, subject: &Subject) -> Result<UnitName, String> {
    match (&step.target, subject) {
        (Target::Subject, Subject::Unit(unit)) => Ok(unit.clone()),
        (Target::Subject, other) => Err(format!(
            "{other} is not a unit, so `{}` has no target",
            step.verb.word()
        )),
        (Target::Unit(unit), _) => Ok(unit.clone()),
        (Target::Action(action), _) => {
            let instance = match subject {
                Subject::Mount(path) | Subject::Certificate(path) => escape_path(path),
                Subject::Device(name) | Subject::Interface(name) => escape(name),
                Subject::Unit(unit) => escape(unit.as_str()),
                Subject::Host | Subject::Cgroup(_) => "host".to_owned(),
            };
            UnitName::new(format!("hostmedic-{action}@{instance}.service"))
                .map_err(|error| error.to_string())
        }
    }
}

/// What an incident is about, then what else its evidence is about, each once.
pub(crate) fn about(incident: &Incident) -> Vec<Subject> {
    let evidence = incident.evidence.iter().map(|evidence| match evidence {
        Evidence::Signal(signal) => &signal.subject,
        Evidence::Anomaly(anomaly) => &anomaly.series.subject,
        Evidence::Sample(sample) => &sample.series.subject,
        Evidence::Notice(notice) => &notice.subject,
        Evidence::Child(child) => &child.subject,
    });
    let mut about = Vec::new();
    for subject in std::iter::once(&incident.subject).chain(evidence) {
        if about.len() < ABOUT_MAX && !about.contains(subject) {
            about.push(subject.clone());
        }
    }
    about
}

/// Name of one call: attempts of an incident count from 1, and so do the calls of an attempt.
pub(crate) fn intent_id(incident: &IncidentId, attempt: u32, call: usize) -> IntentId {
    IntentId(format!("{incident}/{attempt}.{call}"))
}

/// Escapes a path for a unit name: systemd.unit(5), "String Escaping for Inclusion in Unit Names".
fn escape_path(path: &str) -> String {
    let trimmed = path
        .split('/')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/");
    if trimmed.is_empty() {
        "-".to_owned()
    } else {
        escape(&trimmed)
    }
}

fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'/' => escaped.push('-'),
            b'.' if index == 0 => escaped.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => {
                escaped.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => _ = write!(escaped, "\\x{byte:02x}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_as_systemd_does() {
        // As printed by `systemd-escape --path`.
        for (path, escaped) in [
            ("/", "-"),
            ("/var/log", "var-log"),
            ("/srv/a-b", "srv-a\\x2db"),
            ("/.x", "\\x2ex"),
        ] {
            assert_eq!(escape_path(path), escaped);
        }
    }

    #[test]
    fn what_evidence_is_about_comes_after_the_incident_and_once() {
        use hostmedic_model::{
            anomaly::Severity,
            incident::{Child, IncidentStatus},
            time::At,
        };
        let child = |subject: Subject| {
            Evidence::Child(Child {
                at: At::default(),
                incident: IncidentId(String::new()),
                subject,
                title: String::new(),
                severity: Severity::Info,
            })
        };
        let mount = |n: usize| Subject::Mount(format!("/{n}"));
        let mut incident = Incident {
            id: IncidentId(String::new()),
            subject: Subject::Host,
            title: String::new(),
            severity: Severity::Info,
            status: IncidentStatus::Open,
            opened_at: At::default(),
            last_at: At::default(),
            closed_at: None,
            evidence: [mount(1), Subject::Host, mount(1), mount(2)]
                .map(child)
                .to_vec(),
            extended: 0,
            recurrences_30d: 0,
            parent: None,
            similar: None,
        };
        assert_eq!(about(&incident), [Subject::Host, mount(1), mount(2)]);
        incident.evidence = (0..100).map(mount).map(child).collect();
        assert_eq!(about(&incident).len(), ABOUT_MAX);
    }
}
