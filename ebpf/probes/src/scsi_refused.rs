//! `scsi:scsi_dispatch_cmd_error`: the host adapter did not take a SCSI command.
//!
//! SCSI may be a module, whose tracepoints have no types here, so this is a raw tracepoint.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, KIND_SCSI_ERROR, ScsiError};

use crate::{
    emit::Run,
    kernel::{ScsiCommand, now_boot_ns},
    tally::is_within_share,
};

/// `scsi_dispatch_cmd_error(struct scsi_cmnd *cmd, int rtn)`.
#[raw_tracepoint(tracepoint = "scsi_dispatch_cmd_error")]
fn scsi_refused(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::ScsiRefused) else {
        return 0;
    };
    let (host, channel, target, lun) = ScsiCommand::argument(&ctx).address();
    if is_within_share(Hook::ScsiRefused, u64::from(host)) {
        run.deliver_rare(ScsiError {
            header: Header::of::<ScsiError>(KIND_SCSI_ERROR),
            at_boot_ns: now_boot_ns(),
            host,
            channel,
            target,
            timed_out: 0,
            lun,
        });
    } else {
        run.end(Counter::RateLimited);
    }
    0
}
