//! Counters of the network that rise only when something is refused or thrown away.
//!
//! The probes see what the network stack drops; they cannot see a full listener's queue as such,
//! a full table of connections, or what the hardware dropped before the stack. Those are here:
//! `TcpExt` and `Udp` of `/proc/net`, `/proc/net/stat/nf_conntrack`, `/proc/net/softnet_stat`,
//! and `/sys/class/net/*/statistics`. Some packets are counted in two of these places and by the
//! probes as well; [`reconcile()`] says which are new. All are of the daemon's network namespace,
//! except `softnet_stat`, which is the host's.

mod parse;
pub mod reconcile;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use hostmedic_model::{
    signal::{DropPlace, Fact, NetCounter, NetCounterKind, PacketDrops, PortClass, Signal},
    subject::Subject,
    time::At,
};

pub use self::parse::named_counters;
use self::parse::{columns, softnet_drops};
pub use self::reconcile::{InterfaceDrops, reconcile};
use super::{SourceProblem, rise::Rises};

/// Interfaces read in one round; the rest is named as a problem.
const INTERFACES_MAX: usize = 1024;

/// Counters of an interface that are dropped packets, and where they were dropped.
/// Source: `struct rtnl_link_stats64`, `include/uapi/linux/if_link.h`.
const OF_INTERFACE: [(&str, DropPlace); 12] = [
    ("rx_dropped", DropPlace::Receive),
    ("rx_missed_errors", DropPlace::Receive),
    ("rx_fifo_errors", DropPlace::Receive),
    ("rx_over_errors", DropPlace::Receive),
    ("rx_crc_errors", DropPlace::Receive),
    ("rx_length_errors", DropPlace::Receive),
    ("rx_frame_errors", DropPlace::Receive),
    ("rx_nohandler", DropPlace::Receive),
    ("tx_dropped", DropPlace::Transmit),
    ("tx_fifo_errors", DropPlace::Transmit),
    ("tx_carrier_errors", DropPlace::Transmit),
    ("tx_aborted_errors", DropPlace::Transmit),
];

/// Reads the counters once a round and tells what rose.
#[derive(Debug)]
pub struct NetWatch {
    /// `/proc/net`.
    proc_net: PathBuf,
    /// `/sys/class/net`.
    class_net: PathBuf,
    tcp: Rises<NetCounterKind>,
    udp: Rises<NetCounterKind>,
    conntrack: Rises<(NetCounterKind, usize)>,
    backlog: Rises<u64>,
    interfaces: Rises<(String, usize)>,
}

impl NetWatch {
    /// Over this host.
    pub fn new() -> Self {
        Self::over("/proc/net", "/sys/class/net")
    }

    /// Over other directories.
    pub fn over(proc_net: impl Into<PathBuf>, class_net: impl Into<PathBuf>) -> Self {
        Self {
            proc_net: proc_net.into(),
            class_net: class_net.into(),
            tcp: Rises::new(),
            udp: Rises::new(),
            conntrack: Rises::new(),
            backlog: Rises::new(),
            interfaces: Rises::new(),
        }
    }

    /// What rose since the last round, and what could not be read.
    pub(super) fn poll(&mut self, at: At, problems: &mut Vec<SourceProblem>) -> Vec<Signal> {
        let mut facts = Vec::new();
        self.tcp(&mut facts, problems);
        self.udp(&mut facts, problems);
        self.conntrack(&mut facts, problems);
        self.backlog(&mut facts, problems);
        self.interfaces(&mut facts, problems);
        let signal = |(subject, fact)| Signal { at, subject, fact };
        facts.into_iter().map(signal).collect()
    }

    fn tcp(&mut self, facts: &mut Facts, problems: &mut Vec<SourceProblem>) {
        let Some(text) = read(&self.proc_net.join("netstat"), problems) else {
            return;
        };
        let counters = named_counters(&text, "TcpExt");
        let of = [
            (NetCounterKind::ListenOverflow, "ListenOverflows"),
            (NetCounterKind::ListenDrop, "ListenDrops"),
        ];
        let now = of
            .into_iter()
            .filter_map(|(kind, name)| Some((kind, *counters.get(name)?)));
        facts.extend(self.tcp.round(now.collect()).into_iter().map(counter));
    }

    fn udp(&mut self, facts: &mut Facts, problems: &mut Vec<SourceProblem>) {
        let Some(text) = read(&self.proc_net.join("snmp"), problems) else {
            return;
        };
        let mut errors = named_counters(&text, "Udp").get("RcvbufErrors").copied();
        // Sockets of IPv6 are counted elsewhere, in lines of a name and a number.
        if let Ok(text) = fs::read_to_string(self.proc_net.join("snmp6")) {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("Udp6RcvbufErrors"));
            let six: Option<u64> = line.and_then(|count| count.trim().parse().ok());
            errors = errors.map(|four| four.saturating_add(six.unwrap_or(0)));
        }
        let now = errors.map(|errors| (NetCounterKind::UdpReceiveBuffer, errors));
        facts.extend(
            self.udp
                .round(now.into_iter().collect())
                .into_iter()
                .map(counter),
        );
    }

    /// One line for each CPU. Without the module there is no such file, and nothing to tell.
    fn conntrack(&mut self, facts: &mut Facts, problems: &mut Vec<SourceProblem>) {
        let path = self.proc_net.join("stat/nf_conntrack");
        if !path.exists() {
            return;
        }
        let Some(text) = read(&path, problems) else {
            return;
        };
        let mut now = BTreeMap::new();
        for (kind, name) in [
            (NetCounterKind::ConntrackDrop, "drop"),
            (NetCounterKind::ConntrackEarlyDrop, "early_drop"),
        ] {
            let of_cpus = columns(&text, name).into_iter().enumerate();
            now.extend(of_cpus.map(|(cpu, count)| ((kind, cpu), count)));
        }
        let mut sums: BTreeMap<NetCounterKind, u64> = BTreeMap::new();
        for ((kind, _), rise) in self.conntrack.round(now) {
            let sum = sums.entry(kind).or_default();
            *sum = sum.saturating_add(rise);
        }
        facts.extend(sums.into_iter().map(counter));
    }

    fn backlog(&mut self, facts: &mut Facts, problems: &mut Vec<SourceProblem>) {
        let Some(text) = read(&self.proc_net.join("softnet_stat"), problems) else {
            return;
        };
        let rises = self.backlog.round(softnet_drops(&text));
        let packets = rises
            .into_iter()
            .fold(0_u64, |sum, (_, rise)| sum.saturating_add(rise));
        if packets > 0 {
            let fact = drops(DropPlace::Backlog, "softnet_dropped", None, packets);
            facts.push((Subject::Host, fact));
        }
    }

    fn interfaces(&mut self, facts: &mut Facts, problems: &mut Vec<SourceProblem>) {
        let listed = match fs::read_dir(&self.class_net) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()),
            Err(error) => {
                problems.push(SourceProblem::new(
                    self.class_net.display().to_string(),
                    error,
                ));
                return;
            }
        };
        let mut paths: Vec<_> = listed.collect();
        if paths.len() > INTERFACES_MAX {
            let rest = paths.len() - INTERFACES_MAX;
            let reason = format!("{rest} beyond the first {INTERFACES_MAX} are not read");
            problems.push(SourceProblem::new("interfaces", reason));
            paths.sort();
            paths.truncate(INTERFACES_MAX);
        }
        let mut now = BTreeMap::new();
        for path in paths {
            let Some(name) = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
            else {
                continue;
            };
            for (index, (counter, _)) in OF_INTERFACE.iter().enumerate() {
                // One that goes meanwhile, and `bonding_masters`, have none.
                let text = fs::read_to_string(path.join("statistics").join(counter));
                if let Some(count) = text.ok().and_then(|text| text.trim().parse().ok()) {
                    now.insert((name.clone(), index), count);
                }
            }
        }
        for ((name, index), packets) in self.interfaces.round(now) {
            if let Some((reason, place)) = OF_INTERFACE.get(index) {
                let fact = drops(*place, reason, Some(name.clone()), packets);
                facts.push((Subject::Interface(name), fact));
            }
        }
    }
}

impl Default for NetWatch {
    fn default() -> Self {
        Self::new()
    }
}

type Facts = Vec<(Subject, Fact)>;

fn counter((counter, count): (NetCounterKind, u64)) -> (Subject, Fact) {
    (
        Subject::Host,
        Fact::NetCounter(NetCounter { counter, count }),
    )
}

fn drops(place: DropPlace, reason: &str, interface: Option<String>, packets: u64) -> Fact {
    Fact::PacketDrops(PacketDrops {
        place,
        reason: reason.to_owned(),
        interface,
        port: PortClass::Unknown,
        packets,
        bytes: 0,
    })
}

fn read(path: &Path, problems: &mut Vec<SourceProblem>) -> Option<String> {
    let text: io::Result<String> = fs::read_to_string(path);
    text.map_err(|error| problems.push(SourceProblem::new(path.display().to_string(), error)))
        .ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            tree.write(
                "proc/netstat",
                "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 5 6\n",
            );
            tree.write("proc/snmp", "Udp: InDatagrams RcvbufErrors\nUdp: 1 2\n");
            tree.write(
                "proc/softnet_stat",
                "00000001 00000002 0\n00000001 00000007 0\n",
            );
            for (name, _) in OF_INTERFACE {
                tree.write(&format!("net/eth0/statistics/{name}"), "10\n");
            }
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn watch(&self) -> NetWatch {
            NetWatch::over(self.0.path().join("proc"), self.0.path().join("net"))
        }
    }

    fn told(watch: &mut NetWatch) -> Vec<String> {
        let mut problems = Vec::new();
        let signals = watch.poll(At::default(), &mut problems);
        assert_eq!(problems, []);
        signals
            .iter()
            .map(|signal| format!("{}: {}", signal.subject, signal.fact))
            .collect()
    }

    #[test]
    fn what_rose_is_told_by_its_subject() {
        let tree = Tree::new();
        let mut watch = tree.watch();
        assert_eq!(told(&mut watch), Vec::<String>::new());
        tree.write(
            "proc/netstat",
            "TcpExt: ListenOverflows ListenDrops\nTcpExt: 7 6\n",
        );
        tree.write("proc/snmp", "Udp: RcvbufErrors\nUdp: 5\n");
        tree.write(
            "proc/softnet_stat",
            "00000001 00000003 0\n00000001 0000000a 0\n",
        );
        tree.write("net/eth0/statistics/rx_missed_errors", "14\n");
        tree.write("net/eth0/statistics/tx_dropped", "3\n");
        let expected = [
            "host: listeners' queues full: 2",
            "host: UDP sockets' buffers full: 3",
            "host: 4 packets dropped before the stack: softnet_dropped",
            "interface eth0: 4 packets dropped by the interface on receiving: \
             rx_missed_errors on eth0",
        ];
        assert_eq!(told(&mut watch), expected);
    }

    #[test]
    fn a_new_interface_and_a_late_conntrack_only_set_a_baseline() {
        let tree = Tree::new();
        let mut watch = tree.watch();
        told(&mut watch);
        tree.write("net/veth1/statistics/rx_dropped", "99\n");
        let head = "entries drop early_drop";
        tree.write(
            "proc/stat/nf_conntrack",
            &format!("{head}\n00000001 00000004 00000000\n"),
        );
        assert_eq!(told(&mut watch), Vec::<String>::new());
        tree.write(
            "proc/stat/nf_conntrack",
            &format!("{head}\n00000001 00000006 00000000\n00000001 00000010 00000000\n"),
        );
        assert_eq!(told(&mut watch), ["host: connection tracking full: 2"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_is_no_zero() {
        let tree = Tree::new();
        let mut watch = tree.watch();
        told(&mut watch);
        let netstat = tree.0.path().join("proc/netstat");
        fs::remove_file(&netstat).unwrap();
        let mut problems = Vec::new();
        assert_eq!(watch.poll(At::default(), &mut problems), []);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].source.ends_with("netstat"), "{problems:?}");
        tree.write("proc/netstat", "TcpExt: ListenOverflows\nTcpExt: 9\n");
        assert_eq!(told(&mut watch), ["host: listeners' queues full: 4"]);
    }

    /// Runs against this machine's own files: all must be readable.
    #[test]
    fn this_hosts_counters_are_read() {
        let mut watch = NetWatch::new();
        let mut problems = Vec::new();
        assert_eq!(watch.poll(At::default(), &mut problems), []);
        assert_eq!(problems, []);
    }
}
