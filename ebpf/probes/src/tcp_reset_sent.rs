//! `tcp:tcp_send_reset`: we reset a connection. Counted by cgroup and the service's port (`c`). For
//! a packet that no socket wants there is no socket, only the packet's own port.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Hook};

use crate::{
    emit::Run,
    kernel::{Packet, Socket},
    tally::count_tcp,
};

/// `tcp_send_reset(const struct sock *sk, const struct sk_buff *skb, ...)`; either may be null.
#[btf_tracepoint(function = "tcp_send_reset")]
fn tcp_reset_sent(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::TcpResetSent) else {
        return;
    };
    let outcome = if let Some(socket) = Socket::argument(&ctx, 0) {
        count_tcp(
            Hook::TcpResetSent,
            socket.cgroup_id(),
            socket.service_port(),
        )
    } else if let Some(packet) = Packet::argument(&ctx, 1) {
        count_tcp(Hook::TcpResetSent, 0, packet.destination_port())
    } else {
        Counter::Filtered
    };
    run.end(outcome);
}
