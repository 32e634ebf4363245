//! One sample, at least, of every variant of the model that the API can show.
//!
//! The matches have no wildcard: a new variant does not compile before it has its line here, and
//! then the schema tests ask for it in `openapi.json`.

mod facts;
mod incidents;
mod playbooks;
mod undo;

use hostmedic_model::{
    anomaly::Severity,
    calendar::{CalendarReading, Purpose},
    capture::CaptureKind,
    command::{Command, Judgement, Operator},
    decision::{Stance, Verdict},
    incident::{Evidence, IncidentId, IncidentStatus},
    intent::IntentId,
    loss::{Blind, Coverage, HookMode, HookModeChange},
    matched::MatchRoute,
    outcome::{StepEnd, StepResult, Verification},
    playbook::{
        Check, Condition, Need, Otherwise, Phase, Playbook, Remedy, RiskClass, SignalFilter,
        Target, Verb,
    },
    property::{Amount, Property},
    record::{Body, CommandRecord},
    sample::Measure,
    signal::{
        BlockOperation, DropPlace, Fact, FilesystemTrouble, HardwareSource, LogLines, LogPriority,
        MemoryEvent, NetCounterKind, OomScope, OomVerdict, PortClass, PressureOf, Sender, Signal,
        SignalKind, TcpTroubleKind,
    },
    subject::{Subject, UnitName},
    time::Span,
    unit::{ActiveState, UnitState},
    view::{CommandAnswer, CoverageQuery, FlowEnd, Gap, HookCoverage, Missed, Warmth},
};
use hostmedic_serve::testing;
use serde::Serialize;
use serde_json::Value;

fn json<T: Serialize>(values: impl IntoIterator<Item = T>) -> Vec<Value> {
    values
        .into_iter()
        .map(|value| serde_json::to_value(value).unwrap())
        .collect()
}

/// Every sample, by the name of its schema.
pub(crate) fn all() -> Vec<(&'static str, Vec<Value>)> {
    let steps: Vec<Playbook> = testing::playbooks();
    let mut triggers = playbooks::groups();
    let mut targets = vec![Target::Unit(unit())];
    let mut checks = playbooks::checks();
    for playbook in &steps {
        triggers.extend(playbook.trigger.clone());
        triggers.extend(playbook.none.clone());
        if let Remedy::Steps { steps, verify } = &playbook.remedy {
            targets.extend(steps.iter().map(|step| step.target.clone()));
            checks.extend(verify.checks.clone());
        }
    }
    vec![
        ("Status", json([testing::status()])),
        ("Incident", json(incidents::incidents())),
        ("Record", json(testing::records())),
        ("Matched", json(incidents::advised())),
        ("Playbook", json(testing::playbooks())),
        ("Body", covered(bodies(), body)),
        ("Command", covered(commands(), command)),
        ("Evidence", covered(evidence(), evidence_kind)),
        ("Fact", covered(every_fact(), fact)),
        ("Subject", covered(subjects(), subject)),
        ("OomScope", covered(facts::scopes(), scope)),
        ("Sender", covered(facts::senders(), sender)),
        ("PortClass", covered(facts::ports(), port)),
        ("StepResult", covered(step_results(), step_result)),
        ("CalendarReading", covered(readings(), reading)),
        ("Condition", covered(triggers, condition)),
        ("SignalFilter", covered(playbooks::filters(), filter)),
        ("Check", covered(checks, check)),
        ("Target", covered(targets, target)),
        ("Need", covered(playbooks::needs(), need)),
        ("PreCheck", json([playbooks::pre_check()])),
        ("Amount", covered(undo::amounts(), amount)),
        ("StepTemplate", json([undo::step()])),
        ("VerifyPlan", json([undo::plan()])),
        ("Resources", json([undo::resources()])),
        ("Vitals", json([undo::vitals()])),
        ("Watchdog", json([undo::vitals().watchdog])),
        ("Remedy", covered(remedies(steps), remedy)),
        (
            "CommandAnswer",
            json([CommandAnswer {
                answer: "paused".to_owned(),
            }]),
        ),
        ("Probes", json([testing::probes()])),
        ("Top", json([testing::top()])),
        ("EventRow", json(testing::events())),
        ("FlowEnd", covered(flow_ends(), flow_end)),
        ("HookCoverage", json(coverages())),
        ("Gap", covered(gaps(), gap)),
        ("BaselineList", json([testing::baselines()])),
        ("SeriesView", json([testing::series()])),
        ("Anomaly", json(testing::series().anomalies)),
        ("Warmth", covered(warmths(), warmth)),
        ("Missed", json([Missed { missed: 3 }])),
        (
            "Blind",
            json([Blind {
                from: testing::T0,
                to: testing::at(60_000),
                rebooted: true,
            }]),
        ),
    ]
}

/// Writes samples after a check that they are of all `(index, count)` kinds.
fn covered<T: Serialize>(samples: Vec<T>, kind: fn(&T) -> (usize, usize)) -> Vec<Value> {
    let count = kind(&samples[0]).1;
    for index in 0..count {
        let found = samples.iter().any(|sample| kind(sample).0 == index);
        assert!(
            found,
            "no sample of variant {index} of {}",
            std::any::type_name::<T>()
        );
    }
    json(samples)
}

/// An exhaustive numbering of an enum's variants.
macro_rules! kinds {
    ($name:ident($type:ident): $($variant:ident),+ $(,)?) => {
        fn $name(value: &$type) -> (usize, usize) {
            let names = [$(stringify!($variant)),+];
            let name = match value {
                $($type::$variant { .. } => stringify!($variant)),+
            };
            let index = names.iter().position(|known| *known == name).unwrap();
            (index, names.len())
        }
    };
}

kinds!(body(Body): Started, Stopped, Coverage, IncidentOpened, IncidentExtended, IncidentClosed,
    HookMode, Decision, Proposed, Command, Inhibited, Intent, Captured, StepEnded, Indeterminate, Outcome,
    ReplicationRefused, Matched);
kinds!(command(Command): Approve, Reject, Inhibit, LiftInhibit, Judge, Pause, Resume);
kinds!(evidence_kind(Evidence): Signal, Anomaly, Sample, Notice, Child);
kinds!(fact(Fact): OomKill, FatalSignal, ProcessExec, ProcessExit, Zombies, HungTask, RcuStall,
    HardwareError, BlockError, ScsiError, WritebackError, FilesystemError, MountReadOnly,
    PacketDrops, TcpTrouble, TransmitTimeout, NetCounter, Pressure, MemoryEvents, CgroupMade,
    CgroupRemoved, CgroupAttached, UnitState, UnitWatchdog, UnitRemoved, LogLines, LinkChanges);
kinds!(subject(Subject): Host, Unit, Mount, Device, Interface, Cgroup, Certificate);
kinds!(scope(OomScope): Unknown, Global, Cgroup);
kinds!(sender(Sender): Kernel, Process);
kinds!(port(PortClass): Unknown, WellKnown, Registered, Ephemeral);
kinds!(step_result(StepResult): Job, Refused, Unknown);
kinds!(reading(CalendarReading): Readable, Unreadable);
kinds!(warmth(Warmth): Cold, Warming, Warm);
kinds!(condition(Condition): Signal, UnitState, Starts, Above, Below, Held, All, Any, None, Unseen);
kinds!(filter(SignalFilter): PressureOf, MemoryEvent, OomOfHost, FatalSignal);
kinds!(need(Need): Fresh, Active, ClosureAtMost, StartsLeft, NoJob, NotFrozen, Quiet, Below, Above, NoSignal);
kinds!(check(Check): UnitActive, NewInvocation, WatchdogPings, NoSignal, Below, Above, FellBy, ClosureRestored, Held);
kinds!(amount(Amount): To, OfCurrent);
kinds!(target(Target): Subject, Unit, Action);
kinds!(remedy(Remedy): Steps, Escalate, Unbuilt);

kinds!(flow_end(FlowEnd): Local, Remote);
kinds!(gap(Gap): Absent, Reduced, Rebooted, NotRunning, BeforeChain, NoRow, Open);

fn remedies(library: Vec<Playbook>) -> Vec<Remedy> {
    let mut remedies: Vec<_> = library.into_iter().map(|p| p.remedy).collect();
    remedies.push(Remedy::Unbuilt("memory.reclaim".to_owned()));
    remedies
}

fn flow_ends() -> Vec<FlowEnd> {
    let flows = testing::top().flows.into_iter();
    flows.flat_map(|flow| [flow.from, flow.to]).collect()
}

fn coverages() -> Vec<HookCoverage> {
    let ask = |hook: &str| {
        testing::coverage(&CoverageQuery {
            hook: hook.to_owned(),
            since_ms: testing::T0.wall_ms,
            until_ms: None,
        })
    };
    ["oom_victim", "process_exec", "process_exit"]
        .into_iter()
        .filter_map(ask)
        .collect()
}

fn gaps() -> Vec<Gap> {
    vec![
        Gap::Absent {
            reason: "no BTF".to_owned(),
        },
        Gap::Reduced {
            mode: HookMode::Count,
        },
        Gap::Rebooted,
        Gap::NotRunning,
        Gap::BeforeChain,
        Gap::NoRow,
        Gap::Open,
    ]
}

fn warmths() -> Vec<Warmth> {
    vec![Warmth::Cold, Warmth::Warming { share: 0.5 }, Warmth::Warm]
}

fn unit() -> UnitName {
    UnitName::new("web.service").unwrap()
}

fn operator() -> Operator {
    Operator {
        uid: 1000,
        name: "ada".to_owned(),
    }
}

fn subjects() -> Vec<Subject> {
    vec![
        Subject::Host,
        Subject::Unit(unit()),
        Subject::Mount("/var".to_owned()),
        Subject::Device("sdb".to_owned()),
        Subject::Interface("eth0".to_owned()),
        Subject::Cgroup("id:7411".to_owned()),
        Subject::Certificate("/etc/letsencrypt/live/shop/fullchain.pem".to_owned()),
    ]
}

fn every_fact() -> Vec<Fact> {
    let mut facts: Vec<Fact> = evidence_of_the_night()
        .into_iter()
        .filter_map(|evidence| match evidence {
            Evidence::Signal(signal) => Some(signal.fact),
            _ => None,
        })
        .collect();
    facts.extend(facts::facts());
    facts.push(Fact::UnitState(UnitState {
        active: ActiveState::Inactive,
        sub: "dead".to_owned(),
        result: String::new(),
        invocation_id: None,
        n_restarts: 2,
    }));
    facts.push(Fact::UnitWatchdog);
    facts.push(Fact::UnitRemoved);
    facts.push(Fact::LogLines(LogLines {
        template: "cannot reach (address)".to_owned(),
        id: u64::MAX,
        count: 20,
        priority: LogPriority::Error,
        left_out: 900,
    }));
    facts
}

fn evidence_of_the_night() -> Vec<Evidence> {
    testing::incidents()
        .into_iter()
        .flat_map(|incident| incident.evidence)
        .collect()
}

fn evidence() -> Vec<Evidence> {
    let mut evidence = evidence_of_the_night();
    evidence.extend(incidents::evidence());
    evidence.extend(every_fact().into_iter().map(|fact| {
        Evidence::Signal(Signal {
            at: testing::T0,
            subject: Subject::Host,
            fact,
        })
    }));
    evidence
}

fn commands() -> Vec<Command> {
    let incident = IncidentId(testing::WAITING.to_owned());
    let reason = "let me look".to_owned();
    vec![
        Command::Approve {
            incident: incident.clone(),
            binding: None,
        },
        Command::Approve {
            incident: incident.clone(),
            binding: Some("7b1d".to_owned()),
        },
        Command::Judge {
            incident: incident.clone(),
            playbook: None,
            judgement: Judgement::Right,
        },
        Command::Judge {
            incident: incident.clone(),
            playbook: Some("journal-fills-disk".to_owned()),
            judgement: Judgement::Wrong,
        },
        Command::Reject {
            incident,
            reason: reason.clone(),
        },
        Command::Inhibit {
            unit: None,
            span: Span::minutes(90),
            reason: reason.clone(),
        },
        Command::Inhibit {
            unit: Some(unit()),
            span: Span::secs(1),
            reason: reason.clone(),
        },
        Command::LiftInhibit { id: 7 },
        Command::Pause { reason },
        Command::Resume,
    ]
}

fn step_results() -> Vec<StepResult> {
    let reason = "connection to the bus was lost".to_owned();
    vec![
        StepResult::Job {
            result: "done".to_owned(),
            path: String::new(),
        },
        StepResult::Refused {
            reason: reason.clone(),
        },
        StepResult::Unknown { reason },
    ]
}

fn readings() -> Vec<CalendarReading> {
    let reason = "logind did not answer".to_owned();
    vec![
        CalendarReading::Readable(testing::calendar(testing::T0)),
        CalendarReading::Unreadable {
            at: testing::T0,
            reason,
        },
    ]
}

fn bodies() -> Vec<Body> {
    let incident = IncidentId(testing::RESOLVED.to_owned());
    let intent = IntentId(format!("{incident}/1.1"));
    let reason = "sigterm".to_owned();
    let mut bodies: Vec<Body> = testing::records().into_iter().map(|r| r.body).collect();
    bodies.extend(undo::bodies());
    bodies.push(Body::Stopped {
        reason: reason.clone(),
    });
    bodies.push(Body::HookMode(HookModeChange {
        hook: "process_exec".to_owned(),
        from: HookMode::Stream,
        to: HookMode::Sample,
        cpu_ratio: 0.004,
        budget_ratio: 0.002,
        reason: "above its budget three times in a row".to_owned(),
    }));
    bodies.extend(testing::status().inhibits.into_iter().map(Body::Inhibited));
    bodies.push(Body::ReplicationRefused {
        reason: reason.clone(),
    });
    bodies.extend(commands().into_iter().map(|command| {
        Body::Command(CommandRecord {
            by: operator(),
            command,
            accepted: false,
            answer: "no".to_owned(),
        })
    }));
    bodies.extend(step_results().into_iter().map(|result| {
        Body::StepEnded(StepEnd {
            at: testing::T0,
            intent: intent.clone(),
            result,
            after: None,
        })
    }));
    bodies.extend(
        evidence()
            .into_iter()
            .map(|evidence| Body::IncidentExtended {
                incident: incident.clone(),
                evidence,
            }),
    );
    bodies.push(Body::Indeterminate {
        intent,
        incident,
        reason,
    });
    bodies
}

/// Every variant of an enum without fields; exhaustive like the matches above.
macro_rules! words {
    ($type:ident: $($variant:ident),+ $(,)?) => {{
        fn exhaustive(value: $type) {
            match value { $($type::$variant => ()),+ }
        }
        let every = [$($type::$variant),+];
        every.into_iter().for_each(exhaustive);
        (stringify!($type), json(every))
    }};
}

/// Every word of every enum without fields, by the name of its schema.
pub(crate) fn words() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        words!(ActiveState: Active, Reloading, Refreshing, Inactive, Failed, Activating,
            Deactivating, Maintenance, Unknown),
        words!(CaptureKind: UnitSnapshot, JournalTail, CgroupMemory, CgroupCpu, CgroupIo, KernelLog,
            ProcSmapsTop, ProcStacks, ProcFdsTop, ProcTree, CoredumpNewest, DiskUsageTop,
            DiskDeletedOpen, MdStatus, NetSocketsTop, NetCounters, NetAddresses, SysctlValues,
            SystemdJobs, UnitFiles, PackageHistory, ClockSources, CertificateChain),
        words!(Coverage: Captured, Degraded, Absent),
        words!(BlockOperation: Read, Write, Flush, Discard, SecureErase, WriteZeroes, Zone, Other),
        words!(DropPlace: Kernel, Receive, Transmit, Backlog),
        words!(FilesystemTrouble: Error, Shutdown),
        words!(HardwareSource: MemoryController, MemoryPage, Pcie, MachineCheck),
        words!(HookMode: Stream, Sample, Count, Off),
        words!(IncidentStatus: Open, Held, AwaitingApproval, Acting, Verifying, Undoing, Escalated,
            Resolved, Closed),
        words!(Judgement: Right, Wrong, Forget),
        words!(MatchRoute: None, Inform, Propose, Act),
        words!(Measure: CpuBusyRatio, MemoryUsedRatio, LoadPerCpu, DiskUsedRatio,
            JournalShareRatio, UnitMemoryBytes, ExecPerS, MemoryPressureSomeRatio, CpuPressureSomeRatio, IoPressureSomeRatio, SwapUsedRatio, ConntrackUsedRatio, PacketDropsPerS, TcpRetransmitsPerS, DiskFreeBytes, InodesUsedRatio, UnitAnonBytes, UnitMemoryLimitRatio, UnitTasksLimitRatio, UnitCpuShareRatio, CertificateUsedRatio, CertificateLeftS),
        words!(MemoryEvent: Low, High, Max, Oom, OomKill, OomGroupKill),
        words!(NetCounterKind: ListenOverflow, ListenDrop, ConntrackDrop, ConntrackEarlyDrop,
            UdpReceiveBuffer),
        words!(OomVerdict: Unconfirmed, Killed, AlreadyExiting, GroupMember),
        words!(PressureOf: Memory, Io, Cpu),
        words!(TcpTroubleKind: Retransmit, ResetSent, ResetReceived),
        words!(Property: MemoryHigh, MemoryLow, MemorySwapMax, CpuWeight, CpuQuota, TasksMax, IoWeight),
        words!(Phase: Observe, Assist, Autonomous),
        words!(Otherwise: Escalate, Wait, Ask),
        words!(RiskClass: ReadOnly, Reversible, Disruptive, Destructive, Containment),
        words!(Purpose: Backup, PackageTransaction, Other),
        words!(Severity: Info, Warning, Critical),
        words!(SignalKind: OomKill, FatalSignal, ProcessExec, ProcessExit, Zombies, HungTask,
            RcuStall, HardwareError, BlockError, ScsiError, WritebackError, FilesystemError,
            MountReadOnly, PacketDrops, TcpTrouble, TransmitTimeout, NetCounter, Pressure,
            MemoryEvents, CgroupMade, CgroupRemoved, CgroupAttached, UnitState, UnitWatchdog, UnitRemoved,
            LogLines, LinkChanges),
        words!(LogPriority: Warning, Error, Critical, Alert, Emergency),
        words!(Stance: Pass, Wait, Ask, Shadow, Refuse),
        words!(Verb: Restart, TryRestart, Start, ReloadOrTryRestart, ResetFailed, Stop, Reload,
            SetProperty),
        words!(Verdict: Act, Propose, Shadow, Hold, Escalate),
        words!(Verification: Resolved, Unchanged, Worse, Indeterminate),
    ]
}
