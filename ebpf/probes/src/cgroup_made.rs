//! `cgroup:cgroup_mkdir`: a cgroup was made, with its path: the name of a unit outlives the unit. Other trees than the unified one are filtered.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{CGROUP_MADE, Hook, TaskId};

use crate::cgroup_change;

/// `cgroup_mkdir(struct cgroup *cgrp, const char *path)`.
#[btf_tracepoint(function = "cgroup_mkdir")]
fn cgroup_made(ctx: BtfTracePointContext) {
    cgroup_change::report(&ctx, Hook::CgroupMade, CGROUP_MADE, || {
        Some(TaskId::default())
    });
}
