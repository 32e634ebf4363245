//! `block:block_rq_complete`: how long requests take, as a histogram for each device. Only when
//! asked for.
//!
//! One hook, not two: the request itself knows when it was made, so nothing has to be remembered
//! between issue and completion. The time includes queueing, which is what a service feels.
//! Key: `a` and `b` are the device's numbers, `c` the base-2 logarithm of the microseconds,
//! `d` the operation. Amount: nanoseconds.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, DiskSeat, Hook};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Request, now_monotonic_ns},
    tally::count_disk,
};

/// `block_rq_complete(struct request *rq, blk_status_t error, unsigned int nr_bytes)`.
#[btf_tracepoint(function = "block_rq_complete")]
fn block_latency(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::BlockLatency) else {
        return;
    };
    let Some(request) = Request::argument(&ctx) else {
        return run.end(Counter::Filtered);
    };
    let started_ns = request.started_ns();
    let is_whole = ctx.number(2) as u32 >= request.bytes();
    let Some((major, minor)) = request.device().filter(|_| is_whole && started_ns != 0) else {
        return run.end(Counter::Filtered);
    };
    let took_ns = now_monotonic_ns().saturating_sub(started_ns);
    let kind = DiskSeat::kind_of(
        major,
        minor,
        bucket(took_ns / 1000),
        request.operation() as u8,
    );
    let outcome = count_disk(&run, kind, took_ns);
    run.end(outcome);
}

/// Number of bits of `us`: the bucket `n` holds times below 2^n microseconds. In steps, because
/// the target has no instruction for it.
#[inline(always)]
fn bucket(us: u64) -> u16 {
    let mut rest = if us > u64::from(u32::MAX) {
        u32::MAX
    } else {
        us as u32
    };
    let mut bits = 0;
    for step in [16, 8, 4, 2, 1] {
        if rest >> step != 0 {
            rest >>= step;
            bits += step;
        }
    }
    if rest != 0 { bits + 1 } else { bits }
}
