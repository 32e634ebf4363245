//! One plain example of each kind of signal that a case can tell of.

use hostmedic_model::{
    playbook::SignalFilter,
    signal::{
        BlockError, BlockOperation, Device, DropPlace, Fact, FatalSignal, FilesystemError,
        FilesystemTrouble, HardwareError, HardwareSource, HungTask, LinkChanges, LogLines,
        LogPriority, MemoryEvent, MemoryEvents, MountReadOnly, NetCounter, NetCounterKind, OomKill,
        OomScope, PacketDrops, PortClass, Pressure, PressureOf, RcuStall, ScsiError, Sender,
        SignalKind, TaskRef, TcpTrouble, TcpTroubleKind, TransmitTimeout, WritebackError, Zombies,
    },
};

use crate::playbook::{judge::filter, placed::Args};

/// An example of `kind`; `None` for states, which a case gives itself, and for what no trigger
/// can hold on.
///
/// `fields` says what it is to say of itself: the first of what a trigger's `where` would let pass.
pub(super) fn example(kind: SignalKind, fields: &Args) -> Option<Fact> {
    let mut fact = plain(kind)?;
    match (&mut fact, filter(kind, fields)) {
        (Fact::Pressure(pressure), Some(SignalFilter::PressureOf(of))) => {
            pressure.of = *of.first()?;
        }
        (Fact::MemoryEvents(events), Some(SignalFilter::MemoryEvent(of))) => {
            events.event = *of.first()?;
        }
        (Fact::FatalSignal(fatal), Some(SignalFilter::FatalSignal(of))) => {
            fatal.signal = *of.first()?;
        }
        (Fact::OomKill(kill), Some(SignalFilter::OomOfHost(of_host))) => {
            kill.scope = if of_host {
                OomScope::Global
            } else {
                OomScope::Cgroup {
                    cgroup_id: kill.cgroup_id,
                    path: String::new(),
                }
            };
        }
        _ => {}
    }
    Some(fact)
}

fn plain(kind: SignalKind) -> Option<Fact> {
    let task = || TaskRef {
        pid: 7,
        comm: "shop".to_owned(),
        started_boot_ns: 1,
        cgroup_id: 1,
    };
    let device = || Device {
        major: 8,
        minor: 0,
        name: Some("sda".to_owned()),
        serial: None,
    };
    let error = || "I/O error".to_owned();
    Some(match kind {
        SignalKind::OomKill => Fact::OomKill(OomKill {
            pid: 7,
            comm: "shop".to_owned(),
            started_boot_ns: 1,
            cgroup_id: 1,
            ..OomKill::default()
        }),
        SignalKind::FatalSignal => Fact::FatalSignal(FatalSignal {
            target: task(),
            signal: 11,
            sender: Sender::Kernel,
        }),
        SignalKind::Zombies => Fact::Zombies(Zombies {
            parent: task(),
            count: 20,
        }),
        SignalKind::HungTask => Fact::HungTask(HungTask { task: task() }),
        SignalKind::RcuStall => Fact::RcuStall(RcuStall {
            flavour: "rcu_preempt".to_owned(),
            kind: "self".to_owned(),
        }),
        SignalKind::HardwareError => Fact::HardwareError(HardwareError {
            source: HardwareSource::MemoryController,
            place: "DIMM_A1".to_owned(),
            corrected: Some(false),
        }),
        SignalKind::BlockError => Fact::BlockError(BlockError {
            device: device(),
            sector: 1,
            bytes: 4096,
            operation: BlockOperation::Read,
            error: error(),
            cgroup_id: 1,
            issuer: None,
        }),
        SignalKind::ScsiError => Fact::ScsiError(ScsiError {
            address: "0:0:0:0".to_owned(),
            timed_out: true,
        }),
        SignalKind::WritebackError => Fact::WritebackError(WritebackError {
            device: device(),
            inode: 2,
            error: error(),
        }),
        SignalKind::FilesystemError => Fact::FilesystemError(FilesystemError {
            filesystem: "ext4".to_owned(),
            device: device(),
            function: "ext4_lookup".to_owned(),
            line: 1,
            trouble: FilesystemTrouble::Error,
        }),
        SignalKind::MountReadOnly => Fact::MountReadOnly(MountReadOnly {
            device: device(),
            filesystem: "ext4".to_owned(),
            whole: true,
        }),
        SignalKind::PacketDrops => Fact::PacketDrops(PacketDrops {
            place: DropPlace::Receive,
            reason: "no_buffer".to_owned(),
            interface: Some("eth0".to_owned()),
            port: PortClass::Unknown,
            packets: 1_000,
            bytes: 1_500_000,
        }),
        SignalKind::TcpTrouble => Fact::TcpTrouble(TcpTrouble {
            trouble: TcpTroubleKind::Retransmit,
            port: 443,
            count: 100,
        }),
        SignalKind::TransmitTimeout => Fact::TransmitTimeout(TransmitTimeout { queue: 0 }),
        SignalKind::NetCounter => Fact::NetCounter(NetCounter {
            counter: NetCounterKind::ListenOverflow,
            count: 100,
        }),
        SignalKind::Pressure => Fact::Pressure(Pressure {
            of: PressureOf::Memory,
            full: false,
            stalled_us: 500_000,
            window_us: 1_000_000,
        }),
        SignalKind::MemoryEvents => Fact::MemoryEvents(MemoryEvents {
            event: MemoryEvent::High,
            count: 10,
        }),
        SignalKind::LogLines => Fact::LogLines(LogLines {
            template: "cannot reach (address)".to_owned(),
            id: 1,
            count: 20,
            priority: LogPriority::Error,
            left_out: 0,
        }),
        SignalKind::UnitWatchdog => Fact::UnitWatchdog,
        SignalKind::LinkChanges => Fact::LinkChanges(LinkChanges { down: 1, up: 1 }),
        SignalKind::ProcessExec
        | SignalKind::ProcessExit
        | SignalKind::CgroupMade
        | SignalKind::CgroupRemoved
        | SignalKind::CgroupAttached
        | SignalKind::UnitState
        | SignalKind::UnitRemoved => return None,
    })
}
