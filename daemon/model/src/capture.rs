//! What evidence is captured before the first step, how much of it, and what came of it.
//!
//! A closed list: each kind is one word of the playbook language and has one reader in
//! `respond/src/capture`. Every part has bounds, and so has the whole, because a record that is too
//! large could not be written, and what is not recorded is not done.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Lines of one part.
pub const PART_LINES_MAX: usize = 256;
/// Bytes of one line.
pub const LINE_BYTES_MAX: usize = 512;
/// Bytes of one part's lines.
pub const PART_BYTES_MAX: usize = 24 * 1024;
/// Bytes of all parts' lines.
pub const PARTS_BYTES_MAX: usize = 128 * 1024;
/// Bytes of the journal's lines.
pub const JOURNAL_BYTES_MAX: usize = 64 * 1024;
/// Things that could not be had, named at most.
pub const MISSING_MAX: usize = 64;
/// Parts at most: each kind once.
pub const PARTS_MAX: usize = CaptureKind::ALL.len();

/// One kind of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CaptureKind {
    /// The unit's state and closure. The decision before the step has recorded it.
    #[serde(rename = "unit.snapshot")]
    UnitSnapshot,
    /// The unit's newest journal lines.
    #[serde(rename = "journal.tail")]
    JournalTail,
    /// Memory files of its cgroup.
    #[serde(rename = "cgroup.memory")]
    CgroupMemory,
    /// CPU files of its cgroup.
    #[serde(rename = "cgroup.cpu")]
    CgroupCpu,
    /// I/O files of its cgroup.
    #[serde(rename = "cgroup.io")]
    CgroupIo,
    /// The kernel's newest lines.
    #[serde(rename = "kernel.log")]
    KernelLog,
    /// Memory of its largest processes.
    #[serde(rename = "proc.smaps_top")]
    ProcSmapsTop,
    /// Kernel stacks of its waiting tasks.
    #[serde(rename = "proc.stacks")]
    ProcStacks,
    /// Open files of its fullest processes.
    #[serde(rename = "proc.fds_top")]
    ProcFdsTop,
    /// Its processes and who began whom.
    #[serde(rename = "proc.tree")]
    ProcTree,
    /// Where its newest core dump lies.
    #[serde(rename = "coredump.newest")]
    CoredumpNewest,
    /// The largest directories of a mount.
    #[serde(rename = "disk.usage_top")]
    DiskUsageTop,
    /// Deleted files that are still open.
    #[serde(rename = "disk.deleted_open")]
    DiskDeletedOpen,
    /// Arrays and how far a resync is.
    #[serde(rename = "md.status")]
    MdStatus,
    /// Its sockets, the fullest queues first.
    #[serde(rename = "net.sockets_top")]
    NetSocketsTop,
    /// Counters of interfaces and of TCP.
    #[serde(rename = "net.counters")]
    NetCounters,
    /// Addresses, routes and leases.
    #[serde(rename = "net.addresses")]
    NetAddresses,
    /// Kernel settings.
    #[serde(rename = "sysctl.values")]
    SysctlValues,
    /// systemd's jobs.
    #[serde(rename = "systemd.jobs")]
    SystemdJobs,
    /// Unit file, drop-ins and their hashes.
    #[serde(rename = "unit.files")]
    UnitFiles,
    /// The newest package transactions.
    #[serde(rename = "package.history")]
    PackageHistory,
    /// Time sources and their offsets.
    #[serde(rename = "clock.sources")]
    ClockSources,
    /// The certificates in a file.
    #[serde(rename = "certificate.chain")]
    CertificateChain,
}

impl CaptureKind {
    /// Every kind.
    pub const ALL: [Self; 23] = [
        Self::UnitSnapshot,
        Self::JournalTail,
        Self::CgroupMemory,
        Self::CgroupCpu,
        Self::CgroupIo,
        Self::KernelLog,
        Self::ProcSmapsTop,
        Self::ProcStacks,
        Self::ProcFdsTop,
        Self::ProcTree,
        Self::CoredumpNewest,
        Self::DiskUsageTop,
        Self::DiskDeletedOpen,
        Self::MdStatus,
        Self::NetSocketsTop,
        Self::NetCounters,
        Self::NetAddresses,
        Self::SysctlValues,
        Self::SystemdJobs,
        Self::UnitFiles,
        Self::PackageHistory,
        Self::ClockSources,
        Self::CertificateChain,
    ];

    /// Its word in a playbook.
    pub const fn word(self) -> &'static str {
        match self {
            Self::UnitSnapshot => "unit.snapshot",
            Self::JournalTail => "journal.tail",
            Self::CgroupMemory => "cgroup.memory",
            Self::CgroupCpu => "cgroup.cpu",
            Self::CgroupIo => "cgroup.io",
            Self::KernelLog => "kernel.log",
            Self::ProcSmapsTop => "proc.smaps_top",
            Self::ProcStacks => "proc.stacks",
            Self::ProcFdsTop => "proc.fds_top",
            Self::ProcTree => "proc.tree",
            Self::CoredumpNewest => "coredump.newest",
            Self::DiskUsageTop => "disk.usage_top",
            Self::DiskDeletedOpen => "disk.deleted_open",
            Self::MdStatus => "md.status",
            Self::NetSocketsTop => "net.sockets_top",
            Self::NetCounters => "net.counters",
            Self::NetAddresses => "net.addresses",
            Self::SysctlValues => "sysctl.values",
            Self::SystemdJobs => "systemd.jobs",
            Self::UnitFiles => "unit.files",
            Self::PackageHistory => "package.history",
            Self::ClockSources => "clock.sources",
            Self::CertificateChain => "certificate.chain",
        }
    }

    /// What its number counts, the most that can be asked for, and what is taken without a number;
    /// `None` where nothing is counted.
    pub const fn counts(self) -> Option<Counted> {
        let (what, most, usual) = match self {
            Self::JournalTail => ("lines", 500, 30),
            Self::KernelLog => ("lines", 200, 50),
            Self::ProcSmapsTop => ("processes", 20, 5),
            Self::ProcStacks => ("tasks", 20, 10),
            Self::ProcFdsTop => ("processes", 20, 5),
            Self::DiskUsageTop => ("directories", 50, 20),
            Self::DiskDeletedOpen => ("files", 50, 20),
            Self::NetSocketsTop => ("sockets", 50, 20),
            Self::PackageHistory => ("transactions", 20, 5),
            Self::UnitSnapshot
            | Self::CgroupMemory
            | Self::CgroupCpu
            | Self::CgroupIo
            | Self::ProcTree
            | Self::CoredumpNewest
            | Self::MdStatus
            | Self::NetCounters
            | Self::NetAddresses
            | Self::SysctlValues
            | Self::SystemdJobs
            | Self::UnitFiles
            | Self::ClockSources
            | Self::CertificateChain => return None,
        };
        Some(Counted { what, most, usual })
    }
}

impl fmt::Display for CaptureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a kind's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What is counted.
    pub what: &'static str,
    /// The most that can be asked for.
    pub most: u32,
    /// How many are taken where none is asked for.
    pub usual: u32,
}

/// One kind of evidence, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// What.
    pub kind: CaptureKind,
    /// How many; 0 where nothing is counted.
    pub count: u32,
}

impl Wanted {
    /// So many of a kind, within what it allows; what is usual without a number.
    pub fn new(kind: CaptureKind, count: Option<u32>) -> Self {
        let count = kind.counts().map_or(0, |counted| {
            count.unwrap_or(counted.usual).clamp(1, counted.most)
        });
        Self { kind, count }
    }

    /// What is taken before every first step, whatever a playbook asks for.
    pub fn always() -> [Self; 2] {
        [CaptureKind::JournalTail, CaptureKind::CgroupMemory].map(|kind| Self::new(kind, None))
    }

    /// What `asked` comes to: each kind once with its highest number, and with what is always taken.
    pub fn with_always(asked: &[Self]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::with_capacity(PARTS_MAX);
        for wanted in Self::always().iter().chain(asked) {
            match all.iter_mut().find(|known| known.kind == wanted.kind) {
                Some(known) => known.count = known.count.max(wanted.count),
                None => all.push(Self::new(wanted.kind, Some(wanted.count))),
            }
        }
        all
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 => self.kind.fmt(f),
            count => write!(f, "{}({count})", self.kind),
        }
    }
}

/// What was captured of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The kind, as the playbook says it: a name that a later version has is read, too.
    pub name: String,
    /// What was found, one plain line each. None: it was looked for, and there is none.
    pub lines: Vec<String>,
}

impl Part {
    /// What of `lines` fits in one part and in `room` bytes, and how many lines do not.
    pub fn bounded(wanted: Wanted, lines: Vec<String>, room: usize) -> (Self, usize) {
        let all = lines.len();
        let mut room = room.min(PART_BYTES_MAX);
        let mut kept = Vec::new();
        for line in lines.into_iter().take(PART_LINES_MAX) {
            let line = plain(&line);
            let Some(left) = room.checked_sub(line.len() + 1) else {
                break;
            };
            room = left;
            kept.push(line);
        }
        let left_out = all - kept.len();
        let part = Self {
            name: wanted.to_string(),
            lines: kept,
        };
        (part, left_out)
    }

    /// Bytes that its lines take.
    pub fn bytes(&self) -> usize {
        self.lines.iter().map(|line| line.len() + 1).sum()
    }
}

/// `text` as one line of at most [`LINE_BYTES_MAX`] bytes without control characters: names of files
/// and processes are anybody's, and an escaped control character would take six bytes of a record.
pub fn plain(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LINE_BYTES_MAX)];
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut line: String = text.trim_end().chars().map(plain).collect();
    line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_word_is_what_the_record_says() {
        for kind in CaptureKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }

    #[test]
    fn a_number_stays_within_what_its_kind_allows() {
        let of = |kind, count| Wanted::new(kind, count).to_string();
        assert_eq!(of(CaptureKind::ProcStacks, None), "proc.stacks(10)");
        assert_eq!(of(CaptureKind::ProcStacks, Some(500)), "proc.stacks(20)");
        assert_eq!(of(CaptureKind::ProcStacks, Some(0)), "proc.stacks(1)");
        assert_eq!(of(CaptureKind::ProcTree, Some(7)), "proc.tree");
    }

    #[test]
    fn each_kind_is_taken_once_and_two_always() {
        let asked = [
            Wanted::new(CaptureKind::JournalTail, Some(100)),
            Wanted::new(CaptureKind::ProcTree, None),
            Wanted::new(CaptureKind::ProcTree, None),
            Wanted::new(CaptureKind::JournalTail, Some(5)),
        ];
        let told = |asked: &[Wanted]| {
            let all = Wanted::with_always(asked);
            all.iter().map(Wanted::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(&[]), ["journal.tail(30)", "cgroup.memory"]);
        let expected = ["journal.tail(100)", "cgroup.memory", "proc.tree"];
        assert_eq!(told(&asked), expected);
    }

    proptest! {
        /// Whatever is found, a part stays within its bounds, and what is left out is counted.
        #[test]
        fn a_part_stays_within_its_bounds(
            lines in prop::collection::vec(any::<String>(), 0..400),
            long in 0_usize..2000,
            room in 0_usize..100_000,
        ) {
            let mut lines = lines;
            lines.push("\u{1b}é\n".repeat(long));
            let all = lines.len();
            let wanted = Wanted::new(CaptureKind::ProcTree, None);
            let (part, left_out) = Part::bounded(wanted, lines, room);
            prop_assert_eq!(part.lines.len() + left_out, all);
            prop_assert!(part.lines.len() <= PART_LINES_MAX);
            prop_assert!(part.bytes() <= room.min(PART_BYTES_MAX));
            for line in &part.lines {
                prop_assert!(line.len() <= LINE_BYTES_MAX);
                prop_assert!(!line.contains(char::is_control));
            }
        }
    }
}
