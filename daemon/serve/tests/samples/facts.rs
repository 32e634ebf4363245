//! One fact of every kind, with every shape its parts can have.

use hostmedic_model::signal::{
    BlockError, BlockOperation, Cgroup, CgroupAttached, Device, DropPlace, Fact, FatalSignal,
    FilesystemError, FilesystemTrouble, HardwareError, HardwareSource, HungTask, LinkChanges,
    MemoryEvent, MemoryEvents, MountReadOnly, NetCounter, NetCounterKind, OomKill, OomScope,
    OomVerdict, PacketDrops, PortClass, Pressure, PressureOf, ProcessExec, ProcessExit, RcuStall,
    ScsiError, Sender, TaskRef, TcpTrouble, TcpTroubleKind, TransmitTimeout, WritebackError,
    Zombies,
};

/// Those that a hook or a file of the host can give; systemd's are beside the samples of units.
pub(crate) fn facts() -> Vec<Fact> {
    let mut facts = processes();
    facts.extend(memory());
    facts.extend(storage());
    facts.extend(network());
    facts
}

pub(crate) fn scopes() -> Vec<OomScope> {
    vec![
        OomScope::Unknown,
        OomScope::Global,
        OomScope::Cgroup {
            cgroup_id: 7411,
            path: "/system.slice/web.service".to_owned(),
        },
    ]
}

pub(crate) fn senders() -> Vec<Sender> {
    vec![Sender::Kernel, Sender::Process(task())]
}

pub(crate) fn ports() -> Vec<PortClass> {
    vec![
        PortClass::Unknown,
        PortClass::WellKnown(443),
        PortClass::Registered,
        PortClass::Ephemeral,
    ]
}

fn task() -> TaskRef {
    TaskRef {
        pid: 4242,
        comm: "web".to_owned(),
        // After 105 days of uptime this is beyond what a JSON number holds.
        started_boot_ns: 9_072_000_000_000_001,
        cgroup_id: 7411,
    }
}

fn device() -> Device {
    Device {
        major: 8,
        minor: 16,
        name: Some("sdb".to_owned()),
        serial: None,
    }
}

fn processes() -> Vec<Fact> {
    let cgroup = || Cgroup {
        cgroup_id: 7411,
        path: "/system.slice/web.service".to_owned(),
    };
    let mut facts = vec![
        Fact::ProcessExec(ProcessExec {
            pid: 5120,
            started_boot_ns: 9_072_000_000_000_001,
            comm: "restic".to_owned(),
            cgroup_id: 0,
        }),
        Fact::ProcessExit(ProcessExit {
            pid: 5120,
            started_boot_ns: 1,
            comm: "restic".to_owned(),
            cgroup_id: 7411,
            status: 3,
            signal: 0,
            peak_rss_bytes: 1 << 28,
        }),
        Fact::Zombies(Zombies {
            parent: task(),
            count: 12,
        }),
        Fact::HungTask(HungTask { task: task() }),
        Fact::RcuStall(RcuStall {
            flavour: "rcu_preempt".to_owned(),
            kind: "StallDetected".to_owned(),
        }),
        Fact::CgroupMade(cgroup()),
        Fact::CgroupRemoved(cgroup()),
        Fact::CgroupAttached(CgroupAttached {
            task: task(),
            path: "/system.slice/web.service".to_owned(),
        }),
    ];
    facts.extend(senders().into_iter().map(|sender| {
        Fact::FatalSignal(FatalSignal {
            target: task(),
            signal: 9,
            sender,
        })
    }));
    facts
}

fn memory() -> Vec<Fact> {
    let mut facts = vec![
        Fact::Pressure(Pressure {
            of: PressureOf::Memory,
            full: true,
            stalled_us: 150_000,
            window_us: 1_000_000,
        }),
        Fact::MemoryEvents(MemoryEvents {
            event: MemoryEvent::High,
            count: 3,
        }),
    ];
    facts.extend(scopes().into_iter().map(|scope| {
        Fact::OomKill(OomKill {
            pid: 4242,
            comm: "web".to_owned(),
            oom_score_adj: Some(-500),
            rss_bytes: Some(1 << 27),
            killer: Some(task()),
            scope,
            verdict: OomVerdict::Killed,
            ..OomKill::default()
        })
    }));
    facts
}

fn storage() -> Vec<Fact> {
    let hardware = |corrected| {
        Fact::HardwareError(HardwareError {
            source: HardwareSource::MemoryController,
            place: "DIMM_A1".to_owned(),
            corrected,
        })
    };
    vec![
        hardware(Some(true)),
        hardware(None),
        Fact::BlockError(BlockError {
            device: device(),
            sector: 2048,
            bytes: 4096,
            operation: BlockOperation::Read,
            error: "EIO".to_owned(),
            cgroup_id: 7411,
            issuer: Some(hostmedic_model::subject::Subject::Host),
        }),
        Fact::ScsiError(ScsiError {
            address: "2:0:0:0".to_owned(),
            timed_out: true,
        }),
        Fact::WritebackError(WritebackError {
            device: device(),
            inode: 131_073,
            error: "EIO".to_owned(),
        }),
        Fact::FilesystemError(FilesystemError {
            filesystem: "ext4".to_owned(),
            device: device(),
            function: "ext4_lookup".to_owned(),
            line: 1855,
            trouble: FilesystemTrouble::Error,
        }),
        Fact::MountReadOnly(MountReadOnly {
            device: device(),
            filesystem: "ext4".to_owned(),
            whole: true,
        }),
    ]
}

fn network() -> Vec<Fact> {
    let mut facts = vec![
        Fact::TcpTrouble(TcpTrouble {
            trouble: TcpTroubleKind::Retransmit,
            port: 443,
            count: 7,
        }),
        Fact::TransmitTimeout(TransmitTimeout { queue: 0 }),
        Fact::NetCounter(NetCounter {
            counter: NetCounterKind::ListenOverflow,
            count: 3,
        }),
        Fact::LinkChanges(LinkChanges { down: 2, up: 1 }),
    ];
    facts.extend(ports().into_iter().map(|port| {
        Fact::PacketDrops(PacketDrops {
            place: DropPlace::Kernel,
            reason: "NETFILTER_DROP".to_owned(),
            interface: Some("eth0".to_owned()),
            port,
            packets: 120,
            bytes: 7200,
        })
    }));
    facts
}
