//! `net:net_dev_xmit_timeout`: an interface could not send for too long.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, KIND_TRANSMIT_TIMEOUT, TransmitTimeout};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Device, now_boot_ns},
};

/// `net_dev_xmit_timeout(struct net_device *dev, int queue_index)`.
#[btf_tracepoint(function = "net_dev_xmit_timeout")]
fn transmit_timeout(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::TransmitTimeout) else {
        return;
    };
    match Device::argument(&ctx) {
        Some(device) => run.deliver_rare(TransmitTimeout {
            header: Header::of::<TransmitTimeout>(KIND_TRANSMIT_TIMEOUT),
            at_boot_ns: now_boot_ns(),
            interface: device.index(),
            queue: ctx.number(1) as u32,
        }),
        None => run.end(Counter::Filtered),
    }
}
