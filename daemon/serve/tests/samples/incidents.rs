//! Samples of how incidents stand to one another.

use hostmedic_model::{
    advice::{Advice, Lowered, Said},
    anomaly::Severity,
    incident::{Child, Evidence, Incident, IncidentId, Similar},
    matched::Matched,
    notice::{Notice, Noticed},
    record::Body,
    subject::Subject,
    time::Span,
};
use hostmedic_serve::testing;

/// Incidents of the night, and one with everything that can be absent.
pub(super) fn incidents() -> Vec<Incident> {
    let mut incidents = testing::incidents();
    let child = incidents.first().cloned().map(|incident| Incident {
        parent: Some(IncidentId(testing::HELD.to_owned())),
        similar: Some(Similar {
            count: 2,
            last: IncidentId(testing::RESOLVED.to_owned()),
        }),
        ..incident
    });
    incidents.extend(child);
    incidents
}

/// What detectors of events notice, and a child.
pub(super) fn evidence() -> Vec<Evidence> {
    let noticed = [
        Noticed::CrashLoop,
        Noticed::OomAgain,
        Noticed::ErrorSurge,
        Noticed::DropSurge,
        Noticed::RetransmitSurge,
        Noticed::ResetSurge,
        Noticed::RefusalSurge,
        Noticed::Silent,
        Noticed::NotStarted,
        Noticed::ClockStep,
        Noticed::Storm,
        Noticed::NewLogLines,
        Noticed::LinkFlap,
    ];
    let notice = |noticed| {
        Evidence::Notice(Notice {
            at: testing::T0,
            subject: Subject::Host,
            noticed,
            severity: Severity::Warning,
            observed: 540.0,
            expected: 2.5,
            over: Span::minutes(1),
        })
    };
    let child = Evidence::Child(Child {
        at: testing::T0,
        incident: IncidentId(testing::WAITING.to_owned()),
        subject: Subject::Host,
        title: "unit failed".to_owned(),
        severity: Severity::Critical,
    });
    noticed.into_iter().map(notice).chain([child]).collect()
}

/// Rankings that a language model was asked about, with an answer and without.
pub(super) fn advised() -> Vec<Matched> {
    let answered = Advice {
        model: "a-model".to_owned(),
        question: "4f".repeat(32),
        said: Some(Said {
            playbook: None,
            confidence: 0.7,
            hypothesis: "The backup holds the memory.".to_owned(),
        }),
        problem: None,
        lowered: vec![Lowered {
            playbook: "unit-oom-killed".to_owned(),
            from: 0.9937,
            to: 0.84,
        }],
    };
    let silent = Advice {
        said: None,
        problem: Some("it did not answer within 10s".to_owned()),
        lowered: Vec::new(),
        ..answered.clone()
    };
    let ranked = testing::records()
        .into_iter()
        .find_map(|record| match record.body {
            Body::Matched(matched) => Some(matched),
            _ => None,
        });
    let advised = |advice| {
        ranked.clone().map(|matched| Matched {
            advice: Some(advice),
            ..matched
        })
    };
    [answered, silent].into_iter().filter_map(advised).collect()
}
