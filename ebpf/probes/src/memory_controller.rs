//! `ras:mc_event`: a memory controller reports an error (EDAC).

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{Counter, HARDWARE_MEMORY, HardwareError, Header, Hook, KIND_HARDWARE_ERROR};

use crate::{
    emit::Run,
    kernel::{Arguments as _, now_boot_ns, peek_text},
    tally::is_within_share,
};

/// `mc_event(const unsigned int err_type, const char *error_msg, const char *label, ...)`; type 0 is
/// `HW_EVENT_ERR_CORRECTED` (include/linux/edac.h).
#[raw_tracepoint(tracepoint = "mc_event")]
fn memory_controller(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::MemoryController) else {
        return 0;
    };
    if !is_within_share(Hook::MemoryController, 0) {
        run.end(Counter::RateLimited);
        return 0;
    }
    let mut event = HardwareError {
        header: Header::of::<HardwareError>(KIND_HARDWARE_ERROR),
        at_boot_ns: now_boot_ns(),
        source: HARDWARE_MEMORY,
        corrected: u32::from(ctx.number(0) as u32 == 0),
        number: 0,
        label: [0; 48],
    };
    peek_text(ctx.number(2), &mut event.label);
    run.deliver_rare(event);
    0
}
