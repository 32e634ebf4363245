//! `filemap:filemap_set_wb_err`: data that a program believes written did not reach the disk. The
//! program may never ask, and so never learn.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, KIND_WRITEBACK_ERROR, WritebackError};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Mapping, now_boot_ns},
    tally::is_within_share,
};

/// `MAX_ERRNO`: `errseq_t` keeps the error in its low bits (lib/errseq.c).
const ERRNO_MASK: u32 = 4095;

/// `filemap_set_wb_err(struct address_space *mapping, errseq_t eseq)`.
#[btf_tracepoint(function = "filemap_set_wb_err")]
fn writeback_error(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::WritebackError) else {
        return;
    };
    let Some((device, inode)) = Mapping::argument(&ctx).and_then(Mapping::file) else {
        return run.end(Counter::Filtered);
    };
    if !is_within_share(Hook::WritebackError, u64::from(device)) {
        return run.end(Counter::RateLimited);
    }
    run.deliver_rare(WritebackError {
        header: Header::of::<WritebackError>(KIND_WRITEBACK_ERROR),
        at_boot_ns: now_boot_ns(),
        inode,
        device,
        errno: ctx.number(1) as u32 & ERRNO_MASK,
    });
}
