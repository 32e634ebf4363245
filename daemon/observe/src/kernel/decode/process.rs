//! Events about processes and cgroups.

use hostmedic_abi as abi;
use hostmedic_model::signal::{
    Cgroup, CgroupAttached, Fact, FatalSignal, OomKill, OomScope, OomVerdict, ProcessExec,
    ProcessExit, Sender, TaskRef,
};
use nix::unistd::{SysconfVar, sysconf};

use super::text;
use crate::kernel::event::{About, KernelEvent};

/// Bytes of a page; 4096 if the system does not say.
fn page_bytes() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(4096)
}

pub(super) fn task(id: &abi::TaskId) -> TaskRef {
    TaskRef {
        pid: id.pid,
        comm: text(&id.comm),
        started_boot_ns: id.started_boot_ns,
        cgroup_id: id.cgroup_id,
    }
}

pub(super) fn about(task: &TaskRef) -> About {
    About::Process {
        pid: task.pid,
        started_boot_ns: task.started_boot_ns,
        cgroup_id: task.cgroup_id,
    }
}

pub(super) fn oom_victim(event: abi::OomVictim) -> KernelEvent {
    let known = |bit: u32| event.known & bit != 0;
    let scope = match (known(abi::KNOWN_SCOPE), event.scope_cgroup_id) {
        (false, _) => OomScope::Unknown,
        (true, 0) => OomScope::Global,
        (true, cgroup_id) => OomScope::Cgroup {
            cgroup_id,
            path: String::new(),
        },
    };
    // A group dies as a whole only by a call that had chosen one of it before.
    let is_member = known(abi::KNOWN_SCOPE) && event.member > 0;
    let verdict = match (known(abi::KNOWN_SIGKILL), known(abi::SENT_SIGKILL)) {
        (false, _) => OomVerdict::Unconfirmed,
        (true, false) => OomVerdict::AlreadyExiting,
        (true, true) if is_member => OomVerdict::GroupMember,
        (true, true) => OomVerdict::Killed,
    };
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Process {
            pid: event.pid,
            started_boot_ns: event.started_boot_ns,
            cgroup_id: event.cgroup_id,
        },
        fact: Fact::OomKill(OomKill {
            pid: event.pid,
            comm: text(&event.comm),
            started_boot_ns: event.started_boot_ns,
            cgroup_id: event.cgroup_id,
            oom_score_adj: known(abi::KNOWN_SCORE)
                .then(|| i16::try_from(event.oom_score_adj).ok())
                .flatten(),
            rss_bytes: known(abi::KNOWN_RSS).then(|| event.rss_pages.saturating_mul(page_bytes())),
            killer: Some(task(&event.killer)),
            scope,
            verdict,
        }),
    }
}

pub(super) fn signal_fatal(event: abi::SignalFatal) -> KernelEvent {
    let target = task(&event.target);
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: about(&target),
        fact: Fact::FatalSignal(FatalSignal {
            target,
            signal: u8::try_from(event.signal).unwrap_or(u8::MAX),
            sender: match event.by_kernel {
                0 => Sender::Process(task(&event.sender)),
                _ => Sender::Kernel,
            },
        }),
    }
}

pub(super) fn exec(event: abi::ProcessExec) -> KernelEvent {
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Process {
            pid: event.pid,
            started_boot_ns: event.started_boot_ns,
            cgroup_id: event.cgroup_id,
        },
        fact: Fact::ProcessExec(ProcessExec {
            pid: event.pid,
            started_boot_ns: event.started_boot_ns,
            comm: text(&event.comm),
            cgroup_id: event.cgroup_id,
        }),
    }
}

/// Splits the status by wait(2): `WTERMSIG` is bits 0 to 6, `WEXITSTATUS` bits 8 to 15.
pub(super) fn exit(event: abi::ProcessExit) -> KernelEvent {
    let [low, high, ..] = event.wait_status.to_le_bytes();
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Process {
            pid: event.pid,
            started_boot_ns: event.started_boot_ns,
            cgroup_id: event.cgroup_id,
        },
        fact: Fact::ProcessExit(ProcessExit {
            pid: event.pid,
            started_boot_ns: event.started_boot_ns,
            comm: text(&event.comm),
            cgroup_id: event.cgroup_id,
            status: high,
            signal: low & 0x7f,
            peak_rss_bytes: event.peak_rss_pages.saturating_mul(page_bytes()),
        }),
    }
}

pub(super) fn cgroup_change(event: abi::CgroupChange) -> KernelEvent {
    let about_cgroup = About::Cgroup {
        cgroup_id: event.cgroup_id,
    };
    let path = text(&event.path);
    let cgroup = |path| Cgroup {
        cgroup_id: event.cgroup_id,
        path,
    };
    let (about, fact) = match event.change {
        abi::CGROUP_MADE => (about_cgroup, Fact::CgroupMade(cgroup(path))),
        abi::CGROUP_REMOVED => (about_cgroup, Fact::CgroupRemoved(cgroup(path))),
        _ => {
            // The hook comes before the move is done, so the task itself still says the old one.
            let moved = TaskRef {
                cgroup_id: event.cgroup_id,
                ..task(&event.task)
            };
            (
                about(&moved),
                Fact::CgroupAttached(CgroupAttached { task: moved, path }),
            )
        }
    };
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about,
        fact,
    }
}
