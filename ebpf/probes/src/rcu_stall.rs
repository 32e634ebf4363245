//! `rcu:rcu_stall_warning`: a CPU does not come to rest. One event for each line of the kernel's
//! report.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{Header, Hook, KIND_RCU_STALL, RcuStall};

use crate::{
    emit::Run,
    kernel::{Arguments as _, now_boot_ns, peek_text},
};

/// `rcu_stall_warning(const char *rcuname, const char *msg)`.
#[raw_tracepoint(tracepoint = "rcu_stall_warning")]
fn rcu_stall(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::RcuStall) else {
        return 0;
    };
    let mut event = RcuStall {
        header: Header::of::<RcuStall>(KIND_RCU_STALL),
        at_boot_ns: now_boot_ns(),
        flavour: [0; 32],
        kind: [0; 32],
    };
    peek_text(ctx.number(0), &mut event.flavour);
    peek_text(ctx.number(1), &mut event.kind);
    run.deliver_rare(event);
    0
}
