//! `sock:inet_sock_set_state`: a TCP connection was made, by us or to us. Both ends of a loopback
//! connection come by here, each with its own cgroup, so the daemon can join them to an edge
//! between units. The accepted end inherits the listener's cgroup.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, FlowKey, Hook};

use crate::{
    emit::Run,
    kernel::{AF_INET, AF_INET6, Arguments as _, Socket},
    tally::count_flow,
};

/// States of include/net/tcp_states.h.
const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;

/// `inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)`.
#[btf_tracepoint(function = "inet_sock_set_state")]
fn tcp_flow(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::TcpFlow) else {
        return;
    };
    if ctx.number(2) as u32 != ESTABLISHED {
        return run.end(Counter::Filtered);
    }
    let Some(socket) = Socket::argument(&ctx, 0).filter(|socket| socket.is_tcp()) else {
        return run.end(Counter::Filtered);
    };
    let family = match socket.family() {
        AF_INET => 4,
        AF_INET6 => 6,
        _ => return run.end(Counter::Filtered),
    };
    let is_outgoing = ctx.number(1) as u32 == SYN_SENT;
    let key = FlowKey {
        cgroup_id: socket.cgroup_id(),
        remote: socket.remote_address(family == 6),
        port: if is_outgoing {
            socket.remote_port()
        } else {
            socket.local_port()
        },
        is_outgoing: u8::from(is_outgoing),
        family,
        reserved: 0,
    };
    run.end(match count_flow(key) {
        true => Counter::Aggregated,
        false => Counter::MapFull,
    });
}
