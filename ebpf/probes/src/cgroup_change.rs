//! What the three cgroup hooks have in common: cgroup and path are their first two arguments.

use aya_ebpf::programs::BtfTracePointContext;
use hostmedic_abi::{
    CGROUP_ATTACHED, CGROUP_MADE, CgroupChange, Counter, Header, Hook, KIND_CGROUP_CHANGE,
    PATH_LEN, TaskId,
};

use crate::{
    emit::Run,
    kernel::{Arguments as _, Cgroup, now_boot_ns, peek_text},
    tally::is_within_share,
};

/// Tells of a change to the unified tree.
#[inline(always)]
pub fn report(
    ctx: &BtfTracePointContext,
    hook: Hook,
    change: u32,
    task: impl FnOnce() -> Option<TaskId>,
) {
    let Some(run) = Run::begin(hook) else {
        return;
    };
    let Some(cgroup) = Cgroup::argument(ctx, 0).filter(|cgroup| cgroup.is_unified()) else {
        return run.end(Counter::Filtered);
    };
    let cgroup_id = cgroup.id();
    // Comings and goings are never limited: names rest on them.
    if change == CGROUP_ATTACHED && !is_within_share(hook, cgroup_id) {
        return run.end(Counter::RateLimited);
    }
    let Some(task) = task() else {
        return run.end(Counter::Filtered);
    };
    let at_boot_ns = now_boot_ns();
    let path_at = ctx.number(1);
    // A kill in it may come next, and its name must be known by then.
    let urgent = change == CGROUP_MADE;
    run.deliver_large(urgent, |slot| {
        let event = slot.write(CgroupChange {
            header: Header::of::<CgroupChange>(KIND_CGROUP_CHANGE),
            at_boot_ns,
            cgroup_id,
            change,
            path_len: 0,
            task,
            path: [0; PATH_LEN],
        });
        event.path_len = peek_text(path_at, &mut event.path);
    });
}
