//! `skb:kfree_skb`: the kernel dropped a packet. Counted by what drops have in common, never told
//! one by one: a host can drop millions a second.
//!
//! Key: `a` is the reason as this kernel numbers it (its upper 16 bits the subsystem) or, where
//! the kernel gives none, the lower half of the address that dropped it; `b` the interface;
//! `c` the class of the local port; `d` the EtherType. Amount: bytes. The cgroup is that of who was
//! to receive it, where the kernel says so, else of who sent it.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Hook, Key};

use crate::{
    emit::Run,
    kernel::{Packet, drop_reason, port_class, receiver},
    tally::count_drop,
};

/// `kfree_skb(struct sk_buff *skb, void *location, enum skb_drop_reason reason, struct sock
/// *rx_sk)`; without the last one before 6.11, without a reason before 5.17.
#[btf_tracepoint(function = "kfree_skb")]
fn packet_drop(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::PacketDrop) else {
        return;
    };
    let (Some(reason), Some(packet)) = (drop_reason(&ctx), Packet::argument(&ctx, 0)) else {
        return run.end(Counter::Filtered);
    };
    let (cgroup_id, port) = match receiver(&ctx).or_else(|| packet.socket()) {
        Some(socket) => (socket.cgroup_id(), port_class(socket.local_port())),
        None => (0, packet.port_class()),
    };
    let key = Key {
        cgroup_id,
        hook: Hook::PacketDrop as u32,
        a: reason,
        b: packet.interface(),
        c: port,
        d: packet.protocol(),
    };
    let outcome = count_drop(&run, key, u64::from(packet.bytes()));
    run.end(outcome);
}
