//! `block:block_rq_error`: a request to a disk failed, attributed to who issued it.
//!
//! It ends in an interrupt, so the running task is unrelated; the issuer is read from the
//! request's own charge (bio, blkg, blkcg). Before 5.18 the tracepoint does not exist, and errors
//! are told from `block_rq_complete`, which this program is then attached to.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{BlockError, Counter, Header, Hook, KIND_BLOCK_ERROR};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Request, block_status, now_boot_ns},
    tally::is_within_share,
};

/// `block_rq_error(struct request *rq, blk_status_t error, unsigned int nr_bytes)`;
/// `block_rq_complete` the same, with `int error` before 5.16 and in stable kernels until later.
#[btf_tracepoint(function = "block_rq_error")]
fn block_error(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::BlockError) else {
        return;
    };
    let status = block_status(&ctx);
    match Request::argument(&ctx) {
        Some(request) if status != 0 && request.is_worth_telling() => {
            report(&ctx, run, request, status);
        }
        _ => run.end(Counter::Filtered),
    }
}

#[inline(always)]
fn report(ctx: &BtfTracePointContext, run: Run, request: Request, status: i32) {
    let (major, minor) = request.device().unwrap_or((0, 0));
    if !is_within_share(Hook::BlockError, u64::from(major) << 32 | u64::from(minor)) {
        return run.end(Counter::RateLimited);
    }
    run.deliver_rare(BlockError {
        header: Header::of::<BlockError>(KIND_BLOCK_ERROR),
        at_boot_ns: now_boot_ns(),
        sector: request.sector(),
        cgroup_id: request.issuer(),
        major,
        minor,
        bytes: ctx.number(2) as u32,
        operation: request.operation(),
        status,
        reserved: 0,
    });
}
