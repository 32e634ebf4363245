//! `cgroup:cgroup_rmdir`: a cgroup was removed. Other trees than the unified one are filtered.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{CGROUP_REMOVED, Hook, TaskId};

use crate::cgroup_change;

/// `cgroup_rmdir(struct cgroup *cgrp, const char *path)`.
#[btf_tracepoint(function = "cgroup_rmdir")]
fn cgroup_removed(ctx: BtfTracePointContext) {
    cgroup_change::report(&ctx, Hook::CgroupRemoved, CGROUP_REMOVED, || {
        Some(TaskId::default())
    });
}
