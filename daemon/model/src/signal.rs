//! One decoded, timed fact about a subject, from any source.

use serde::{Deserialize, Serialize};

pub use crate::fact::*;
use crate::{subject::Subject, time::At, unit::UnitState};

/// A fact that happened at a moment, about a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// When it happened: at the kernel's hook, not when we read it.
    pub at: At,
    /// What it is about, resolved for the moment it happened.
    pub subject: Subject,
    /// What happened.
    pub fact: Fact,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Fact {
    /// The kernel chose a process to kill for lack of memory.
    OomKill(OomKill),
    /// A deadly signal was sent to a process.
    FatalSignal(FatalSignal),
    /// A program began to run.
    ProcessExec(ProcessExec),
    /// A process ended.
    ProcessExit(ProcessExit),
    /// A process has children that ended and are not waited for.
    Zombies(Zombies),
    /// A task has been waiting without a break for too long.
    HungTask(HungTask),
    /// A CPU does not come to rest, and RCU waits for it.
    RcuStall(RcuStall),
    /// Memory, a `PCIe` device or a CPU reported an error.
    HardwareError(HardwareError),
    /// A block device failed a request.
    BlockError(BlockError),
    /// A SCSI device did not answer, or refused a command.
    ScsiError(ScsiError),
    /// Data that was promised to be written was not.
    WritebackError(WritebackError),
    /// A file system found itself damaged, or shut down.
    FilesystemError(FilesystemError),
    /// A mount that was writable is no more.
    MountReadOnly(MountReadOnly),
    /// Packets were dropped.
    PacketDrops(PacketDrops),
    /// TCP sent again, or a connection was reset.
    TcpTrouble(TcpTrouble),
    /// A network interface could not send for too long.
    TransmitTimeout(TransmitTimeout),
    /// A counter of the network rose that should not.
    NetCounter(NetCounter),
    /// Tasks waited for memory, disk or CPU longer than the threshold.
    Pressure(Pressure),
    /// A cgroup met its memory limit or protection.
    MemoryEvents(MemoryEvents),
    /// A cgroup was made.
    CgroupMade(Cgroup),
    /// A cgroup was removed.
    CgroupRemoved(Cgroup),
    /// A process was moved to a cgroup.
    CgroupAttached(CgroupAttached),
    /// A unit changed its state.
    UnitState(UnitState),
    /// systemd ended a unit that had not reported in time (`WatchdogSec=`).
    UnitWatchdog,
    /// A unit's systemd object went away; later questions about it cannot be answered.
    UnitRemoved,
    /// A unit wrote lines of one kind to the journal.
    LogLines(LogLines),
    /// A network interface lost its carrier or got it.
    LinkChanges(LinkChanges),
}

/// The kinds of [`Fact`], as playbooks and `medic events --kind` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "each is the variant of `Fact` of the same name"
)]
pub enum SignalKind {
    OomKill,
    FatalSignal,
    ProcessExec,
    ProcessExit,
    Zombies,
    HungTask,
    RcuStall,
    HardwareError,
    BlockError,
    ScsiError,
    WritebackError,
    FilesystemError,
    MountReadOnly,
    PacketDrops,
    TcpTrouble,
    TransmitTimeout,
    NetCounter,
    Pressure,
    MemoryEvents,
    CgroupMade,
    CgroupRemoved,
    CgroupAttached,
    UnitState,
    UnitWatchdog,
    UnitRemoved,
    LogLines,
    LinkChanges,
}

impl Fact {
    /// The word used in playbook triggers and in text.
    pub fn kind(&self) -> SignalKind {
        match self {
            Self::OomKill(_) => SignalKind::OomKill,
            Self::FatalSignal(_) => SignalKind::FatalSignal,
            Self::ProcessExec(_) => SignalKind::ProcessExec,
            Self::ProcessExit(_) => SignalKind::ProcessExit,
            Self::Zombies(_) => SignalKind::Zombies,
            Self::HungTask(_) => SignalKind::HungTask,
            Self::RcuStall(_) => SignalKind::RcuStall,
            Self::HardwareError(_) => SignalKind::HardwareError,
            Self::BlockError(_) => SignalKind::BlockError,
            Self::ScsiError(_) => SignalKind::ScsiError,
            Self::WritebackError(_) => SignalKind::WritebackError,
            Self::FilesystemError(_) => SignalKind::FilesystemError,
            Self::MountReadOnly(_) => SignalKind::MountReadOnly,
            Self::PacketDrops(_) => SignalKind::PacketDrops,
            Self::TcpTrouble(_) => SignalKind::TcpTrouble,
            Self::TransmitTimeout(_) => SignalKind::TransmitTimeout,
            Self::NetCounter(_) => SignalKind::NetCounter,
            Self::Pressure(_) => SignalKind::Pressure,
            Self::MemoryEvents(_) => SignalKind::MemoryEvents,
            Self::CgroupMade(_) => SignalKind::CgroupMade,
            Self::CgroupRemoved(_) => SignalKind::CgroupRemoved,
            Self::CgroupAttached(_) => SignalKind::CgroupAttached,
            Self::UnitState(_) => SignalKind::UnitState,
            Self::UnitWatchdog => SignalKind::UnitWatchdog,
            Self::UnitRemoved => SignalKind::UnitRemoved,
            Self::LogLines(_) => SignalKind::LogLines,
            Self::LinkChanges(_) => SignalKind::LinkChanges,
        }
    }
}
