//! `ras:aer_event`: a PCIe device reports an error.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{Counter, HARDWARE_PCIE, HardwareError, Header, Hook, KIND_HARDWARE_ERROR};

use crate::{
    emit::Run,
    kernel::{Arguments as _, now_boot_ns, peek_text},
    tally::is_within_share,
};

/// `aer_event(const char *dev_name, const u32 status, const u8 severity, ...)`; severity 2 is
/// `AER_CORRECTABLE` (include/linux/aer.h).
#[raw_tracepoint(tracepoint = "aer_event")]
fn pcie_error(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::PcieError) else {
        return 0;
    };
    if !is_within_share(Hook::PcieError, 0) {
        run.end(Counter::RateLimited);
        return 0;
    }
    let mut event = HardwareError {
        header: Header::of::<HardwareError>(KIND_HARDWARE_ERROR),
        at_boot_ns: now_boot_ns(),
        source: HARDWARE_PCIE,
        corrected: u32::from(ctx.number(2) & 0xff == 2),
        number: ctx.number(1) & 0xffff_ffff,
        label: [0; 48],
    };
    peek_text(ctx.number(0), &mut event.label);
    run.deliver_rare(event);
    0
}
