//! The made-up night as the audit chain tells it.

use hostmedic_model::matched::{EvidenceCheck, MatchRoute, Matched, MatchedPlaybook};

use super::*;

/// The chain of that night, record by record.
pub fn records() -> Vec<Record> {
    let bodies = vec![
        (
            0,
            Body::Started(Started {
                version: "0.1.0".to_owned(),
                kernel: "6.12.107".to_owned(),
                hostname: "web-07".to_owned(),
                hooks: hooks(),
                playbooks: vec![playbook_ref("unit-oom-dead")],
                phase: Phase::Autonomous,
                blind: None,
            }),
        ),
        (
            12,
            Body::IncidentOpened(Incident {
                status: IncidentStatus::Open,
                evidence: resolved_incident().evidence[..1].to_vec(),
                last_at: T0,
                closed_at: None,
                extended: 0,
                ..resolved_incident()
            }),
        ),
        (
            14,
            Body::IncidentExtended {
                incident: id(RESOLVED),
                evidence: failed("web.service", at(9), "0a1b2c3d"),
            },
        ),
        (31, Body::Decision(acted())),
        (33, Body::Intent(intent())),
        (45, Body::Captured(captured())),
        (212, Body::StepEnded(step_end())),
        (10_689, Body::Outcome(outcome())),
        (
            10_690,
            Body::IncidentClosed {
                incident: id(RESOLVED),
                status: IncidentStatus::Resolved,
                reason: "every check passed".to_owned(),
            },
        ),
        (
            788_013,
            Body::IncidentOpened(Incident {
                status: IncidentStatus::Open,
                ..held_incident()
            }),
        ),
        (788_022, Body::Matched(matched())),
        (788_023, Body::Decision(held())),
        (
            1_677_010,
            Body::IncidentOpened(Incident {
                status: IncidentStatus::Open,
                ..waiting_incident()
            }),
        ),
        (1_677_018, Body::Decision(proposed())),
        (1_677_021, Body::Proposed(proposal())),
        (
            1_740_000,
            Body::Coverage(CoverageRow {
                from: at(840_000),
                to: at(1_739_990),
                reduced: Vec::new(),
                hooks: counters(),
                queues: queues(),
            }),
        ),
    ];
    (1..)
        .zip(bodies)
        .map(|(seq, (ms, body))| record(seq, at(ms), body))
        .collect()
}

/// A record of the story's host. Its hashes only look like some: no chain is checked here.
pub(crate) fn record(seq: u64, at: At, body: Body) -> Record {
    Record {
        version: RECORD_VERSION,
        seq,
        host: HOST.to_owned(),
        boot: boot(),
        at,
        prev: format!("{:064x}", seq - 1),
        body,
    }
}

/// What the matcher made of the held incident.
fn matched() -> Matched {
    let near = |playbook: &str, score, margin, confidence| MatchedPlaybook {
        playbook: playbook.to_owned(),
        score,
        nearness: score - 0.3,
        bm25: 20.0,
        phrases: 1,
        trigger_fired: false,
        wording: 0.05,
        familiar: 0.12,
        numbers: 0.1,
        not_for_excess: 0.0,
        not_for_words: 0.0,
        margin,
        matched: confidence,
        record_shift: 0.0,
        recurrence_shift: 0.0,
        evidence_shift: 0.0,
        confidence,
        evidence: EvidenceCheck::default(),
    };
    let first = MatchedPlaybook {
        trigger_fired: true,
        matched: 0.9402,
        evidence_shift: 2.3001,
        evidence: EvidenceCheck {
            supported: vec!["oom_kill: 1 of 1 within 2m".to_owned()],
            missing: vec!["this version cannot see: the pool's state".to_owned()],
            contradicted: Vec::new(),
        },
        ..near("unit-oom-dead", 0.93, 0.4, 0.9937)
    };
    Matched {
        at: at(788_021),
        incident: id(HELD),
        text: "Service db.service: out of memory: killed process postgres by the kernel \
               (oom-kill). happened 2 times before in 30 days."
            .to_owned(),
        candidates: vec![first, near("crash-loop", 0.41, -0.52, 0.0003)],
        route: MatchRoute::Act,
        tie: false,
        problem: None,
        advice: None,
    }
}
