//! `tcp:tcp_retransmit_skb`: a segment was sent again. Counted by cgroup and the service's port
//! (`c`). From 6.17 on it fires for failed attempts, too; those are filtered.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Hook};

use crate::{
    emit::Run,
    kernel::{Socket, retransmit_failed},
    tally::count_tcp,
};

/// `tcp_retransmit_skb(const struct sock *sk, const struct sk_buff *skb, int err)`.
#[btf_tracepoint(function = "tcp_retransmit_skb")]
fn tcp_retransmit(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::TcpRetransmit) else {
        return;
    };
    match Socket::argument(&ctx, 0) {
        Some(socket) if !retransmit_failed(&ctx) => {
            run.end(count_tcp(
                Hook::TcpRetransmit,
                socket.cgroup_id(),
                socket.service_port(),
            ));
        }
        _ => run.end(Counter::Filtered),
    }
}
