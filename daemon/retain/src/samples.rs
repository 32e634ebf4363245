//! Records of every kind, for this crate's tests.

use std::{collections::BTreeMap, time::Duration};

use hostmedic_model::{
    advice::{Advice, Lowered, Said},
    anomaly::{Anomaly, Forecast, Severity},
    calendar::{Calendar, CalendarReading, Due, Purpose},
    capture::Part,
    command::{Command, Inhibit, Judgement, Operator, Proposal},
    decision::{Decision, GuardVerdict, PlaybookRef, Stance, Verdict},
    incident::{Evidence, Incident, IncidentId, IncidentStatus},
    intent::{Intent, IntentId},
    loss::{Blind, Coverage, HookCounters, HookMode, HookModeChange, HookReport, QueueCounters},
    matched::{EvidenceCheck, MatchRoute, Matched, MatchedPlaybook},
    outcome::{CheckResult, Outcome, StepEnd, StepResult, Verification},
    playbook::{Phase, Verb},
    record::{Body, Captured, CommandRecord, CoverageRow, RECORD_VERSION, Record, Started},
    sample::{Measure, Sample, Series},
    signal::{Fact, OomKill, OomScope, OomVerdict, ProcessExec, ProcessExit, Signal, TaskRef},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals},
};

use crate::{
    canonical,
    chain::{Hash, Head, Link},
    keys::HostKey,
};

/// A record that is linked to nothing.
pub(crate) fn record_with(seq: u64, body: Body) -> Record {
    Record {
        version: RECORD_VERSION,
        seq,
        host: "0123456789abcdef0123456789abcdef".into(),
        boot: BootId("b6ec8ab6-0f9d-4b1c-8f4e-0d8c7f6a5b4e".into()),
        at: At {
            boot_ns: 1,
            wall_ms: 2,
        },
        prev: Hash::ZERO.to_string(),
        body,
    }
}

/// A body with this number as evidence.
pub(crate) fn sample_body(value: f64) -> Body {
    let series = Series {
        subject: Subject::Host,
        measure: Measure::LoadPerCpu,
    };
    let at = At {
        boot_ns: 5,
        wall_ms: 6,
    };
    Body::IncidentExtended {
        incident: incident_id(),
        evidence: Evidence::Sample(Sample { at, series, value }),
    }
}

/// Signed batches of these many short records each: the bytes of records and the heads.
pub(crate) fn chain(key: &HostKey, batches: &[usize]) -> Vec<(Vec<Vec<u8>>, Head)> {
    let (mut tip, mut made) = (Link::START, Vec::new());
    for (number, &size) in batches.iter().enumerate() {
        let from_seq = tip.seq + 1;
        let records = (0..size)
            .map(|_| {
                let body = Body::Stopped {
                    reason: format!("r{}", tip.seq + 1),
                };
                let mut record = record_with(tip.seq + 1, body);
                record.host = key.public().host_id();
                record.prev = tip.hash.to_string();
                let bytes = canonical::encode(&record).unwrap_or_else(|error| panic!("{error}"));
                tip = Link {
                    seq: record.seq,
                    hash: Hash::of(&bytes),
                };
                bytes
            })
            .collect();
        made.push((records, Head::sign(key, from_seq, tip, number as i64)));
    }
    made
}

fn incident_id() -> IncidentId {
    IncidentId("inc_20260102_030405_0a1b2c3d".into())
}

fn unit() -> UnitName {
    UnitName::new("web.service").unwrap_or_else(|error| panic!("{error}"))
}

/// Bodies of every kind, every 64-bit integer in them being `n` (or its like).
pub(crate) fn every_body(n: u64) -> Vec<Body> {
    let at = At {
        boot_ns: n,
        wall_ms: i64::MIN.wrapping_add_unsigned(n),
    };
    let span = Span(Duration::from_secs(90));
    let (incident, intent) = (incident_id(), IntentId(format!("{}/1", incident_id())));
    let by = Operator {
        uid: 1000,
        name: "ops".into(),
    };
    let playbook = PlaybookRef {
        name: "oom".into(),
        version: 1,
        sha256: "ab".into(),
    };
    let signal = |fact| {
        Evidence::Signal(Signal {
            at,
            subject: Subject::Unit(unit()),
            fact,
        })
    };
    let state = UnitState {
        active: ActiveState::Failed,
        sub: "failed".into(),
        result: "oom-kill".into(),
        invocation_id: Some("cafe".into()),
        n_restarts: 3,
    };
    let snapshot = UnitSnapshot {
        at,
        unit: unit(),
        load_state: "loaded".into(),
        state: state.clone(),
        slice: None,
        restart_policy: "no".into(),
        start_limit_burst: 5,
        start_limit_interval: Span(Duration::from_micros(n)),
        pending_job: None,
        refuse_manual_start: false,
        refuse_manual_stop: false,
        stop_closure: vec![unit()],
        control_group: "/system.slice/web.service".into(),
        memory_current_bytes: Some(n),
        main_pid: 0,
        exec_main_code: -1,
        exec_main_status: 9,
        resources: Resources::default(),
        vitals: Vitals::default(),
    };
    let series = Series {
        subject: Subject::Mount("/".into()),
        measure: Measure::DiskUsedRatio,
    };
    let evidence = vec![
        signal(Fact::OomKill(OomKill {
            pid: 1,
            comm: "web".into(),
            started_boot_ns: n,
            cgroup_id: n,
            oom_score_adj: Some(-5),
            rss_bytes: Some(n),
            killer: Some(TaskRef::default()),
            scope: OomScope::Cgroup {
                cgroup_id: n,
                path: "/a".into(),
            },
            verdict: OomVerdict::Killed,
        })),
        signal(Fact::ProcessExec(ProcessExec {
            pid: 1,
            started_boot_ns: n,
            comm: "tar".into(),
            cgroup_id: n,
        })),
        signal(Fact::ProcessExit(ProcessExit {
            pid: 1,
            started_boot_ns: n,
            comm: "tar".into(),
            cgroup_id: n,
            status: 1,
            signal: 0,
            peak_rss_bytes: n,
        })),
        signal(Fact::UnitState(state)),
        signal(Fact::UnitRemoved),
        Evidence::Anomaly(Anomaly {
            at,
            series: series.clone(),
            observed: 0.95,
            expected: 1e-7,
            spread: 0.1,
            deviation: 9.5,
            severity: Severity::Critical,
            confidence: 1.0,
            forecast: Some(Forecast {
                growth_per_hour: 0.1,
                growth_margin: 0.01,
                usual_growth_per_hour: 1e-7,
                exhausted_in_s: n,
            }),
            together: vec![series.measure],
        }),
        Evidence::Sample(Sample {
            at,
            series,
            value: 0.1 + 0.2,
        }),
    ];
    let calendar = CalendarReading::Readable(Calendar {
        at,
        due: vec![Due {
            timer: unit(),
            unit: unit(),
            at_wall_ms: at.wall_ms,
            purpose: Purpose::Backup,
            related: vec![],
        }],
        ..Calendar::default()
    });
    let decision = Decision {
        at,
        incident: incident.clone(),
        verdict: Verdict::Hold,
        reason: "backup runs".into(),
        playbook: Some(playbook.clone()),
        target: Some(unit()),
        phase: Phase::Autonomous,
        guards: vec![GuardVerdict {
            guard: "calendar".into(),
            stance: Stance::Wait,
            reason: "é\u{1f600}\"\\".into(),
        }],
        unit: Some(snapshot.clone()),
        calendar: Some(calendar),
    };
    let commands = [
        Command::Approve {
            incident: incident.clone(),
            binding: None,
        },
        Command::Reject {
            incident: incident.clone(),
            reason: "no".into(),
        },
        Command::Judge {
            incident: incident.clone(),
            playbook: Some("restart".into()),
            judgement: Judgement::Wrong,
        },
        Command::Inhibit {
            unit: None,
            span,
            reason: "move".into(),
        },
        Command::LiftInhibit { id: n },
        Command::Pause {
            reason: "no".into(),
        },
        Command::Resume,
    ];
    let results = [
        StepResult::Job {
            result: "done".into(),
            path: "/org/freedesktop/systemd1/job/1".into(),
        },
        StepResult::Refused {
            reason: "no".into(),
        },
        StepResult::Unknown {
            reason: "bus".into(),
        },
    ];
    let counters = HookCounters {
        hook: "oom_victim".into(),
        seen: n,
        delivered: n,
        aggregated: n,
        sampled_out: n,
        rate_limited: n,
        ring_full: n,
        map_full: n,
        filtered: n,
        missed: n,
        recovered: n,
    };
    let queues = QueueCounters {
        read: n,
        undecodable: n,
        queue_full: n,
        other: n,
        taken: n,
        stored: n,
        not_stored: n,
    };
    let mut bodies = vec![
        Body::Started(Started {
            version: "0.1.0".into(),
            kernel: "6.18".into(),
            hostname: "web1".into(),
            hooks: vec![HookReport {
                hook: "oom_victim".into(),
                attach_point: "oom:mark_victim".into(),
                coverage: Coverage::Captured,
                reason: String::new(),
            }],
            playbooks: vec![playbook.clone()],
            phase: Phase::Observe,
            blind: Some(Blind {
                from: at,
                to: at,
                rebooted: true,
            }),
        }),
        Body::Stopped {
            reason: "asked".into(),
        },
        Body::HookMode(HookModeChange {
            hook: "process_exec".into(),
            from: HookMode::Stream,
            to: HookMode::Sample,
            cpu_ratio: 0.004,
            budget_ratio: 0.002,
            reason: "above its budget".into(),
        }),
        Body::Coverage(CoverageRow {
            from: at,
            to: at,
            reduced: vec![("process_exec".into(), HookMode::Sample)],
            hooks: vec![counters],
            queues,
        }),
        Body::IncidentOpened(Incident {
            id: incident.clone(),
            subject: Subject::Unit(unit()),
            title: "killed for memory".into(),
            severity: Severity::Critical,
            status: IncidentStatus::Open,
            opened_at: at,
            last_at: at,
            closed_at: Some(at),
            evidence: evidence.clone(),
            extended: 2,
            recurrences_30d: 1,
            parent: None,
            similar: None,
        }),
        Body::IncidentClosed {
            incident: incident.clone(),
            status: IncidentStatus::Resolved,
            reason: "verified".into(),
        },
        Body::Matched(Matched {
            at,
            incident: incident.clone(),
            text: "Service web.service: é".into(),
            candidates: vec![MatchedPlaybook {
                playbook: "restart".into(),
                score: 0.9312,
                nearness: 0.6,
                bm25: 21.5,
                phrases: 2,
                trigger_fired: true,
                wording: 0.0,
                familiar: 0.0,
                numbers: 0.0,
                not_for_excess: 0.0,
                not_for_words: 0.0,
                margin: -0.25,
                matched: 0.94,
                record_shift: 0.0,
                recurrence_shift: 0.25,
                evidence_shift: 2.3001,
                confidence: 0.9937,
                evidence: EvidenceCheck {
                    supported: vec!["oom_kill: 1 of 1 within 2m".into()],
                    missing: vec![],
                    contradicted: vec!["\u{1f600}".into()],
                },
            }],
            route: MatchRoute::Act,
            tie: false,
            problem: Some("no answer".into()),
            advice: Some(Advice {
                model: "small".into(),
                question: "ab".into(),
                said: Some(Said {
                    playbook: None,
                    confidence: 0.25,
                    hypothesis: "The heap grew; é.".into(),
                }),
                problem: None,
                lowered: vec![Lowered {
                    playbook: "restart".into(),
                    from: 0.9937,
                    to: 0.84,
                }],
            }),
        }),
        Body::Decision(decision),
        Body::Proposed(Proposal {
            incident: incident.clone(),
            binding: "ab".into(),
            summary: "restart".into(),
            from: at,
            span,
        }),
        Body::Inhibited(Inhibit {
            id: n,
            unit: None,
            from: at,
            span,
            reason: "move".into(),
            by: by.clone(),
        }),
        Body::Intent(Intent {
            id: intent.clone(),
            at,
            boot: BootId("b".into()),
            incident: incident.clone(),
            playbook,
            verb: Verb::Restart,
            unit: unit(),
            slice: None,
            wait_max: span,
            invocation_before: None,
            closure_before: vec![],
            approved_by: None,
            change: None,
            inverse: None,
            undoes: None,
        }),
        Body::Captured(Captured {
            incident: incident.clone(),
            intent: intent.clone(),
            at,
            journal: vec!["18446744073709551615".into(), "line\n".into()],
            cgroup: BTreeMap::from([("memory.max".into(), "max".into())]),
            parts: vec![Part {
                name: "proc.tree".into(),
                lines: vec!["42 S web: web --token=(secret)".into()],
            }],
            missing: vec![],
        }),
        Body::Indeterminate {
            intent: intent.clone(),
            incident: incident.clone(),
            reason: "killed".into(),
        },
        Body::Outcome(Outcome {
            at,
            intent: intent.clone(),
            incident: incident.clone(),
            verification: Verification::Resolved,
            checks: vec![CheckResult {
                check: "active".into(),
                passed: true,
                observed: "active".into(),
            }],
            undoing: Vec::new(),
        }),
        Body::ReplicationRefused {
            reason: "forked".into(),
        },
    ];
    bodies.extend(evidence.into_iter().map(|evidence| Body::IncidentExtended {
        incident: incident.clone(),
        evidence,
    }));
    bodies.extend(commands.map(|command| {
        Body::Command(CommandRecord {
            by: by.clone(),
            command,
            accepted: true,
            answer: "ok".into(),
        })
    }));
    bodies.extend(results.map(|result| {
        Body::StepEnded(StepEnd {
            at,
            intent: intent.clone(),
            result,
            after: Some(snapshot.clone()),
        })
    }));
    bodies
}
