//! `mce:mce_record`: a CPU reports an error of its own.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{Counter, HARDWARE_CPU, HardwareError, Header, Hook, KIND_HARDWARE_ERROR};

use crate::{
    emit::Run,
    kernel::{MachineCheck, now_boot_ns},
    tally::is_within_share,
};

/// `mce_record(struct mce *m)`, or `struct mce_hw_err *` that begins with one.
#[raw_tracepoint(tracepoint = "mce_record")]
fn machine_check(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::MachineCheck) else {
        return 0;
    };
    if !is_within_share(Hook::MachineCheck, 0) {
        run.end(Counter::RateLimited);
        return 0;
    }
    let check = MachineCheck::argument(&ctx);
    run.deliver_rare(HardwareError {
        header: Header::of::<HardwareError>(KIND_HARDWARE_ERROR),
        at_boot_ns: now_boot_ns(),
        source: HARDWARE_CPU,
        corrected: u32::from(check.is_corrected()),
        number: check.place(),
        label: [0; 48],
    });
    0
}
