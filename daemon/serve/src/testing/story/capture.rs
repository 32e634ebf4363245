//! The made-up night as the capture layer saw it: the hooks' account, a live picture, and events.

use hostmedic_model::{
    loss::{Blind, HookMode},
    signal::{
        BlockError, BlockOperation, Device, DropPlace, FatalSignal, PacketDrops, PortClass,
        ProcessExec, ProcessExit, Sender, TaskRef,
    },
    view::{
        Budget, CoveragePart, CoverageQuery, EventRow, Flow, FlowEnd, Gap, HookCoverage, ProbeRow,
        Probes, Top, TopDevice, TopDrop, TopUnit, WallSpan,
    },
};

use super::*;

/// `medic probes`: three hooks of which one is sampled and one absent, after a restart.
pub fn probes() -> Probes {
    let rows = [
        (HookMode::Stream, 0.001, None, 0.0),
        (HookMode::Sample, 104.2, Some(412), 0.000_043),
        (HookMode::Off, 0.0, None, 0.0),
    ];
    let hooks = hooks().into_iter().zip(counters()).zip(rows);
    Probes {
        at: at(1_760_000),
        covered_since: T0,
        blind: Some(Blind {
            from: At {
                boot_ns: T0.boot_ns - 42_000_000_000,
                wall_ms: T0.wall_ms - 42_000,
            },
            to: T0,
            rebooted: false,
        }),
        over_s: 10.0,
        hooks: hooks
            .map(
                |((report, counters), (mode, per_s, run_ns, cpu_ratio))| ProbeRow {
                    report,
                    mode,
                    counters,
                    per_s,
                    run_ns,
                    cpu_ratio,
                },
            )
            .collect(),
        queues: queues(),
        map_bytes: 2_785_280,
        rss_bytes: 23_592_960,
        budget: Budget {
            hook_ratio: 0.002,
            all_ratio: 0.01,
        },
        untimed: None,
    }
}

/// `medic top`: a busy web server behind a firewall that drops, and a slow disk.
pub fn top() -> Top {
    let quiet = |name: &str| TopUnit {
        subject: Subject::Unit(unit(name)),
        execs_per_s: 0.0,
        forks_per_s: 0.0,
        exits_per_s: 0.0,
        signals_per_s: 0.0,
        retransmits_per_s: 0.0,
        resets_per_s: 0.0,
        drops_per_s: 0.0,
    };
    Top {
        at: at(1_760_000),
        over_s: 10.0,
        units: vec![
            TopUnit {
                execs_per_s: 12.4,
                forks_per_s: 14.0,
                exits_per_s: 13.9,
                retransmits_per_s: 3.2,
                drops_per_s: 40.0,
                ..quiet("web.service")
            },
            TopUnit {
                execs_per_s: 0.5,
                signals_per_s: 0.1,
                ..quiet("db-backup.service")
            },
        ],
        drops: vec![TopDrop {
            place: DropPlace::Kernel,
            reason: "NETFILTER_DROP".to_owned(),
            interface: Some("eth0".to_owned()),
            subject: Subject::Unit(unit("web.service")),
            port: PortClass::WellKnown(443),
            per_s: 40.0,
            packets: 71_204,
        }],
        disk_errors: vec![events()[4].signal.clone()],
        devices: vec![
            TopDevice {
                device: sdb(),
                requests_per_s: 31.0,
                p50_us: 8_192,
                p99_us: 524_288,
                max_us: 1_048_576,
            },
            TopDevice {
                device: Device {
                    major: 259,
                    minor: 0,
                    name: Some("nvme0n1".to_owned()),
                    serial: None,
                },
                requests_per_s: 1_240.0,
                p50_us: 64,
                p99_us: 512,
                max_us: 4_096,
            },
        ],
        devices_absent: None,
        flows: vec![Flow {
            from: FlowEnd::Local(Subject::Unit(unit("web.service"))),
            to: FlowEnd::Remote("192.0.2.7".to_owned()),
            port: Some(5432),
            connections: 812,
            last_at: at(1_759_000),
        }],
    }
}

fn sdb() -> Device {
    Device {
        major: 8,
        minor: 16,
        name: Some("sdb".to_owned()),
        serial: Some("WD-WX12".to_owned()),
    }
}

/// The events that are kept, oldest first.
pub fn events() -> Vec<EventRow> {
    let web = || Subject::Unit(unit("web.service"));
    let task = |pid, comm: &str| TaskRef {
        pid,
        comm: comm.to_owned(),
        ..TaskRef::default()
    };
    let Evidence::Signal(kill) = oom_kill("web.service", T0, 4242, "web") else {
        unreachable!("a kill is a signal");
    };
    let signals = [
        kill,
        Signal {
            at: at(1),
            subject: web(),
            fact: Fact::FatalSignal(FatalSignal {
                target: task(4242, "web"),
                signal: 9,
                sender: Sender::Kernel,
            }),
        },
        Signal {
            at: at(6),
            subject: web(),
            fact: Fact::ProcessExit(ProcessExit {
                pid: 4242,
                comm: "web".to_owned(),
                signal: 9,
                peak_rss_bytes: 190 << 20,
                ..ProcessExit::default()
            }),
        },
        Signal {
            at: at(600_000),
            subject: Subject::Unit(unit("db-backup.service")),
            fact: Fact::ProcessExec(ProcessExec {
                pid: 5120,
                started_boot_ns: 266_999_000_000_000,
                comm: "restic".to_owned(),
                cgroup_id: 7411,
            }),
        },
        Signal {
            at: at(1_200_000),
            subject: Subject::Device("sdb".to_owned()),
            fact: Fact::BlockError(BlockError {
                device: sdb(),
                sector: 2048,
                bytes: 4096,
                operation: BlockOperation::Read,
                error: "EIO".to_owned(),
                cgroup_id: 7411,
                issuer: None,
            }),
        },
        Signal {
            at: at(1_700_000),
            subject: web(),
            fact: Fact::PacketDrops(PacketDrops {
                place: DropPlace::Kernel,
                reason: "NETFILTER_DROP".to_owned(),
                interface: Some("eth0".to_owned()),
                port: PortClass::WellKnown(443),
                packets: 400,
                bytes: 24_000,
            }),
        },
    ];
    (101..)
        .zip(signals)
        .map(|(seq, signal)| EventRow { seq, signal })
        .collect()
}

/// What the chain proves: all of `oom_victim`, nothing of the absent `process_exit`, and of
/// `process_exec` not the newest quarter of an hour.
pub fn coverage(query: &CoverageQuery) -> Option<HookCoverage> {
    let counters = counters().into_iter().find(|c| c.hook == query.hook)?;
    let report = hooks().into_iter().find(|r| r.hook == query.hook)?;
    let end_ms = at(1_740_000).wall_ms;
    let span = WallSpan {
        from_ms: query.since_ms,
        to_ms: query.until_ms.unwrap_or(end_ms).max(query.since_ms + 1),
    };
    let part = |from_ms, to_ms, gap| CoveragePart {
        span: WallSpan { from_ms, to_ms },
        gap,
    };
    let (parts, statement) = match query.hook.as_str() {
        "oom_victim" => (
            vec![part(span.from_ms, span.to_ms, None)],
            "2 oom_victim events: covered without a gap, 2 seen, 0 lost",
        ),
        "process_exit" => (
            vec![part(
                span.from_ms,
                span.to_ms,
                Some(Gap::Absent {
                    reason: report.reason,
                }),
            )],
            "cannot say whether there was any process_exit event: the hook was not there",
        ),
        _ => (
            vec![
                part(span.from_ms, span.to_ms - 1, None),
                part(span.to_ms - 1, span.to_ms, Some(Gap::Open)),
            ],
            "cannot say whether there was any other process_exec event: the account of this time is not written yet",
        ),
    };
    Some(HookCoverage {
        seen: counters.seen - counters.filtered,
        delivered: counters.delivered,
        lost: counters.lost(),
        hook: query.hook.clone(),
        asked: span,
        span,
        proven: parts.iter().all(|part| part.gap.is_none()) && counters.lost() == 0,
        parts,
        statement: statement.to_owned(),
    })
}
