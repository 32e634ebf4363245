//! `oom_kill_process`, entered: whose memory ran out. `mark_victim` does not say, so this hook
//! remembers it for the same thread's next victims. Optional: it needs the function not to be
//! inlined, and trampolines.

use aya_ebpf::{macros::fentry, programs::FEntryContext};
use hostmedic_abi::{Counter, Hook};

use crate::{
    emit::Run,
    kernel::{Cgroup, OomControl, current_pid_tgid, now_boot_ns},
    memory::{Scope, remember_scope},
};

/// `oom_kill_process(struct oom_control *oc, const char *message)`, mm/oom_kill.c.
#[fentry(function = "oom_kill_process")]
fn oom_scope(ctx: FEntryContext) -> i32 {
    let Some(run) = Run::begin(Hook::OomScope) else {
        return 0;
    };
    let cgroup = OomControl::argument(&ctx).and_then(OomControl::cgroup);
    remember_scope(
        current_pid_tgid(),
        Scope {
            at_boot_ns: now_boot_ns(),
            cgroup_id: cgroup.map_or(0, Cgroup::id),
            is_unified: u64::from(cgroup.is_some_and(Cgroup::is_unified)),
            victims: 0,
        },
    );
    run.end(Counter::Aggregated);
    0
}
