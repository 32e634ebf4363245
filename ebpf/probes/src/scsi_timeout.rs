//! `scsi:scsi_dispatch_cmd_timeout`: a SCSI device did not answer in time.
//!
//! SCSI may be a module, whose tracepoints have no types here, so this is a raw tracepoint.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use hostmedic_abi::{Counter, Header, Hook, KIND_SCSI_ERROR, ScsiError};

use crate::{
    emit::Run,
    kernel::{ScsiCommand, now_boot_ns},
    tally::is_within_share,
};

/// `scsi_dispatch_cmd_timeout(struct scsi_cmnd *cmd)`.
#[raw_tracepoint(tracepoint = "scsi_dispatch_cmd_timeout")]
fn scsi_timeout(ctx: RawTracePointContext) -> i32 {
    let Some(run) = Run::begin(Hook::ScsiTimeout) else {
        return 0;
    };
    let (host, channel, target, lun) = ScsiCommand::argument(&ctx).address();
    if is_within_share(Hook::ScsiTimeout, u64::from(host)) {
        run.deliver_rare(ScsiError {
            header: Header::of::<ScsiError>(KIND_SCSI_ERROR),
            at_boot_ns: now_boot_ns(),
            host,
            channel,
            target,
            timed_out: 1,
            lun,
        });
    } else {
        run.end(Counter::RateLimited);
    }
    0
}
