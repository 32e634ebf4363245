//! `ras:memory_failure_event`: a page is given up because its memory fails.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{
    CORRECTED_UNKNOWN, Counter, HARDWARE_PAGE, HardwareError, Header, Hook, KIND_HARDWARE_ERROR,
};

use crate::{
    emit::Run,
    kernel::{Arguments as _, now_boot_ns},
    tally::is_within_share,
};

/// `memory_failure_event(unsigned long pfn, int type, int result)`.
#[raw_tracepoint(tracepoint = "memory_failure_event")]
fn memory_page(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::MemoryPage) else {
        return 0;
    };
    if !is_within_share(Hook::MemoryPage, 0) {
        run.end(Counter::RateLimited);
        return 0;
    }
    run.deliver_rare(HardwareError {
        header: Header::of::<HardwareError>(KIND_HARDWARE_ERROR),
        at_boot_ns: now_boot_ns(),
        source: HARDWARE_PAGE,
        corrected: CORRECTED_UNKNOWN,
        number: ctx.number(0),
        label: [0; 48],
    });
    0
}
