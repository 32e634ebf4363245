//! What a queue loses on its way out is told, with who sent it.
//!
//! `cargo xtask vm` runs this: the machine's own kernel may have no netem.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{fs, net::UdpSocket, process::Command};

use hostmedic_model::{
    loss::Coverage,
    signal::{Fact, PortClass, TransmitTimeout},
};
use hostmedic_observe::kernel::{About, Counted, Options, What};
use hostmedic_tests::{
    host::Reaped,
    kernel::{Capture, kernel_version},
    net::Wire,
    storage::need_module,
    vm::{eventually, is_inside, run},
};
use nix::{pty::openpty, unistd::ttyname};

/// Goal: each packet that netem loses is counted under its interface and its sender's cgroup.
#[test]
fn packets_a_queue_loses_are_told() {
    const SENT: u64 = 20;
    if !is_inside("netem") {
        return;
    }
    let wire = Wire::new();
    wire.near
        .run("tc", "qdisc add dev wire root netem loss 100%");
    let mut capture = Capture::start(&Options::default());
    wire.near.within(|| {
        let socket = UdpSocket::bind("0.0.0.0:5000").unwrap();
        for _ in 0..SENT {
            assert_eq!(socket.send_to(b"lost", "10.213.78.2:53").unwrap(), 4);
        }
    });
    let counted = capture.tallies();
    let lost: Vec<_> = counted
        .iter()
        .filter(
            |of| matches!(of.what, What::Drop { interface, .. } if interface == wire.near.index),
        )
        .collect();
    println!("{lost:?}");
    // The kernel's own sockets (multicast, neighbours) belong to the root, where we may be, too.
    let is_ours = |of: &&&Counted| {
        let port = PortClass::Registered;
        of.cgroup_id == own_cgroup() && matches!(of.what, What::Drop { port: at, .. } if at == port)
    };
    let of_us = lost.iter().filter(is_ours);
    assert_eq!(of_us.map(|of| of.count).sum::<u64>(), SENT, "{lost:?}");
    for of in lost.iter().filter(is_ours) {
        let What::Drop { reason, .. } = &of.what else {
            continue;
        };
        let expected = if kernel_version() >= (5, 17) {
            "QDISC_DROP"
        } else {
            "at:kfree_skb_list"
        };
        assert_eq!(reason, expected);
    }
    capture.stop().assert_adds_up();
}

/// Goal: an interface that could not send for too long is told with its index and queue.
/// Method: a serial line (SLIP) over a terminal whose other side nobody reads, so that its first
/// packet never gets out; the kernel's watchdog notices after 20 s (`drivers/net/slip/slip.c`).
#[test]
fn interface_that_cannot_send_is_told() {
    const INTERFACE: &str = "sl0";
    if !is_inside("transmit timeout") {
        return;
    }
    need_module("slip");
    let terminal = openpty(None, None).unwrap();
    let line = ttyname(&terminal.slave).unwrap();
    let mut attach = Command::new("ldattach");
    attach.args(["--debug", "SLIP"]).arg(&line);
    let _attached = Reaped(attach.spawn().unwrap());
    let dir = format!("/sys/class/net/{INTERFACE}");
    eventually("SLIP has an interface", || fs::exists(&dir).unwrap());
    let index = fs::read_to_string(format!("{dir}/ifindex")).unwrap();
    let index = index.trim().parse().unwrap();
    let mut capture = Capture::start(&Options::default());
    assert_eq!(
        capture.coverage("transmit_timeout"),
        Coverage::Captured,
        "{:?}",
        capture.report("transmit_timeout")
    );
    let to = ["addr", "add", "10.213.79.1", "peer", "10.213.79.2", "dev"];
    run("ip", &[to.as_slice(), &[INTERFACE]].concat());
    run("ip", &["link", "set", INTERFACE, "up"]);
    let socket = UdpSocket::bind("10.213.79.1:0").unwrap();
    // The first stops the queue, the second waits behind it.
    for _ in 0..2 {
        socket.send_to(b"stuck", "10.213.79.2:53").unwrap();
    }
    let about = About::Interface { index };
    capture.wait_for("transmit timeout", |event| event.about == about);
    let account = capture.stop();
    account.assert_adds_up();
    let told = account.events.iter().find(|event| event.about == about);
    let expected = Fact::TransmitTimeout(TransmitTimeout { queue: 0 });
    assert_eq!(told.unwrap().fact, expected);
}

/// Id of the cgroup that this test runs in.
fn own_cgroup() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let text = fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    let dir = std::path::Path::new("/sys/fs/cgroup").join(path.unwrap());
    fs::metadata(dir).unwrap().ino()
}
