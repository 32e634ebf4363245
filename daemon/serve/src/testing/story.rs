//! The night: a web server killed for memory and brought back, a database left alone because its
//! backup runs, and a filling disk that waits for a person.

mod capture;
mod page;
mod records;
mod series;
pub use capture::{coverage, events, probes, top};
use page::queues;
pub use page::{playbooks, status};
pub(crate) use records::record;
pub use records::records;
pub use series::{baselines, series};

use std::collections::BTreeMap;

use hostmedic_model::{
    anomaly::{Anomaly, Forecast, Severity},
    calendar::{Activity, Calendar, CalendarReading, Due, Inhibitor, Purpose},
    capture::Part,
    command::{Operator, Proposal},
    decision::{Decision, GuardVerdict, PlaybookRef, Stance, Verdict},
    incident::{Evidence, Incident, IncidentId, IncidentStatus},
    intent::{Intent, IntentId},
    loss::{Coverage, HookCounters, HookReport},
    outcome::{CheckResult, Outcome, StepEnd, StepResult, Verification},
    playbook::{Phase, Verb},
    record::{Body, Captured, CoverageRow, RECORD_VERSION, Record, Started},
    sample::{Measure, Sample, Series},
    signal::{Fact, OomKill, Signal},
    subject::{Subject, UnitName},
    time::{At, BootId, Span},
    unit::{ActiveState, Resources, UnitSnapshot, UnitState, Vitals},
};

/// The kernel kills the web server: 2026-08-14 02:17:03.412 UTC.
pub const T0: At = At {
    boot_ns: 266_400_000_000_000,
    wall_ms: 1_786_673_823_412,
};

/// The host's id.
pub const HOST: &str = "3f1c5a9be2d04c778f0a6b1d92e4c3a5";

/// The incident that was resolved.
pub const RESOLVED: &str = "inc_20260814_021703_9f2c41d0";

/// The incident that is held.
pub const HELD: &str = "inc_20260814_023011_51be07aa";

/// The incident that waits for an operator.
pub const WAITING: &str = "inc_20260814_024500_c0ffee11";
const BINDING: &str = "7b1d0c5f3e9a48264d1f60b7a2c85e9301f4d6ab7c8e92035a6b4d1f7e0c9b82";

/// The moment `ms` milliseconds after [`T0`].
pub fn at(ms: u64) -> At {
    T0.plus(std::time::Duration::from_millis(ms))
}

fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap_or_else(|error| panic!("the story is wrong: {error}"))
}

fn id(text: &str) -> IncidentId {
    IncidentId(text.to_owned())
}

fn playbook_ref(name: &str) -> PlaybookRef {
    PlaybookRef {
        name: name.to_owned(),
        version: 1,
        sha256: "5e1f".repeat(16),
    }
}

fn operator() -> Operator {
    Operator {
        uid: 1000,
        name: "ada".to_owned(),
    }
}

fn state(active: ActiveState, sub: &str, result: &str, invocation: &str) -> UnitState {
    UnitState {
        active,
        sub: sub.to_owned(),
        result: result.to_owned(),
        invocation_id: Some(invocation.repeat(4)),
        n_restarts: 0,
    }
}

fn snapshot(name: &str, at: At, state: UnitState, main_pid: u32) -> UnitSnapshot {
    UnitSnapshot {
        at,
        unit: unit(name),
        load_state: "loaded".to_owned(),
        state,
        slice: Some(unit("system.slice")),
        restart_policy: "no".to_owned(),
        start_limit_burst: 5,
        start_limit_interval: Span::secs(10),
        pending_job: None,
        refuse_manual_start: false,
        refuse_manual_stop: false,
        stop_closure: vec![unit("web-metrics.service")],
        control_group: format!("/system.slice/{name}"),
        memory_current_bytes: (main_pid != 0).then_some(48_234_496),
        main_pid,
        exec_main_code: if main_pid == 0 { 2 } else { 0 },
        exec_main_status: if main_pid == 0 { 9 } else { 0 },
        resources: Resources::default(),
        vitals: Vitals::default(),
    }
}

fn oom_kill(name: &str, at: At, pid: u32, comm: &str) -> Evidence {
    Evidence::Signal(Signal {
        at,
        subject: Subject::Unit(unit(name)),
        fact: Fact::OomKill(OomKill {
            pid,
            comm: comm.to_owned(),
            started_boot_ns: T0.boot_ns - 5_000_000_000,
            cgroup_id: 7411,
            oom_score_adj: Some(0),
            ..OomKill::default()
        }),
    })
}

fn failed(name: &str, at: At, invocation: &str) -> Evidence {
    Evidence::Signal(Signal {
        at,
        subject: Subject::Unit(unit(name)),
        fact: Fact::UnitState(state(ActiveState::Failed, "failed", "oom-kill", invocation)),
    })
}

/// A backup runs, another timer is due, and somebody holds a lock.
pub fn calendar(at: At) -> Calendar {
    Calendar {
        at,
        running: vec![Activity {
            name: "db-backup.service".to_owned(),
            began_by: "db-backup.timer".to_owned(),
            purpose: Purpose::Backup,
            pid: Some(5120),
            related: vec![unit("db.service")],
        }],
        due: vec![Due {
            timer: unit("logrotate.timer"),
            unit: unit("logrotate.service"),
            at_wall_ms: at.wall_ms + 1_500_000,
            purpose: Purpose::Other,
            related: Vec::new(),
        }],
        inhibitors: vec![Inhibitor {
            what: "shutdown".to_owned(),
            who: "apt".to_owned(),
            why: "installing packages".to_owned(),
            mode: "block".to_owned(),
        }],
    }
}

fn guards(calendar: (Stance, &str)) -> Vec<GuardVerdict> {
    [
        (
            "protected_unit",
            Stance::Pass,
            "not on the list of protected units",
        ),
        ("calendar", calendar.0, calendar.1),
        ("cooldown", Stance::Pass, "no attempt within 5m"),
        ("unit_rate", Stance::Pass, "0 of 1 attempts within 1h"),
        ("start_limit", Stance::Pass, "1 of 5 starts within 10s"),
        ("phase", Stance::Pass, "host and playbook are autonomous"),
    ]
    .into_iter()
    .map(|(guard, stance, reason)| GuardVerdict {
        guard: guard.to_owned(),
        stance,
        reason: reason.to_owned(),
    })
    .collect()
}

fn resolved_incident() -> Incident {
    Incident {
        id: id(RESOLVED),
        subject: Subject::Unit(unit("web.service")),
        title: "web.service was killed for lack of memory and is down".to_owned(),
        severity: Severity::Critical,
        status: IncidentStatus::Resolved,
        opened_at: T0,
        last_at: at(9),
        closed_at: Some(at(10_689)),
        evidence: vec![
            oom_kill("web.service", T0, 4242, "web"),
            failed("web.service", at(9), "0a1b2c3d"),
        ],
        extended: 1,
        recurrences_30d: 0,
        parent: None,
        similar: None,
    }
}

fn held_incident() -> Incident {
    Incident {
        id: id(HELD),
        subject: Subject::Unit(unit("db.service")),
        title: "db.service was killed for lack of memory and is down".to_owned(),
        severity: Severity::Critical,
        status: IncidentStatus::Held,
        opened_at: at(788_000),
        last_at: at(788_000),
        closed_at: None,
        evidence: vec![oom_kill("db.service", at(788_000), 4890, "postgres")],
        extended: 0,
        recurrences_30d: 2,
        parent: None,
        similar: None,
    }
}

fn waiting_incident() -> Incident {
    let series = Series {
        subject: Subject::Mount("/var".to_owned()),
        measure: Measure::DiskUsedRatio,
    };
    Incident {
        id: id(WAITING),
        subject: Subject::Mount("/var".to_owned()),
        title: "/var is filling up, and the journal is its top consumer".to_owned(),
        severity: Severity::Warning,
        status: IncidentStatus::AwaitingApproval,
        opened_at: at(1_677_000),
        last_at: at(1_677_000),
        closed_at: None,
        evidence: vec![
            Evidence::Anomaly(Anomaly {
                at: at(1_677_000),
                series: series.clone(),
                observed: 0.93,
                expected: 0.61,
                spread: 0.08,
                deviation: 4.0,
                severity: Severity::Warning,
                confidence: 0.8,
                forecast: Some(Forecast {
                    growth_per_hour: 0.04,
                    growth_margin: 0.01,
                    usual_growth_per_hour: 0.0,
                    exhausted_in_s: 6300,
                }),
                together: Vec::new(),
            }),
            Evidence::Sample(Sample {
                at: at(1_677_000),
                series,
                value: 0.93,
            }),
        ],
        extended: 1,
        recurrences_30d: 0,
        parent: None,
        similar: None,
    }
}

/// The three incidents, newest first.
pub fn incidents() -> Vec<Incident> {
    vec![waiting_incident(), held_incident(), resolved_incident()]
}

fn proposal() -> Proposal {
    Proposal {
        incident: id(WAITING),
        binding: BINDING.to_owned(),
        summary: "start hostmedic-journal-vacuum@var.service, then check that disk_used_ratio \
                  of mount /var is below 0.85"
            .to_owned(),
        from: at(1_677_020),
        span: Span::minutes(30),
    }
}

fn intent() -> Intent {
    Intent {
        id: IntentId(format!("{RESOLVED}/1.1")),
        at: at(31),
        boot: boot(),
        incident: id(RESOLVED),
        playbook: playbook_ref("unit-oom-dead"),
        verb: Verb::Restart,
        unit: unit("web.service"),
        slice: Some(unit("system.slice")),
        wait_max: Span::secs(30),
        invocation_before: Some("0a1b2c3d".repeat(4)),
        closure_before: vec![unit("web-metrics.service")],
        approved_by: None,
        change: None,
        inverse: None,
        undoes: None,
    }
}

fn boot() -> BootId {
    BootId("6d7f0c1e-3b52-4a9e-8f60-2c1d9e7a5b43".to_owned())
}

fn acted() -> Decision {
    Decision {
        at: at(30),
        incident: id(RESOLVED),
        verdict: Verdict::Act,
        reason: "every guard passed".to_owned(),
        playbook: Some(playbook_ref("unit-oom-dead")),
        target: Some(unit("web.service")),
        phase: Phase::Autonomous,
        guards: guards((
            Stance::Pass,
            "nothing runs or is due that concerns web.service",
        )),
        unit: Some(snapshot(
            "web.service",
            at(28),
            state(ActiveState::Failed, "failed", "oom-kill", "0a1b2c3d"),
            0,
        )),
        calendar: Some(CalendarReading::Readable(Calendar {
            at: at(29),
            ..Calendar::default()
        })),
    }
}

fn held() -> Decision {
    Decision {
        at: at(788_021),
        incident: id(HELD),
        verdict: Verdict::Hold,
        reason: "calendar: backup db-backup.service runs, begun by db-backup.timer".to_owned(),
        target: Some(unit("db.service")),
        guards: guards((
            Stance::Wait,
            "backup db-backup.service runs, begun by db-backup.timer",
        )),
        unit: Some(snapshot(
            "db.service",
            at(788_018),
            state(ActiveState::Failed, "failed", "oom-kill", "4e5f6a7b"),
            0,
        )),
        calendar: Some(CalendarReading::Readable(calendar(at(788_020)))),
        ..acted()
    }
}

fn proposed() -> Decision {
    let mut guards = guards((Stance::Pass, "nothing runs or is due that concerns /var"));
    if let Some(phase) = guards.last_mut() {
        phase.stance = Stance::Ask;
        phase.reason = "playbook journal-fills-disk goes no further than assist".to_owned();
    }
    Decision {
        at: at(1_677_015),
        incident: id(WAITING),
        verdict: Verdict::Propose,
        reason: "phase: playbook journal-fills-disk goes no further than assist".to_owned(),
        playbook: Some(playbook_ref("journal-fills-disk")),
        target: Some(unit("hostmedic-journal-vacuum@var.service")),
        guards,
        unit: None,
        calendar: Some(CalendarReading::Unreadable {
            at: at(1_677_014),
            reason: "logind did not answer within 2s".to_owned(),
        }),
        ..acted()
    }
}

fn captured() -> Captured {
    Captured {
        incident: id(RESOLVED),
        intent: intent().id,
        at: at(44),
        journal: vec![
            "web[4242]: cache grows to 190 MiB".to_owned(),
            "systemd[1]: web.service: Main process exited, code=killed, status=9/KILL".to_owned(),
            // A victim's own words may try to take the reader's terminal over.
            "web[4242]: \u{1b}[2Jall is well".to_owned(),
        ],
        cgroup: BTreeMap::from([
            ("memory.events".to_owned(), "oom 1\noom_kill 1\n".to_owned()),
            ("memory.max".to_owned(), "67108864\n".to_owned()),
        ]),
        parts: vec![
            Part {
                name: "proc.tree".to_owned(),
                lines: vec![
                    "4242 S web, 12 threads: web serve --token=(secret)".to_owned(),
                    "  4250 D worker, 1 thread: web worker".to_owned(),
                ],
            },
            Part {
                name: "systemd.jobs".to_owned(),
                lines: vec![],
            },
        ],
        missing: vec!["memory.peak: not there on this kernel".to_owned()],
    }
}

fn step_end() -> StepEnd {
    StepEnd {
        at: at(208),
        intent: intent().id,
        result: StepResult::Job {
            result: "done".to_owned(),
            path: "/org/freedesktop/systemd1/job/1207".to_owned(),
        },
        after: Some(snapshot(
            "web.service",
            at(210),
            state(ActiveState::Active, "running", "success", "8c9d0e1f"),
            4377,
        )),
    }
}

fn outcome() -> Outcome {
    let check = |check: &str, observed: &str| CheckResult {
        check: check.to_owned(),
        passed: true,
        observed: observed.to_owned(),
    };
    Outcome {
        at: at(10_688),
        intent: intent().id,
        incident: id(RESOLVED),
        verification: Verification::Resolved,
        checks: vec![
            check("the unit is active", "active (running)"),
            check("the unit has a new invocation", "8c9d0e1f, was 0a1b2c3d"),
            check("no oom_kill since the step ended", "0 in 10.4s"),
        ],
        undoing: Vec::new(),
    }
}

fn hooks() -> Vec<HookReport> {
    let hook = |hook: &str, attach_point: &str, coverage, reason: &str| HookReport {
        hook: hook.to_owned(),
        attach_point: attach_point.to_owned(),
        coverage,
        reason: reason.to_owned(),
    };
    vec![
        hook("oom_victim", "tp_btf/mark_victim", Coverage::Captured, ""),
        hook(
            "process_exec",
            "tp_btf/sched_process_exec",
            Coverage::Degraded,
            "no cgroup id: this kernel has no cgroup v2 hierarchy in use",
        ),
        hook(
            "process_exit",
            "tp_btf/sched_process_exit",
            Coverage::Absent,
            "the layout attestation failed: start time differs from /proc",
        ),
    ]
}

fn counters() -> Vec<HookCounters> {
    vec![
        HookCounters {
            hook: "oom_victim".to_owned(),
            seen: 2,
            delivered: 2,
            ..HookCounters::default()
        },
        HookCounters {
            hook: "process_exec".to_owned(),
            seen: 184_207,
            delivered: 181_990,
            ring_full: 13,
            filtered: 2_200,
            missed: 4,
            ..HookCounters::default()
        },
        HookCounters {
            hook: "process_exit".to_owned(),
            ..HookCounters::default()
        },
    ]
}
