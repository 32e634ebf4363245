//! `tcp:tcp_receive_reset`: the other side reset a connection. Counted by cgroup and the service's
//! port (`c`).

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Hook};

use crate::{emit::Run, kernel::Socket, tally::count_tcp};

/// `tcp_receive_reset(struct sock *sk)`.
#[btf_tracepoint(function = "tcp_receive_reset")]
fn tcp_reset_received(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::TcpResetReceived) else {
        return;
    };
    let outcome = match Socket::argument(&ctx, 0) {
        Some(socket) => count_tcp(
            Hook::TcpResetReceived,
            socket.cgroup_id(),
            socket.service_port(),
        ),
        None => Counter::Filtered,
    };
    run.end(outcome);
}
