//! `cgroup:cgroup_attach_task`: a process was moved to another cgroup. Other trees than the
//! unified one are filtered.

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use hostmedic_abi::{CGROUP_ATTACHED, Hook};

use crate::{cgroup_change, kernel::Task};

/// `cgroup_attach_task(struct cgroup *dst_cgrp, const char *path, struct task_struct *task, bool
/// threadgroup)`.
#[btf_tracepoint(function = "cgroup_attach_task")]
fn cgroup_attached(ctx: BtfTracePointContext) {
    cgroup_change::report(&ctx, Hook::CgroupAttached, CGROUP_ATTACHED, || {
        Task::argument(&ctx, 2).and_then(Task::identity)
    });
}
