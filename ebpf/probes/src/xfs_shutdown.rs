//! `xfs:xfs_force_shutdown`: xfs stopped working to save what is left. xfs may be a module, so
//! this is a raw tracepoint.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{FILESYSTEM_XFS, FilesystemError, Header, Hook, KIND_FILESYSTEM_ERROR};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Xfs, now_boot_ns, peek_text},
};

/// `xfs_force_shutdown(struct xfs_mount *mp, int ptag, int flags, const char *fname, int line)`.
#[raw_tracepoint(tracepoint = "xfs_force_shutdown")]
fn xfs_shutdown(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::XfsShutdown) else {
        return 0;
    };
    let mut event = FilesystemError {
        header: Header::of::<FilesystemError>(KIND_FILESYSTEM_ERROR),
        at_boot_ns: now_boot_ns(),
        device: Xfs::argument(&ctx).super_block().device(),
        filesystem: FILESYSTEM_XFS,
        line: ctx.number(4) as u32,
        shutdown: 1,
        place: [0; 48],
    };
    peek_text(ctx.number(3), &mut event.place);
    run.deliver_rare(event);
    0
}
