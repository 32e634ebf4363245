//! Counters of interfaces, of TCP and UDP, of sockets and of connection tracking.

use std::path::Path;

use hostmedic_observe::host::net::named_counters;

use super::{
    found::{self, Found},
    scene::Scene,
};

/// Bytes read of one file.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Interfaces told.
const INTERFACES_MAX: usize = 64;
/// Columns of `/proc/net/dev` after the name; net/core/net-procfs.c.
const COLUMNS: [&str; 16] = [
    "rx bytes",
    "rx packets",
    "rx errors",
    "rx drops",
    "rx fifo",
    "rx frame",
    "rx compressed",
    "rx multicast",
    "tx bytes",
    "tx packets",
    "tx errors",
    "tx drops",
    "tx fifo",
    "tx collisions",
    "tx carrier",
    "tx compressed",
];
/// What of TCP's and UDP's counters says that something is wrong, or how much there is.
const PROTOCOLS: [(&str, &str, &[&str]); 5] = [
    (
        "snmp",
        "Tcp",
        &[
            "ActiveOpens",
            "PassiveOpens",
            "AttemptFails",
            "EstabResets",
            "CurrEstab",
            "OutSegs",
            "RetransSegs",
            "InErrs",
            "OutRsts",
        ],
    ),
    (
        "netstat",
        "TcpExt",
        &[
            "ListenOverflows",
            "ListenDrops",
            "SyncookiesSent",
            "TCPReqQFullDrop",
            "TCPReqQFullDoCookies",
            "TCPAbortOnMemory",
            "TCPAbortOnTimeout",
            "TCPMemoryPressures",
            "TCPBacklogDrop",
            "PruneCalled",
            "TCPTimeouts",
            "TCPTimeWaitOverflow",
            "TW",
        ],
    ),
    (
        "snmp",
        "Udp",
        &[
            "InDatagrams",
            "NoPorts",
            "InErrors",
            "RcvbufErrors",
            "SndbufErrors",
        ],
    ),
    (
        "snmp",
        "Ip",
        &["InDiscards", "OutDiscards", "OutNoRoutes", "ReasmFails"],
    ),
    ("snmp", "Icmp", &["InDestUnreachs", "OutDestUnreachs"]),
];

/// The counters of the network that the incident is about.
pub(super) fn all(scene: &Scene) -> Found {
    let dir = scene.net();
    let mut found = Found::default();
    match found::text(&dir.join("dev"), FILE_BYTES_MAX) {
        Ok(text) => interfaces(&text, &mut found),
        Err(error) => found.lacks(format!("{}: {error}", dir.join("dev").display())),
    }
    for (file, protocol, names) in PROTOCOLS {
        match found::text(&dir.join(file), FILE_BYTES_MAX) {
            Ok(text) => {
                let counters = named_counters(&text, protocol);
                let told: Vec<_> = names
                    .iter()
                    .filter_map(|name| Some(format!("{name} {}", counters.get(name)?)))
                    .collect();
                if !told.is_empty() {
                    found.line(format!("{protocol}: {}", told.join(", ")));
                }
            }
            Err(error) => found.lacks(format!("{}: {error}", dir.join(file).display())),
        }
    }
    for file in ["sockstat", "sockstat6"] {
        let text = found::text(&dir.join(file), FILE_BYTES_MAX).unwrap_or_default();
        found.lines.extend(
            text.lines()
                .take(16)
                .map(|line| format!("sockets: {}", line.trim())),
        );
    }
    conntrack(&scene.proc, &mut found);
    found
}

/// A line for each interface, without what is zero.
fn interfaces(dev: &str, found: &mut Found) {
    let lines = dev.lines().filter_map(|line| line.split_once(':'));
    for (name, numbers) in lines.take(INTERFACES_MAX) {
        let numbers = numbers.split_ascii_whitespace().map(str::parse::<u64>);
        let told: Vec<_> = COLUMNS
            .iter()
            .zip(numbers)
            .filter_map(|(column, number)| Some((column, number.ok()?)))
            .filter(|(_, number)| *number > 0)
            .map(|(column, number)| format!("{column} {number}"))
            .collect();
        let told = match told.is_empty() {
            true => "nothing yet".to_owned(),
            false => told.join(", "),
        };
        found.line(format!("{}: {told}", name.trim()));
    }
}

/// How full the table of connections is, where the module is loaded.
fn conntrack(proc: &Path, found: &mut Found) {
    let dir = proc.join("sys/net/netfilter");
    let of = |name: &str| found::word(&dir.join(name));
    if let (Some(count), Some(most)) = (of("nf_conntrack_count"), of("nf_conntrack_max")) {
        found.line(format!("conntrack: {count} of {most}"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::process::tests::over;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 100 2 0 0 0 0 0 0 100 2 0 0 0 0 0 0
  eth0:5000 9 0 3 0 0 0 0 0 0 1 0 0 0 0 0
 dummy0: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
";

    #[test]
    fn interfaces_are_told_without_zeros() {
        let mut found = Found::default();
        interfaces(DEV, &mut found);
        assert_eq!(
            found.lines,
            [
                "lo: rx bytes 100, rx packets 2, tx bytes 100, tx packets 2",
                "eth0: rx bytes 5000, rx packets 9, rx drops 3, tx errors 1",
                "dummy0: nothing yet",
            ]
        );
    }

    #[test]
    fn this_hosts_counters_are_read_and_what_is_not_there_is_named() {
        let found = all(&over(Path::new("/proc")));
        assert!(
            found.lines.iter().any(|line| line.starts_with("lo: ")),
            "{found:?}"
        );
        assert!(
            found.lines.iter().any(|line| line.starts_with("Tcp: ")),
            "{found:?}"
        );
        let dir = tempfile::tempdir().unwrap();
        let none = all(&over(dir.path()));
        assert!(
            none.lines.is_empty() && none.missing.len() == 1 + PROTOCOLS.len(),
            "{none:?}"
        );
    }

    proptest! {
        #[test]
        fn any_table_gives_bounded_lines(text in any::<String>(), many in 0_usize..200) {
            let mut found = Found::default();
            interfaces(&(text + &"\na: 1 2 3".repeat(many)), &mut found);
            prop_assert!(found.lines.len() <= INTERFACES_MAX);
        }
    }
}
