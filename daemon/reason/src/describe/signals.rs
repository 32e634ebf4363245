//! What a signal tells, in words that people on call and the system's own logs use.

use hostmedic_model::signal::{
    BlockOperation, DropPlace, Fact, FilesystemTrouble, HardwareSource, MemoryEvent,
    NetCounterKind, OomScope, OomVerdict, PortClass, PressureOf, Sender, TcpTroubleKind,
};

use super::{NAME_CHARS_MAX, Weight, scrub};

/// How much a fact tells, and what; `None` for what tells nothing, or is told by the unit's state.
pub(super) fn tell(fact: &Fact) -> Option<(Weight, String)> {
    trouble(fact)
        .map(|text| (Weight::Trouble, text))
        .or_else(|| sign(fact).map(|text| (Weight::Sign, text)))
}

fn name(text: &str) -> String {
    match scrub(text, NAME_CHARS_MAX) {
        text if text.is_empty() => "unknown".to_owned(),
        // Two words could be read as part of the sentence.
        text if text.contains(' ') => format!("\"{text}\""),
        text => text,
    }
}

/// Facts that are trouble by themselves.
fn trouble(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::OomKill(kill) => {
            let comm = name(&kill.comm);
            let what = match (&kill.scope, kill.verdict) {
                (_, OomVerdict::AlreadyExiting) => {
                    return Some(format!(
                        "out of memory, process {comm} was chosen while it was ending already"
                    ));
                }
                (OomScope::Cgroup { .. }, _) => "memory cgroup out of memory",
                _ => "out of memory",
            };
            let more = match (&kill.scope, kill.verdict) {
                (_, OomVerdict::GroupMember) => ", with its whole cgroup",
                (OomScope::Global, _) => ", the whole machine had no memory left",
                (OomScope::Cgroup { .. }, _) => ", the memory limit was reached",
                _ => "",
            };
            format!("{what}: killed process {comm} by the kernel (oom-kill){more}")
        }
        Fact::BlockError(error) => format!(
            "I/O error, a {} of the disk failed with {}",
            operation(error.operation),
            name(&error.error)
        ),
        Fact::ScsiError(error) if error.timed_out => {
            "a command to the disk timed out, the drive does not answer".to_owned()
        }
        Fact::ScsiError(_) => "the disk refused a command".to_owned(),
        Fact::WritebackError(error) => format!(
            "written data was lost on its way to the disk, {}",
            name(&error.error)
        ),
        Fact::FilesystemError(error) => {
            let kind = name(&error.filesystem);
            match error.trouble {
                FilesystemTrouble::Error => format!("{kind} file system found itself damaged"),
                FilesystemTrouble::Shutdown => format!("{kind} file system shut itself down"),
            }
        }
        Fact::MountReadOnly(mount) => {
            let whole = if mount.whole {
                ", the whole file system"
            } else {
                ""
            };
            format!(
                "{} was remounted read-only, nothing can be written any more{whole}",
                name(&mount.filesystem)
            )
        }
        Fact::HungTask(hung) => format!(
            "task {} hangs, blocked in uninterruptible sleep for minutes",
            name(&hung.task.comm)
        ),
        Fact::RcuStall(stall) => format!("a CPU is stuck, stall of {}", name(&stall.flavour)),
        Fact::TransmitTimeout(_) => {
            "transmit queue timed out, the network card cannot send".to_owned()
        }
        Fact::HardwareError(error) => {
            let what = match error.source {
                HardwareSource::MemoryController => "memory module (ECC)",
                HardwareSource::MemoryPage => "page of memory",
                HardwareSource::Pcie => "PCIe device",
                HardwareSource::MachineCheck => "CPU, machine check",
            };
            let how = match error.corrected {
                Some(true) => "corrected hardware error",
                Some(false) => "uncorrected hardware error",
                None => "hardware error",
            };
            format!("{how} of a {what}, {}", name(&error.place))
        }
        _ => return None,
    })
}

/// Facts that say why, or what else happened.
fn sign(fact: &Fact) -> Option<String> {
    Some(match fact {
        Fact::FatalSignal(sent) => {
            let from = match &sent.sender {
                Sender::Kernel => "the kernel".to_owned(),
                Sender::Process(sender) => format!("process {}", name(&sender.comm)),
            };
            format!(
                "process {} got {} from {from}",
                name(&sent.target.comm),
                signal_name(sent.signal)
            )
        }
        Fact::ProcessExit(exit) => match exit.signal {
            0 => format!(
                "process {} exited with status {}",
                name(&exit.comm),
                exit.status
            ),
            signal => format!(
                "process {} was killed by {}",
                name(&exit.comm),
                signal_name(signal)
            ),
        },
        Fact::Zombies(zombies) => format!(
            "process {} has {} zombie children, defunct processes that it does not wait for",
            name(&zombies.parent.comm),
            zombies.count
        ),
        Fact::PacketDrops(drops) => {
            let place = match drops.place {
                DropPlace::Kernel => "by the network stack",
                DropPlace::Receive => "by the network card on receiving, its ring buffer was full",
                DropPlace::Transmit => "by the network card on sending",
                DropPlace::Backlog => "because the CPU's backlog was full",
            };
            let port = match drops.port {
                PortClass::WellKnown(port) => format!(", port {port}"),
                _ => String::new(),
            };
            format!(
                "packets dropped {place}, reason {}{port}",
                name(&drops.reason)
            )
        }
        Fact::TcpTrouble(trouble) => {
            let what = match trouble.trouble {
                TcpTroubleKind::Retransmit => "TCP segments are retransmitted",
                TcpTroubleKind::ResetSent => "TCP connections are reset by this host",
                TcpTroubleKind::ResetReceived => "TCP connections are reset by the other side",
            };
            format!("{what}, port {}", trouble.port)
        }
        Fact::NetCounter(rise) => match rise.counter {
            NetCounterKind::ListenOverflow => {
                "listen queue of a socket overflowed, new connections were not accepted"
            }
            NetCounterKind::ListenDrop => "connection requests (SYN) to listening sockets dropped",
            NetCounterKind::ConntrackDrop => "nf_conntrack: table full, dropping packet",
            NetCounterKind::ConntrackEarlyDrop => {
                "nf_conntrack forgot connections early, its table is full"
            }
            NetCounterKind::UdpReceiveBuffer => "UDP receive buffers were full, datagrams lost",
        }
        .to_owned(),
        Fact::Pressure(pressure) => {
            let who = if pressure.full { "all tasks" } else { "tasks" };
            let what = match pressure.of {
                PressureOf::Memory => "memory",
                PressureOf::Io => "disk I/O",
                PressureOf::Cpu => "a CPU",
            };
            format!("pressure stall (PSI), {who} wait for {what}")
        }
        Fact::MemoryEvents(rise) => {
            let what = match rise.event {
                MemoryEvent::Low => "low, memory below its protection was reclaimed",
                MemoryEvent::High => "high, the unit is throttled at its soft limit",
                MemoryEvent::Max => "max, the unit is at its memory limit",
                MemoryEvent::Oom => "oom, out of memory within its limit",
                MemoryEvent::OomKill => "oom_kill, a process was killed for memory",
                MemoryEvent::OomGroupKill => "oom_group_kill, the whole cgroup was killed",
            };
            format!("memory.events {what}")
        }
        Fact::LinkChanges(changes) if changes.down > 0 => {
            "network link went down, the interface lost its carrier".to_owned()
        }
        Fact::LinkChanges(_) => "network link came up, the interface gained carrier".to_owned(),
        _ => return None,
    })
}

fn operation(operation: BlockOperation) -> &'static str {
    match operation {
        BlockOperation::Read => "read",
        BlockOperation::Write => "write",
        BlockOperation::Flush => "flush",
        _ => "request",
    }
}

/// The signals that end a process, by name.
fn signal_name(signal: u8) -> String {
    match signal {
        4 => "SIGILL".to_owned(),
        6 => "SIGABRT (abort)".to_owned(),
        7 => "SIGBUS".to_owned(),
        8 => "SIGFPE".to_owned(),
        9 => "SIGKILL".to_owned(),
        11 => "SIGSEGV (segmentation fault)".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => format!("signal {other}"),
    }
}
