//! A fact in one line, as people read it: the same words in every tool.

use std::fmt;

use super::{
    BlockOperation, Device, DropPlace, FilesystemTrouble, HardwareSource, MemoryEvent,
    NetCounterKind, OomScope, OomVerdict, PortClass, PressureOf, Sender, TaskRef, TcpTroubleKind,
};
use crate::signal::Fact;

const MIB: u64 = 1 << 20;

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OomKill(kill) => {
                write!(
                    f,
                    "the kernel chose {} (pid {}) for lack of memory",
                    kill.comm, kill.pid
                )?;
                if let Some(bytes) = kill.rss_bytes {
                    write!(f, ", {} MiB resident", bytes / MIB)?;
                }
                match &kill.scope {
                    OomScope::Unknown => {}
                    OomScope::Global => f.write_str(", the host ran out")?,
                    OomScope::Cgroup { cgroup_id, path } if path.is_empty() => {
                        write!(f, ", cgroup {cgroup_id} hit its limit")?;
                    }
                    OomScope::Cgroup { path, .. } => write!(f, ", {path} hit its limit")?,
                }
                if let Some(killer) = &kill.killer {
                    write!(f, ", memory was wanted by {killer}")?;
                }
                f.write_str(match kill.verdict {
                    OomVerdict::Unconfirmed => "",
                    OomVerdict::Killed => ": killed",
                    OomVerdict::AlreadyExiting => ": it was ending already",
                    OomVerdict::GroupMember => ": killed with its whole cgroup",
                })
            }
            Self::FatalSignal(sent) => {
                write!(f, "{} got signal {} from ", sent.target, sent.signal)?;
                match &sent.sender {
                    Sender::Kernel => f.write_str("the kernel"),
                    Sender::Process(sender) => sender.fmt(f),
                }
            }
            Self::ProcessExec(exec) => write!(f, "{} (pid {}) began", exec.comm, exec.pid),
            Self::ProcessExit(exit) => {
                write!(f, "{} (pid {}) ended ", exit.comm, exit.pid)?;
                match exit.signal {
                    0 => write!(f, "with status {}", exit.status)?,
                    signal => write!(f, "by signal {signal}")?,
                }
                if exit.peak_rss_bytes > 0 {
                    write!(f, ", at most {} MiB resident", exit.peak_rss_bytes / MIB)?;
                }
                Ok(())
            }
            Self::Zombies(zombies) => {
                write!(
                    f,
                    "{} does not wait for {} children that ended",
                    zombies.parent, zombies.count
                )
            }
            Self::HungTask(hung) => write!(f, "{} hangs in the kernel", hung.task),
            Self::RcuStall(stall) => write!(f, "RCU stall of {}: {}", stall.flavour, stall.kind),
            Self::HardwareError(error) => {
                let word = match error.source {
                    HardwareSource::MemoryController => "memory",
                    HardwareSource::MemoryPage => "memory page",
                    HardwareSource::Pcie => "PCIe",
                    HardwareSource::MachineCheck => "machine check",
                };
                write!(f, "{word} error at {}", error.place)?;
                f.write_str(match error.corrected {
                    Some(true) => ", corrected",
                    Some(false) => ", not corrected",
                    None => "",
                })
            }
            Self::BlockError(error) => {
                let operation = operation_word(error.operation);
                write!(
                    f,
                    "{operation} of {} bytes at sector {} of {} failed: {}",
                    error.bytes, error.sector, error.device, error.error
                )?;
                match &error.issuer {
                    Some(issuer) => write!(f, ", issued by {issuer}"),
                    None => Ok(()),
                }
            }
            Self::ScsiError(error) => {
                let what = if error.timed_out {
                    "timed out"
                } else {
                    "was refused"
                };
                write!(f, "a command to SCSI device {} {what}", error.address)
            }
            Self::WritebackError(error) => {
                match error.inode {
                    0 => write!(f, "data of {}", error.device)?,
                    inode => write!(f, "data of inode {inode} on {}", error.device)?,
                }
                write!(f, " was not written: {}", error.error)
            }
            Self::FilesystemError(error) => {
                let what = match error.trouble {
                    FilesystemTrouble::Error => "found itself damaged",
                    FilesystemTrouble::Shutdown => "shut down",
                };
                write!(f, "{} on {} {what}", error.filesystem, error.device)?;
                if !error.function.is_empty() {
                    write!(f, " ({}:{})", error.function, error.line)?;
                }
                Ok(())
            }
            Self::MountReadOnly(mount) => {
                write!(
                    f,
                    "{} on {} became read-only",
                    mount.filesystem, mount.device
                )
            }
            Self::PacketDrops(drops) => {
                let place = place_word(drops.place);
                write!(
                    f,
                    "{} packets dropped {place}: {}",
                    drops.packets, drops.reason
                )?;
                if let Some(interface) = &drops.interface {
                    write!(f, " on {interface}")?;
                }
                match drops.port {
                    PortClass::Unknown => Ok(()),
                    port => write!(f, ", {port}"),
                }
            }
            Self::TcpTrouble(trouble) => {
                let what = match trouble.trouble {
                    TcpTroubleKind::Retransmit => "segments sent again",
                    TcpTroubleKind::ResetSent => "connections reset by us",
                    TcpTroubleKind::ResetReceived => "connections reset by the other side",
                };
                write!(f, "{} {what}, port {}", trouble.count, trouble.port)
            }
            Self::TransmitTimeout(timeout) => write!(f, "queue {} stood still", timeout.queue),
            Self::NetCounter(rise) => write!(f, "{}: {}", counter_word(rise.counter), rise.count),
            Self::Pressure(pressure) => {
                let of = match pressure.of {
                    PressureOf::Memory => "memory",
                    PressureOf::Io => "disk",
                    PressureOf::Cpu => "CPU",
                };
                let who = if pressure.full { "all tasks" } else { "tasks" };
                write!(
                    f,
                    "{who} waited for {of} at least {} ms in {} ms",
                    pressure.stalled_us / 1000,
                    pressure.window_us / 1000
                )
            }
            Self::MemoryEvents(rise) => {
                let what = match rise.event {
                    MemoryEvent::Low => "reclaimed below memory.low",
                    MemoryEvent::High => "throttled at memory.high",
                    MemoryEvent::Max => "about to pass memory.max",
                    MemoryEvent::Oom => "out of memory",
                    MemoryEvent::OomKill => "process killed for memory",
                    MemoryEvent::OomGroupKill => "whole cgroup killed for memory",
                };
                write!(f, "{what}, {} times", rise.count)
            }
            Self::CgroupMade(cgroup) => write!(f, "cgroup {} was made", cgroup.path),
            Self::CgroupRemoved(cgroup) => write!(f, "cgroup {} was removed", cgroup.path),
            Self::CgroupAttached(moved) => write!(f, "{} was moved to {}", moved.task, moved.path),
            Self::UnitState(state) => {
                let active = format!("{:?}", state.active).to_lowercase();
                write!(f, "{active} ({}, {})", state.sub, state.result)
            }
            Self::UnitWatchdog => f.write_str("systemd ended it: it did not report in time"),
            Self::UnitRemoved => f.write_str("systemd forgot the unit"),
            Self::LogLines(lines) => {
                write!(f, "{} ({}", lines.template, lines.priority)?;
                if lines.count > 1 {
                    write!(f, ", {} lines", lines.count)?;
                }
                match lines.left_out {
                    0 => f.write_str(")"),
                    more => write!(f, "; {more} more lines of the unit were only counted)"),
                }
            }
            Self::LinkChanges(changes) => write!(
                f,
                "link went down {} times and came up {} times",
                changes.down, changes.up
            ),
        }
    }
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.comm, self.pid)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "{}:{}", self.major, self.minor),
        }
    }
}

impl fmt::Display for PortClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no port"),
            Self::WellKnown(port) => write!(f, "port {port}"),
            Self::Registered => f.write_str("a registered port"),
            Self::Ephemeral => f.write_str("a client's port"),
        }
    }
}

fn operation_word(operation: BlockOperation) -> &'static str {
    match operation {
        BlockOperation::Read => "read",
        BlockOperation::Write => "write",
        BlockOperation::Flush => "flush",
        BlockOperation::Discard => "discard",
        BlockOperation::SecureErase => "secure erase",
        BlockOperation::WriteZeroes => "write of zeroes",
        BlockOperation::Zone => "zone operation",
        BlockOperation::Other => "request",
    }
}

fn place_word(place: DropPlace) -> &'static str {
    match place {
        DropPlace::Kernel => "by the kernel",
        DropPlace::Receive => "by the interface on receiving",
        DropPlace::Transmit => "by the interface on sending",
        DropPlace::Backlog => "before the stack",
    }
}

fn counter_word(counter: NetCounterKind) -> &'static str {
    match counter {
        NetCounterKind::ListenOverflow => "listeners' queues full",
        NetCounterKind::ListenDrop => "connection requests thrown away",
        NetCounterKind::ConntrackDrop => "connection tracking full",
        NetCounterKind::ConntrackEarlyDrop => "connections forgotten for lack of room",
        NetCounterKind::UdpReceiveBuffer => "UDP sockets' buffers full",
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
