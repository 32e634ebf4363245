//! The made-up night as the status page and the list of playbooks show it.

use hostmedic_model::{
    anomaly::Severity,
    calendar::CalendarReading,
    capture::{CaptureKind, Wanted},
    command::Inhibit,
    loss::QueueCounters,
    playbook::{
        Approval, Check, Condition, Describe, HostTags, Limits, Needs, Phase, Playbook, Remedy,
        RiskClass, StepTemplate, Target, Verb, VerifyPlan,
    },
    sample::Measure,
    signal::SignalKind,
    subject::Subject,
    time::Span,
    unit::ActiveState,
    view::{
        AuditStatus, Baselines, Cost, Hold, HookCost, JournalStatus, LanguageModelStatus,
        ReplicationStatus, Status,
    },
};

use super::*;

pub(super) fn queues() -> QueueCounters {
    QueueCounters {
        read: 181_992,
        taken: 181_992,
        stored: 181_992,
        ..QueueCounters::default()
    }
}

/// `medic status` half an hour later.
pub fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        hostname: "web-07".to_owned(),
        host: HOST.to_owned(),
        at: at(1_760_000),
        started_at: T0,
        phase: Phase::Autonomous,
        paused: None,
        open_incidents: 2,
        proposals: vec![proposal()],
        holds: vec![Hold {
            incident: id(HELD),
            subject: Subject::Unit(unit("db.service")),
            at: at(788_021),
            reason: held().reason,
        }],
        inhibits: vec![Inhibit {
            id: 7,
            unit: Some(unit("mail.service")),
            from: at(600_000),
            span: Span::minutes(120),
            reason: "moving the mail store".to_owned(),
            by: operator(),
        }],
        calendar: Some(CalendarReading::Readable(calendar(at(1_755_000)))),
        playbooks: vec![
            playbook_ref("unit-oom-dead"),
            playbook_ref("journal-fills-disk"),
        ],
        hooks: hooks(),
        counters: counters(),
        queues: queues(),
        journal: Some(JournalStatus {
            interruptions: 1,
            too_long: 2,
            untold: 40,
            ..JournalStatus::default()
        }),
        baselines: Baselines {
            series: 41,
            warm: 38,
        },
        audit: AuditStatus {
            seq: 15,
            head: "c41d".repeat(16),
            failing: None,
            unwritten: 0,
            dropped: 0,
        },
        replication: ReplicationStatus {
            collector: Some("collector.example:7443".to_owned()),
            connected: true,
            acknowledged_seq: 14,
            last_error: String::new(),
        },
        language_model: Some(LanguageModelStatus {
            model: "small".to_owned(),
            asked: 20,
            per_hour: 20,
            refused: 2,
        }),
        cost: Cost {
            rss_bytes: 23_592_960,
            kernel_map_bytes: 2_785_280,
            cpu_ratio: 0.0021,
            cpu_recent_ratio: 0.0013,
            hook_ns: vec![
                HookCost {
                    hook: "process_exec".to_owned(),
                    runs: 1_204,
                    ns_per_run: 412,
                },
                HookCost {
                    hook: "oom_victim".to_owned(),
                    runs: 0,
                    ns_per_run: 0,
                },
            ],
        },
    }
}

/// The two playbooks in force, and one that hands over to people.
pub fn playbooks() -> Vec<Playbook> {
    let steps = |target, verify| Remedy::Steps {
        steps: vec![StepTemplate {
            verb: Verb::Restart,
            target,
            wait_max: Span::secs(30),
            set: None,
            inverse: None,
            undo_on_failure: false,
        }],
        verify: VerifyPlan {
            settle: Span::secs(10),
            within: Span::minutes(1),
            checks: verify,
            undo_without: Vec::new(),
        },
    };
    let playbook = |name: &str, describe: &str, trigger, remedy, phase_max| Playbook {
        name: name.to_owned(),
        version: 1,
        describe: Describe {
            summary: describe.to_owned(),
            symptoms: vec!["users see errors".to_owned()],
            signals: vec!["ActiveState=failed".to_owned()],
            not_for: vec!["planned work".to_owned()],
            numbers: Vec::new(),
            examples: vec!["Service a.service: unit failed with result exit-code.".to_owned()],
        },
        hosts: HostTags::default(),
        trigger,
        none: vec![Condition::Unseen(
            "signal security.incident_active".to_owned(),
        )],
        class: RiskClass::Disruptive,
        pre_checks: Vec::new(),
        captures: vec![Wanted::new(CaptureKind::ProcStacks, Some(5))],
        remedy,
        limits: Limits::default(),
        phase_max,
        needs: Needs::default(),
        approval: Approval {
            severities: vec![Severity::Critical],
            valid: Some(Span::minutes(10)),
        },
        lookahead: Span::minutes(2),
        missing: Vec::new(),
        rollback: "a restart needs no undoing".to_owned(),
        sha256: "5e1f".repeat(16),
    };
    vec![
        playbook(
            "unit-oom-dead",
            "a service was killed for lack of memory and nothing restarts it",
            vec![
                Condition::Signal {
                    kind: SignalKind::OomKill,
                    at_least: 1,
                    within: Span::minutes(2),
                    only: None,
                },
                Condition::UnitState {
                    active: vec![ActiveState::Failed],
                    result: vec!["oom-kill".to_owned()],
                    result_not: Vec::new(),
                    restart_policy: vec!["no".to_owned()],
                },
            ],
            steps(
                Target::Subject,
                vec![
                    Check::UnitActive,
                    Check::NewInvocation,
                    Check::NoSignal(SignalKind::OomKill),
                    Check::ClosureRestored,
                ],
            ),
            Phase::Autonomous,
        ),
        playbook(
            "journal-fills-disk",
            "a disk fills up and the journal is its top consumer",
            vec![Condition::Above {
                measure: Measure::DiskUsedRatio,
                limit: 0.9,
            }],
            steps(
                Target::Action("journal-vacuum".to_owned()),
                vec![Check::Below {
                    of_host: false,
                    measure: Measure::DiskUsedRatio,
                    limit: 0.85,
                }],
            ),
            Phase::Assist,
        ),
        playbook(
            "crash-loop",
            "a service starts again and again",
            vec![Condition::Starts {
                at_least: 5,
                within: Span::minutes(10),
            }],
            Remedy::Escalate("a sixth start would not help where five did not".to_owned()),
            Phase::Observe,
        ),
    ]
}
