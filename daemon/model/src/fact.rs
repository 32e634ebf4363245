//! What facts say in detail, by the part of the host they come from.

mod log;
mod memory;
mod network;
mod process;
mod storage;
mod trouble;
mod words;

pub use self::{
    log::{LogLines, LogPriority},
    memory::{MemoryEvent, MemoryEvents, OomKill, OomScope, OomVerdict, Pressure, PressureOf},
    network::{
        DropPlace, LinkChanges, NetCounter, NetCounterKind, PacketDrops, PortClass, TcpTrouble,
        TcpTroubleKind, TransmitTimeout,
    },
    process::{
        Cgroup, CgroupAttached, FatalSignal, ProcessExec, ProcessExit, Sender, TaskRef, Zombies,
    },
    storage::{
        BlockError, BlockOperation, Device, FilesystemError, FilesystemTrouble, MountReadOnly,
        ScsiError, WritebackError,
    },
    trouble::{HardwareError, HardwareSource, HungTask, RcuStall},
};
