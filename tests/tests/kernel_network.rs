//! What goes wrong in the network is counted under its reason, its interface and its owner.
//!
//! `transmit_timeout` is tested in `vm_network`: the kernel's watchdog looks only at drivers that
//! can be reset (`ndo_tx_timeout`), which veth, dummy and most devices of software are not.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
};

use hostmedic_model::{
    loss::Coverage,
    signal::{PortClass, TcpTroubleKind},
};
use hostmedic_observe::kernel::{Counted, Options, What};
use hostmedic_tests::{
    host::wait_for,
    kernel::{Account, Capture, Cgroup, kernel_version},
    net::{Namespace, Speaker, Wire},
};

/// Datagrams to each port, and their bytes with the headers of IPv4 and UDP.
const SENT: u64 = 20;
const DATAGRAM: [u8; 100] = [7; 100];
const BYTES: u64 = 20 + 8 + 100;

/// Packets and bytes that `interface` dropped, for this reason and port.
fn drops(counted: &[Counted], interface: u32, reason: &str, port: PortClass) -> (u64, u64) {
    let what = What::Drop {
        reason: reason.to_owned(),
        interface,
        port,
    };
    let of = counted.iter().filter(|of| of.what == what);
    of.fold((0, 0), |(count, amount), of| {
        (count + of.count, amount + of.amount)
    })
}

/// The reason, or the function that dropped, on a kernel without reasons.
fn reason<'a>(reason: &'a str, function: &'a str) -> &'a str {
    if kernel_version() >= (5, 17) {
        reason
    } else {
        function
    }
}

fn send(from: &Namespace, to: &[SocketAddr], count: u64) {
    from.within(|| {
        for to in to {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).unwrap();
            for _ in 0..count {
                // A refusal told by ICMP is an answer to an earlier packet.
                while socket.send_to(&DATAGRAM, to).is_err() {}
            }
        }
    });
}

fn assert_whole(account: &Account, hooks: &[&str]) {
    account.assert_adds_up();
    for hook in hooks {
        assert_eq!(account.of(hook).map_full, 0, "{:?}", account.of(hook));
    }
}

/// Goal: each packet that a firewall drops is counted, with its bytes, under the reason, the
/// interface it came in by, and the kind of port it was for.
#[test]
fn packets_a_firewall_drops_are_told() {
    let wire = Wire::new();
    wire.far
        .filter("input", "udp dport { 53, 5000, 40000 } drop");
    let mut capture = Capture::start(&Options::default());
    let to = [53, 5000, 40000].map(|port| SocketAddr::from(([10, 213, 78, 2], port)));
    send(&wire.near, &to, SENT);
    let counted = capture.tallies();
    let why = reason("NETFILTER_DROP", "at:nf_hook_slow");
    for port in [
        PortClass::WellKnown(53),
        PortClass::Registered,
        PortClass::Ephemeral,
    ] {
        let found = drops(&counted, wire.far.index, why, port);
        assert_eq!(found, (SENT, SENT * BYTES), "{port:?}: {counted:?}");
    }
    assert_whole(&capture.stop(), &["packet_drop"]);
}

/// Goal: datagrams to a port that nobody listens on are told as such, of both families.
#[test]
fn datagrams_nobody_wants_are_told() {
    let wire = Wire::new();
    let mut capture = Capture::start(&Options::default());
    send(&wire.near, &["10.213.78.2:9".parse().unwrap()], SENT);
    let of_v4 = capture.tallies();
    send(&wire.near, &["[fd78::2]:9".parse().unwrap()], SENT);
    let of_v6 = capture.tallies();
    for (counted, place) in [(of_v4, "at:__udp4_lib_rcv"), (of_v6, "at:__udp6_lib_rcv")] {
        let why = reason("NO_SOCKET", place);
        let (count, _) = drops(&counted, wire.far.index, why, PortClass::WellKnown(9));
        assert_eq!(count, SENT, "{counted:?}");
    }
    assert_whole(&capture.stop(), &["packet_drop"]);
}

/// Goal: datagrams that find a socket's buffer full are counted under its owner's cgroup, where
/// the kernel says which socket it was (since 6.11); under none elsewhere.
/// Method: who receives does not read; afterwards it says how many had fitted.
#[test]
fn a_full_receiver_is_told_with_its_owner() {
    let (wire, place) = (Wire::new(), Cgroup::unified("receiver"));
    let mut receiver = Speaker::start(&place, &wire.far, &["hold", "10.213.78.2:5000"]);
    let address: SocketAddr = receiver.said().parse().unwrap();
    let mut capture = Capture::start(&Options::default());
    send(&wire.near, &[address], 200);
    let counted = capture.tallies();
    let fitted: u64 = receiver.ask("read").parse().unwrap();
    let why = reason("SOCKET_RCVBUFF", "at:udp_queue_rcv_one_skb");
    let (count, _) = drops(&counted, wire.far.index, why, PortClass::Registered);
    assert_eq!(count, 200 - fitted, "{fitted} fitted: {counted:?}");
    let of_reason = |of: &&Counted| matches!(&of.what, What::Drop { reason, interface, .. } if reason == why && *interface == wire.far.index);
    let owners: Vec<_> = counted
        .iter()
        .filter(of_reason)
        .map(|of| of.cgroup_id)
        .collect();
    let owner = match capture.coverage("packet_drop") {
        Coverage::Captured => place.id(),
        _ => 0,
    };
    assert_eq!(owners, [owner], "{counted:?}");
    println!("{fitted} of 200 fitted, {count} dropped: {why}");
    assert_whole(&capture.stop(), &["packet_drop"]);
}

/// How often a trouble of TCP was counted for a cgroup and port.
fn trouble(counted: &[Counted], kind: TcpTroubleKind, cgroup_id: u64, port: u16) -> u64 {
    let what = What::Tcp {
        trouble: kind,
        port,
    };
    let of = counted
        .iter()
        .filter(|of| of.cgroup_id == cgroup_id && of.what == what);
    of.map(|of| of.count).sum()
}

/// Waits until so much trouble was counted; gives all that was counted meanwhile.
fn await_trouble(
    capture: &mut Capture,
    wanted: &[(TcpTroubleKind, u64, u16, u64)],
) -> Vec<Counted> {
    let mut all = Vec::new();
    wait_for(&format!("{wanted:?}"), || {
        all.extend(capture.tallies());
        let is_there = |&(kind, cgroup_id, port, count): &(_, u64, u16, u64)| {
            trouble(&all, kind, cgroup_id, port) >= count
        };
        wanted.iter().all(is_there).then_some(())
    });
    all
}

/// `TCPRetransFail` of a namespace: what it could not even send again.
fn failures(namespace: &Namespace) -> u64 {
    let text = namespace.within(|| fs::read_to_string("/proc/thread-self/net/netstat").unwrap());
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split(' ').zip(values.split(' '));
    let found = pairs.find(|(name, _)| *name == "TCPRetransFail").unwrap();
    found.1.parse().unwrap()
}

/// Goal: what is sent again is counted under who sends it and the service's port; what could not
/// be sent again is not.
/// Method: after the handshake the service's host drops what comes; then the sender's drops what
/// goes.
#[test]
fn what_is_sent_again_is_told() {
    let wire = Wire::new();
    let (client, server) = (Cgroup::unified("client"), Cgroup::unified("server"));
    let mut service = Speaker::start(&server, &wire.far, &["serve", "10.213.78.2:5000"]);
    assert_eq!(service.said(), "10.213.78.2:5000");
    let mut caller = Speaker::start(&client, &wire.near, &["call", "10.213.78.2:5000"]);
    assert_eq!(caller.said(), "connected");
    let mut capture = Capture::start(&Options::default());
    wire.far.filter("input", "tcp dport 5000 drop");
    caller.ask("write");
    let retransmit = TcpTroubleKind::Retransmit;
    let counted = await_trouble(&mut capture, &[(retransmit, client.id(), 5000, 2)]);
    assert_eq!(trouble(&counted, retransmit, server.id(), 5000), 0);

    wire.near.filter("output", "tcp dport 5000 drop");
    let rise = |from: u64| {
        wait_for("a failure", || {
            Some(failures(&wire.near)).filter(|n| *n > from)
        })
    };
    let first = rise(0);
    capture.tallies();
    let filtered = |capture: &Capture| {
        let counters = capture.probes().counters().unwrap();
        let mut of_hook = counters
            .into_iter()
            .filter(|of| of.hook == "tcp_retransmit");
        of_hook.next().unwrap().filtered
    };
    let filtered_before = filtered(&capture);
    rise(first);
    let counted = capture.tallies();
    assert_eq!(trouble(&counted, retransmit, client.id(), 5000), 0);
    // From 6.17 on the kernel comes by the hook all the same.
    let has_come = filtered(&capture) > filtered_before;
    assert_eq!(has_come, kernel_version() >= (6, 17));
    assert_whole(&capture.stop(), &["tcp_retransmit"]);
}

/// Goal: a port that nobody listens on resets who calls. The caller's cgroup is told; of the other
/// side there is only the port, and before 6.10 nothing.
#[test]
fn a_refused_call_is_told() {
    let (wire, client) = (Wire::new(), Cgroup::unified("refused"));
    let mut capture = Capture::start(&Options::default());
    for _ in 0..3 {
        let mut caller = Speaker::start(&client, &wire.near, &["call", "10.213.78.2:5001"]);
        assert_eq!(caller.said(), "ConnectionRefused");
    }
    let counted = capture.tallies();
    let of = |kind, id| trouble(&counted, kind, id, 5001);
    assert_eq!(
        of(TcpTroubleKind::ResetReceived, client.id()),
        3,
        "{counted:?}"
    );
    let sent = match capture.coverage("tcp_reset_sent") {
        Coverage::Captured => 3,
        _ => 0,
    };
    assert_eq!(of(TcpTroubleKind::ResetSent, 0), sent, "{counted:?}");
    assert_whole(&capture.stop(), &["tcp_reset_sent", "tcp_reset_received"]);
}

/// Goal: both ends of a connection that one of them resets are told, each with its cgroup.
/// Method: a service leaves what it was sent unread; a caller closes at once.
#[test]
fn both_ends_of_a_reset_are_told() {
    use TcpTroubleKind::{ResetReceived, ResetSent};
    let wire = Wire::new();
    let (client, server) = (Cgroup::unified("client"), Cgroup::unified("server"));
    for (verb, address) in [("leave", "10.213.78.2:5002"), ("serve", "[fd78::2]:5002")] {
        let mut service = Speaker::start(&server, &wire.far, &[verb, address]);
        assert_eq!(service.said(), address);
        let mut caller = Speaker::start(&client, &wire.near, &["call", address]);
        assert_eq!(caller.said(), "connected");
        let mut capture = Capture::start(&Options::default());
        let (sender, receiver) = match verb {
            "leave" => (&server, &client),
            _ => (&client, &server),
        };
        caller.ask(if verb == "leave" { "write" } else { "reset" });
        let wanted = [
            (ResetSent, sender.id(), 5002, 1),
            (ResetReceived, receiver.id(), 5002, 1),
        ];
        let counted = await_trouble(&mut capture, &wanted);
        for (kind, id, port, count) in wanted {
            assert_eq!(trouble(&counted, kind, id, port), count, "{counted:?}");
        }
        assert_eq!(trouble(&counted, ResetSent, receiver.id(), 5002), 0);
        assert_whole(&capture.stop(), &["tcp_reset_sent", "tcp_reset_received"]);
    }
}

/// Goal: a connection between two units of one host is an edge: each end has its own cgroup, the
/// port connected to and the direction, over IPv4, IPv6 and IPv4 to a socket of IPv6.
#[test]
fn both_ends_of_a_connection_are_told() {
    let wire = Wire::new();
    let (client, server) = (Cgroup::unified("client"), Cgroup::unified("server"));
    let mut capture = Capture::start(&Options::default());
    for (listen, call, remote) in [
        ("127.0.0.1:6001", "127.0.0.1:6001", "127.0.0.1"),
        ("[::1]:6002", "[::1]:6002", "::1"),
        ("[::]:6003", "127.0.0.1:6003", "127.0.0.1"),
        ("[fd78::1]:6004", "[fd78::1]:6004", "fd78::1"),
    ] {
        let mut service = Speaker::start(&server, &wire.near, &["serve", listen]);
        assert_eq!(service.said(), listen);
        for _ in 0..3 {
            let mut caller = Speaker::start(&client, &wire.near, &["call", call]);
            assert_eq!(caller.said(), "connected");
        }
        let counted = capture.tallies();
        let port = call.parse::<SocketAddr>().unwrap().port();
        for (cgroup, is_outgoing) in [(&client, true), (&server, false)] {
            let what = What::Flow {
                remote: remote.parse().unwrap(),
                port,
                is_outgoing,
            };
            let of_end = |of: &&Counted| of.cgroup_id == cgroup.id() && of.what == what;
            let count: u64 = counted.iter().filter(of_end).map(|of| of.count).sum();
            assert_eq!(count, 3, "{what:?}: {counted:?}");
        }
    }
    assert_whole(&capture.stop(), &["tcp_flow"]);
}

/// Goal: a connection over a Unix socket is an edge from the cgroup that connects to the one that
/// made the listening socket; who connects to itself is none.
#[test]
fn connection_over_a_unix_socket_is_told() {
    let wire = Wire::new();
    let (client, server) = (
        Cgroup::unified("unix-client"),
        Cgroup::unified("unix-server"),
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let path = path.to_str().unwrap();
    let mut capture = Capture::start(&Options::default());
    let report = capture.report("unix_flow");
    if report.coverage == Coverage::Absent {
        println!("skipped: unix_flow is absent: {}", report.reason);
        capture.stop();
        return;
    }
    assert_eq!(report.coverage, Coverage::Captured, "{report:?}");
    let mut service = Speaker::start(&server, &wire.near, &["serve-unix", path]);
    assert_eq!(service.said(), path);
    for (caller, times) in [(&client, 3), (&server, 2)] {
        for _ in 0..times {
            let mut caller = Speaker::start(caller, &wire.near, &["call-unix", path]);
            assert_eq!(caller.said(), "connected");
        }
    }
    let counted = capture.tallies();
    let edges: Vec<_> = counted
        .iter()
        .filter_map(|of| match of.what {
            What::UnixFlow { listener } if listener == server.id() => {
                Some((of.cgroup_id, of.count))
            }
            _ => None,
        })
        .collect();
    assert_eq!(edges, [(client.id(), 3)], "{counted:?}");
    assert_whole(&capture.stop(), &["unix_flow"]);
}
