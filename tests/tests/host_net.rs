//! What the kernel counts and no probe sees reaches us: full listeners, full UDP buffers, what an
//! interface dropped, and links that go and come.
//!
//! Needs root and iproute2: `cargo test -p hostmedic-tests --features kernel`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    net::{TcpListener, TcpStream, UdpSocket},
    os::fd::AsFd as _,
    process::Command,
    time::Duration,
};

use hostmedic_model::{
    signal::{DropPlace, Fact, NetCounterKind, PacketDrops, Signal},
    subject::Subject,
};
use hostmedic_observe::{
    host::{HostSignals, clock, net::reconcile},
    subject::Subjects,
};
use hostmedic_tests::host::wait_for;
use nix::sys::socket::{Backlog, listen, setsockopt, sockopt::RcvBuf};

/// A watch whose baseline is now.
fn baseline() -> HostSignals {
    let mut host = HostSignals::new(Subjects::new());
    host.poll(clock::now());
    host
}

fn poll(host: &mut HostSignals) -> Vec<Signal> {
    host.poll(clock::now()).0
}

fn count_of(signals: &[Signal], kind: NetCounterKind) -> Option<u64> {
    signals.iter().find_map(|signal| match &signal.fact {
        Fact::NetCounter(rise) if rise.counter == kind => {
            assert_eq!(signal.subject, Subject::Host);
            Some(rise.count)
        }
        _ => None,
    })
}

/// Goal: connections refused because nobody accepts are counted.
/// Method: a listener with room for two, and twelve that want in.
#[test]
fn a_full_listener_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Once more, with less room than the library asks for.
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut host = baseline();
    let wanting: Vec<_> = (0..12)
        .map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(100)))
        .collect();
    assert!(wanting.iter().any(Result::is_err), "all twelve got in");
    let overflows = wait_for("an overflow", || {
        let signals = poll(&mut host);
        let overflows = count_of(&signals, NetCounterKind::ListenOverflow)?;
        let drops = count_of(&signals, NetCounterKind::ListenDrop).unwrap();
        assert!(drops >= overflows, "{signals:?}");
        Some(overflows)
    });
    assert!(overflows >= 1);
}

/// Goal: datagrams that found a socket's buffer full are counted, every one.
/// Method: 1000 datagrams to a socket with a small buffer that nobody reads; those that fitted
/// are read afterwards, the others must have been counted.
#[test]
fn a_full_udp_buffer_is_told() {
    const SENT: u64 = 1000;
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    setsockopt(&receiver.as_fd(), RcvBuf, &4096).unwrap();
    receiver.set_nonblocking(true).unwrap();
    let address = receiver.local_addr().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut host = baseline();
    for _ in 0..SENT {
        assert_eq!(sender.send_to(&[7; 512], address).unwrap(), 512);
    }
    let lost = count_of(&poll(&mut host), NetCounterKind::UdpReceiveBuffer).unwrap();
    let mut fitted = 0;
    while receiver.recv(&mut [0; 512]).is_ok() {
        fitted += 1;
    }
    // Other sockets of the host may lose some as well.
    assert!(
        lost >= SENT - fitted,
        "{lost} of {SENT} told, {fitted} fitted"
    );
    assert!(fitted < SENT);
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).output();
    let done = done.expect("ip cannot be run; apt-get install iproute2");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {arguments}: {said}");
}

struct Pair(String, String);

impl Pair {
    fn new() -> Self {
        Self::named("hma", "hmb")
    }

    /// Names must not be those of another test's pair: tests run beside each other.
    fn named(near: &str, far: &str) -> Self {
        let id = std::process::id();
        let pair = Self(format!("{near}{id}"), format!("{far}{id}"));
        ip(&format!(
            "link add {} type veth peer name {}",
            pair.0, pair.1
        ));
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.0));
    }
}

/// Goal: what an interface drops is told by its name, and is unexplained as long as no probe saw
/// it.
/// Method: the far end of a veth pair takes only small packets, and 50 large ones are sent.
#[test]
fn packets_an_interface_drops_are_told() {
    const SENT: u64 = 50;
    let pair = Pair::new();
    let (near, far) = (&pair.0, &pair.1);
    ip(&format!("addr add 10.213.77.1/30 dev {near}"));
    ip(&format!("link set {far} mtu 200"));
    ip(&format!("link set {far} up"));
    ip(&format!("link set {near} up"));
    ip(&format!(
        "neigh replace 10.213.77.2 lladdr 02:00:00:00:00:02 dev {near}"
    ));
    let mut host = baseline();
    let sender = UdpSocket::bind("10.213.77.1:0").unwrap();
    for _ in 0..SENT {
        assert_eq!(sender.send_to(&[7; 1000], "10.213.77.2:9").unwrap(), 1000);
    }
    let mut told: Vec<PacketDrops> = Vec::new();
    let of_pair = |drops: &PacketDrops| {
        drops
            .interface
            .as_ref()
            .is_some_and(|name| name == near || name == far)
    };
    wait_for("the dropped packets", || {
        for signal in poll(&mut host) {
            if let Fact::PacketDrops(drops) = signal.fact
                && of_pair(&drops)
            {
                let name = drops.interface.clone().unwrap();
                assert_eq!(signal.subject, Subject::Interface(name));
                told.push(drops);
            }
        }
        let packets: u64 = told.iter().map(|drops| drops.packets).sum();
        (packets >= SENT).then_some(())
    });
    assert!(
        told.iter().all(|drops| drops.place != DropPlace::Kernel),
        "{told:?}"
    );
    let joined = reconcile(&[], &told);
    let unexplained: u64 = joined.values().map(|drops| drops.unexplained).sum();
    assert!(unexplained >= SENT, "{joined:?}");
    assert!(
        joined.values().all(|drops| drops.hardware == 0),
        "{joined:?}"
    );
}

/// What the pair's ends have told of their links: how often they went, and came.
fn link_changes(signals: &[Signal], name: &str) -> (u64, u64) {
    let told = signals.iter().filter_map(|signal| match &signal.fact {
        Fact::LinkChanges(changes) if signal.subject == Subject::Interface(name.to_owned()) => {
            Some((changes.down, changes.up))
        }
        _ => None,
    });
    told.fold((0, 0), |sum, changes| {
        (sum.0 + changes.0, sum.1 + changes.1)
    })
}

/// Goal: every loss of an interface's link is told by its name, however many come between two
/// readings, and the kernel's own count agrees; what the interface did before is no news.
/// Method: the far end of a veth pair is set down and up five times.
#[test]
fn a_link_that_goes_and_comes_is_told() {
    const TIMES: u64 = 5;
    let pair = Pair::named("hme", "hmf");
    let (near, far) = (&pair.0, &pair.1);
    ip(&format!("link set {near} up"));
    ip(&format!("link set {far} up"));
    let counted = || -> u64 {
        let file = format!("/sys/class/net/{near}/carrier_changes");
        let text = std::fs::read_to_string(file).unwrap();
        text.trim().parse().unwrap()
    };
    let before = counted();
    assert!(before > 0, "the link came up before anybody looked");
    let mut host = baseline();
    assert_eq!(link_changes(&poll(&mut host), near), (0, 0));
    for _ in 0..TIMES {
        ip(&format!("link set {far} down"));
        ip(&format!("link set {far} up"));
    }
    let signals = poll(&mut host);
    let (down, up) = link_changes(&signals, near);
    assert_eq!((down, up), (TIMES, TIMES), "{signals:?}");
    assert_eq!(down + up, counted() - before);
    assert_eq!(link_changes(&poll(&mut host), near), (0, 0));
}

/// Goal: interfaces that come and go, as those of containers do, tell of no change, nor does a
/// bridge whose carrier comes and goes with them.
/// Method: a bridge gets one veth after another, each under the same name.
#[test]
fn interfaces_of_containers_are_no_flapping() {
    let bridge = format!("hmbr{}", std::process::id());
    ip(&format!("link add {bridge} type bridge"));
    ip(&format!("link set {bridge} up"));
    let count = |file: &str| std::fs::read_to_string(format!("/sys/class/net/{bridge}/{file}"));
    let before = count("carrier_changes").unwrap();
    let mut host = baseline();
    let mut told = Vec::new();
    for _ in 0..5 {
        let pair = Pair::named("hmc", "hmd");
        ip(&format!("link set {} master {bridge}", pair.0));
        ip(&format!("link set {} up", pair.1));
        ip(&format!("link set {} up", pair.0));
        told.extend(poll(&mut host));
        drop(pair);
        told.extend(poll(&mut host));
    }
    let after = count("carrier_changes").unwrap();
    ip(&format!("link del {bridge}"));
    assert_ne!(before, after, "the bridge's own carrier never changed");
    for name in [bridge.clone(), format!("hmc{}", std::process::id())] {
        assert_eq!(link_changes(&told, &name), (0, 0), "{name}: {told:?}");
    }
}
