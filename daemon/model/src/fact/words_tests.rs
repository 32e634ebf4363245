//! Every fact in words: what people read in `medic`, in incidents and in the log.

use super::super::{
    BlockError, BlockOperation, Cgroup, CgroupAttached, Device, DropPlace, FatalSignal,
    FilesystemError, FilesystemTrouble, HardwareError, HardwareSource, HungTask, LinkChanges,
    LogLines, LogPriority, MemoryEvent, MemoryEvents, MountReadOnly, NetCounter, NetCounterKind,
    OomKill, OomScope, OomVerdict, PacketDrops, PortClass, Pressure, PressureOf, ProcessExec,
    ProcessExit, RcuStall, ScsiError, Sender, TaskRef, TcpTrouble, TcpTroubleKind, TransmitTimeout,
    WritebackError, Zombies,
};
use crate::{
    signal::Fact,
    unit::{ActiveState, UnitState},
};

#[track_caller]
fn reads(fact: &Fact, words: &str) {
    assert_eq!(fact.to_string(), words);
}

fn task(pid: u32, comm: &str) -> TaskRef {
    TaskRef {
        pid,
        comm: comm.to_owned(),
        ..TaskRef::default()
    }
}

fn sdb() -> Device {
    Device {
        major: 8,
        minor: 16,
        name: Some("sdb".to_owned()),
        serial: None,
    }
}

fn nameless() -> Device {
    Device {
        name: None,
        ..sdb()
    }
}

#[test]
fn an_oom_kill_says_whose_memory_ran_out_and_what_came_of_it() {
    let kill = OomKill {
        pid: 4242,
        comm: "web".to_owned(),
        ..OomKill::default()
    };
    reads(
        &Fact::OomKill(kill.clone()),
        "the kernel chose web (pid 4242) for lack of memory",
    );
    reads(
        &Fact::OomKill(OomKill {
            rss_bytes: Some(190 << 20),
            killer: Some(task(7, "cron")),
            scope: OomScope::Cgroup {
                cgroup_id: 7411,
                path: "/system.slice/web.service".to_owned(),
            },
            verdict: OomVerdict::Killed,
            ..kill.clone()
        }),
        "the kernel chose web (pid 4242) for lack of memory, 190 MiB resident, \
         /system.slice/web.service hit its limit, memory was wanted by cron (pid 7): killed",
    );
    for (scope, verdict, end) in [
        (
            OomScope::Global,
            OomVerdict::AlreadyExiting,
            ", the host ran out: it was ending already",
        ),
        (
            OomScope::Cgroup {
                cgroup_id: 7411,
                path: String::new(),
            },
            OomVerdict::GroupMember,
            ", cgroup 7411 hit its limit: killed with its whole cgroup",
        ),
    ] {
        let words = Fact::OomKill(OomKill {
            scope,
            verdict,
            ..kill.clone()
        })
        .to_string();
        assert!(words.ends_with(end), "{words}");
    }
}

#[test]
fn processes_and_their_cgroups() {
    reads(
        &Fact::FatalSignal(FatalSignal {
            target: task(4242, "web"),
            signal: 11,
            sender: Sender::Kernel,
        }),
        "web (pid 4242) got signal 11 from the kernel",
    );
    reads(
        &Fact::FatalSignal(FatalSignal {
            target: task(4242, "web"),
            signal: 9,
            sender: Sender::Process(task(1, "systemd")),
        }),
        "web (pid 4242) got signal 9 from systemd (pid 1)",
    );
    reads(
        &Fact::ProcessExec(ProcessExec {
            pid: 5120,
            started_boot_ns: 1,
            comm: "restic".to_owned(),
            cgroup_id: 0,
        }),
        "restic (pid 5120) began",
    );
    let exit = ProcessExit {
        pid: 5120,
        comm: "restic".to_owned(),
        status: 3,
        ..ProcessExit::default()
    };
    reads(
        &Fact::ProcessExit(exit.clone()),
        "restic (pid 5120) ended with status 3",
    );
    reads(
        &Fact::ProcessExit(ProcessExit {
            status: 0,
            signal: 9,
            peak_rss_bytes: 256 << 20,
            ..exit
        }),
        "restic (pid 5120) ended by signal 9, at most 256 MiB resident",
    );
    reads(
        &Fact::Zombies(Zombies {
            parent: task(7, "cron"),
            count: 12,
        }),
        "cron (pid 7) does not wait for 12 children that ended",
    );
    let cgroup = Cgroup {
        cgroup_id: 7411,
        path: "/a.slice".to_owned(),
    };
    reads(
        &Fact::CgroupMade(cgroup.clone()),
        "cgroup /a.slice was made",
    );
    reads(&Fact::CgroupRemoved(cgroup), "cgroup /a.slice was removed");
    reads(
        &Fact::CgroupAttached(CgroupAttached {
            task: task(7, "cron"),
            path: "/a.slice".to_owned(),
        }),
        "cron (pid 7) was moved to /a.slice",
    );
}

#[test]
fn hangs_and_hardware() {
    reads(
        &Fact::HungTask(HungTask {
            task: task(7, "cp"),
        }),
        "cp (pid 7) hangs in the kernel",
    );
    reads(
        &Fact::RcuStall(RcuStall {
            flavour: "rcu_preempt".to_owned(),
            kind: "StallDetected".to_owned(),
        }),
        "RCU stall of rcu_preempt: StallDetected",
    );
    for (source, corrected, words) in [
        (
            HardwareSource::MemoryController,
            Some(true),
            "memory error at X, corrected",
        ),
        (
            HardwareSource::MemoryPage,
            Some(false),
            "memory page error at X, not corrected",
        ),
        (HardwareSource::Pcie, None, "PCIe error at X"),
        (
            HardwareSource::MachineCheck,
            None,
            "machine check error at X",
        ),
    ] {
        reads(
            &Fact::HardwareError(HardwareError {
                source,
                place: "X".to_owned(),
                corrected,
            }),
            words,
        );
    }
}

#[test]
fn disks_and_file_systems() {
    for (operation, word) in [
        (BlockOperation::Read, "read"),
        (BlockOperation::Write, "write"),
        (BlockOperation::Flush, "flush"),
        (BlockOperation::Discard, "discard"),
        (BlockOperation::SecureErase, "secure erase"),
        (BlockOperation::WriteZeroes, "write of zeroes"),
        (BlockOperation::Zone, "zone operation"),
        (BlockOperation::Other, "request"),
    ] {
        reads(
            &Fact::BlockError(BlockError {
                device: sdb(),
                sector: 2048,
                bytes: 4096,
                operation,
                error: "EIO".to_owned(),
                cgroup_id: 0,
                issuer: None,
            }),
            &format!("{word} of 4096 bytes at sector 2048 of sdb failed: EIO"),
        );
    }
    for (timed_out, what) in [(true, "timed out"), (false, "was refused")] {
        reads(
            &Fact::ScsiError(ScsiError {
                address: "2:0:0:0".to_owned(),
                timed_out,
            }),
            &format!("a command to SCSI device 2:0:0:0 {what}"),
        );
    }
    for (inode, whose) in [(12, "inode 12 on 8:16"), (0, "8:16")] {
        reads(
            &Fact::WritebackError(WritebackError {
                device: nameless(),
                inode,
                error: "ENOSPC".to_owned(),
            }),
            &format!("data of {whose} was not written: ENOSPC"),
        );
    }
    let trouble = FilesystemError {
        filesystem: "ext4".to_owned(),
        device: sdb(),
        function: "ext4_lookup".to_owned(),
        line: 1855,
        trouble: FilesystemTrouble::Error,
    };
    reads(
        &Fact::FilesystemError(trouble.clone()),
        "ext4 on sdb found itself damaged (ext4_lookup:1855)",
    );
    reads(
        &Fact::FilesystemError(FilesystemError {
            function: String::new(),
            trouble: FilesystemTrouble::Shutdown,
            ..trouble
        }),
        "ext4 on sdb shut down",
    );
    reads(
        &Fact::MountReadOnly(MountReadOnly {
            device: sdb(),
            filesystem: "ext4".to_owned(),
            whole: true,
        }),
        "ext4 on sdb became read-only",
    );
}

#[test]
fn drops_say_where_why_and_for_whom() {
    for (place, port, end) in [
        (
            DropPlace::Kernel,
            PortClass::WellKnown(443),
            "by the kernel: R on eth0, port 443",
        ),
        (
            DropPlace::Receive,
            PortClass::Unknown,
            "by the interface on receiving: R on eth0",
        ),
        (
            DropPlace::Transmit,
            PortClass::Registered,
            "by the interface on sending: R on eth0, a registered port",
        ),
        (
            DropPlace::Backlog,
            PortClass::Ephemeral,
            "before the stack: R on eth0, a client's port",
        ),
    ] {
        reads(
            &Fact::PacketDrops(PacketDrops {
                place,
                reason: "R".to_owned(),
                interface: Some("eth0".to_owned()),
                port,
                packets: 120,
                bytes: 0,
            }),
            &format!("120 packets dropped {end}"),
        );
    }
    assert_eq!(PortClass::Unknown.to_string(), "no port");
}

#[test]
fn tcp_interfaces_and_counters() {
    for (trouble, what) in [
        (TcpTroubleKind::Retransmit, "segments sent again"),
        (TcpTroubleKind::ResetSent, "connections reset by us"),
        (
            TcpTroubleKind::ResetReceived,
            "connections reset by the other side",
        ),
    ] {
        reads(
            &Fact::TcpTrouble(TcpTrouble {
                trouble,
                port: 443,
                count: 7,
            }),
            &format!("7 {what}, port 443"),
        );
    }
    reads(
        &Fact::TransmitTimeout(TransmitTimeout { queue: 3 }),
        "queue 3 stood still",
    );
    for (counter, words) in [
        (NetCounterKind::ListenOverflow, "listeners' queues full: 3"),
        (
            NetCounterKind::ListenDrop,
            "connection requests thrown away: 3",
        ),
        (NetCounterKind::ConntrackDrop, "connection tracking full: 3"),
        (
            NetCounterKind::ConntrackEarlyDrop,
            "connections forgotten for lack of room: 3",
        ),
        (
            NetCounterKind::UdpReceiveBuffer,
            "UDP sockets' buffers full: 3",
        ),
    ] {
        reads(&Fact::NetCounter(NetCounter { counter, count: 3 }), words);
    }
    reads(
        &Fact::LinkChanges(LinkChanges { down: 3, up: 2 }),
        "link went down 3 times and came up 2 times",
    );
}

#[test]
fn waiting_and_memory_limits() {
    for (of, full, words) in [
        (
            PressureOf::Memory,
            true,
            "all tasks waited for memory at least 150 ms in 1000 ms",
        ),
        (
            PressureOf::Io,
            false,
            "tasks waited for disk at least 150 ms in 1000 ms",
        ),
        (
            PressureOf::Cpu,
            false,
            "tasks waited for CPU at least 150 ms in 1000 ms",
        ),
    ] {
        reads(
            &Fact::Pressure(Pressure {
                of,
                full,
                stalled_us: 150_000,
                window_us: 1_000_000,
            }),
            words,
        );
    }
    for (event, words) in [
        (MemoryEvent::Low, "reclaimed below memory.low, 3 times"),
        (MemoryEvent::High, "throttled at memory.high, 3 times"),
        (MemoryEvent::Max, "about to pass memory.max, 3 times"),
        (MemoryEvent::Oom, "out of memory, 3 times"),
        (MemoryEvent::OomKill, "process killed for memory, 3 times"),
        (
            MemoryEvent::OomGroupKill,
            "whole cgroup killed for memory, 3 times",
        ),
    ] {
        reads(&Fact::MemoryEvents(MemoryEvents { event, count: 3 }), words);
    }
}

#[test]
fn units() {
    reads(
        &Fact::UnitState(UnitState {
            active: ActiveState::Failed,
            sub: "failed".to_owned(),
            result: "oom-kill".to_owned(),
            invocation_id: None,
            n_restarts: 0,
        }),
        "failed (failed, oom-kill)",
    );
    reads(
        &Fact::UnitWatchdog,
        "systemd ended it: it did not report in time",
    );
    reads(&Fact::UnitRemoved, "systemd forgot the unit");
}

#[test]
fn lines_of_a_log() {
    let lines = LogLines {
        template: "cannot reach (address)".to_owned(),
        id: 7,
        count: 1,
        priority: LogPriority::Error,
        left_out: 0,
    };
    reads(
        &Fact::LogLines(lines.clone()),
        "cannot reach (address) (error)",
    );
    reads(
        &Fact::LogLines(LogLines {
            count: 20,
            priority: LogPriority::Warning,
            left_out: 900,
            ..lines
        }),
        "cannot reach (address) (warning, 20 lines; 900 more lines of the unit were only counted)",
    );
}
