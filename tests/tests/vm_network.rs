//! What a queue loses on its way out is told, with who sent it.
//!
//! `cargo xtask vm` runs this: the machine's own kernel may have no netem.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::UdpSocket;

use hostmedic_model::signal::PortClass;
use hostmedic_observe::kernel::{Counted, Options, What};
use hostmedic_tests::{
    kernel::{Capture, kernel_version},
    net::Wire,
    vm::is_inside,
};

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

/// Id of the cgroup that this test runs in.
fn own_cgroup() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    let dir = std::path::Path::new("/sys/fs/cgroup").join(path.unwrap());
    std::fs::metadata(dir).unwrap().ino()
}
