//! `filemap:filemap_set_wb_err`: data that a program believes written did not reach the disk. The
//! program may never ask, and so never learn.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, KIND_WRITEBACK_ERROR, WritebackError};

use crate::{
    emit::Run,
    kernel::{Mapping, now_boot_ns},
    tally::is_within_share,
};

/// `MAX_ERRNO`: `errseq_t` keeps the error in its low bits (lib/errseq.c).
const ERRNO_MASK: u32 = 4095;

/// `filemap_set_wb_err(struct address_space *mapping, errseq_t eseq)`. `eseq` is of no use: it is
/// what was there before (`errseq_set` in lib/errseq.c), which is zero at the first error.
#[btf_tracepoint(function = "filemap_set_wb_err")]
fn writeback_error(ctx: BtfTracePointContext) {
    let Some(run) = Run::begin(Hook::WritebackError) else {
        return;
    };
    let Some(mapping) = Mapping::argument(&ctx) else {
        return run.end(Counter::Filtered);
    };
    let Some((device, inode)) = mapping.file() else {
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
        errno: mapping.error() & ERRNO_MASK,
    });
}
