//! `ext4:ext4_error`: ext4 found itself inconsistent. It fires before the kernel's limit on
//! messages. ext4 may be a module, so this is a raw tracepoint.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{
    Counter, FILESYSTEM_EXT4, FilesystemError, Header, Hook, KIND_FILESYSTEM_ERROR,
};

use crate::{
    emit::Run,
    kernel::{Arguments as _, SuperBlock, now_boot_ns, peek_text},
    tally::is_within_share,
};

/// `ext4_error(struct super_block *sb, const char *function, unsigned int line)`.
#[raw_tracepoint(tracepoint = "ext4_error")]
fn ext4_error(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::Ext4Error) else {
        return 0;
    };
    let device = SuperBlock::argument(&ctx).device();
    if !is_within_share(Hook::Ext4Error, u64::from(device)) {
        run.end(Counter::RateLimited);
        return 0;
    }
    let mut event = FilesystemError {
        header: Header::of::<FilesystemError>(KIND_FILESYSTEM_ERROR),
        at_boot_ns: now_boot_ns(),
        device,
        filesystem: FILESYSTEM_EXT4,
        line: ctx.number(2) as u32,
        shutdown: 0,
        place: [0; 48],
    };
    peek_text(ctx.number(1), &mut event.place);
    run.deliver_rare(event);
    0
}
