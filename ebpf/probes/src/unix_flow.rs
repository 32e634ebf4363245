//! `security_unix_stream_connect`, entered: a Unix socket (stream, seqpacket) is connected to one that
//! listens. No tracepoint tells it; this function of the security hooks has both ends at hand, and
//! nothing can fail after it but a security module that refuses. Optional: it needs
//! `CONFIG_SECURITY_NETWORK` and trampolines.

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use hostmedic_abi::{Counter, FlowKey, Hook};

use crate::{emit::Run, kernel::Socket, tally::count_flow};

/// `security_unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`,
/// security/security.c: ours, the one that listens, and the one that it will accept.
#[fentry(function = "security_unix_stream_connect")]
fn unix_flow(ctx: FEntryContext) -> i32 {
    let Some(run) = Run::begin(Hook::UnixFlow) else {
        return 0;
    };
    // The accepted end is made by the one who connects, so only the listener knows its owner.
    let ends = Socket::argument(&ctx, 0).zip(Socket::argument(&ctx, 1));
    let ids = ends.map(|(ours, listener)| (ours.cgroup_id(), listener.cgroup_id()));
    run.end(match ids {
        // Who talks to itself is no edge.
        Some((from, to)) if from != 0 && to != 0 && from != to => {
            match count_flow(FlowKey::unix(from, to)) {
                true => Counter::Aggregated,
                false => Counter::MapFull,
            }
        }
        _ => Counter::Filtered,
    });
    0
}
