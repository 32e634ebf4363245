//! Whether what was heard is all that happened. A signal that nobody heard of proves that nothing
//! happened only where somebody listened all the time and nothing was lost on the way.

use std::collections::{BTreeMap, BTreeSet};

use hostmedic_model::{
    loss::{Coverage, HookCounters, HookReport, QueueCounters},
    signal::SignalKind,
    time::At,
};

/// What is known of the ears: since when they listen, and where something could go unheard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hearing {
    /// Nothing was heard before this.
    began: Option<At>,
    /// Facts that each hook had lost at the newest reading of its counters.
    lost: Option<BTreeMap<String, u64>>,
    /// Records that were lost after the rings, at that reading; whose they were nobody knows.
    lost_in_queues: u64,
    /// The newest moment at which something of a hook could have gone unheard.
    gaps: BTreeMap<String, At>,
    /// The same of all hooks.
    gap_in_queues: Option<At>,
    /// The newest moment of which signals of any kind were forgotten for want of room.
    forgotten: Option<At>,
    /// Hooks that give nothing on this host.
    absent: BTreeSet<String>,
}

impl Hearing {
    /// Listens from this moment on.
    pub(crate) fn begin(&mut self, at: At) {
        self.began = Some(at);
    }

    /// Takes in which hooks work here.
    pub(crate) fn learn_hooks(&mut self, reports: &[HookReport]) {
        let absent = reports
            .iter()
            .filter(|report| report.coverage == Coverage::Absent);
        self.absent = absent.map(|report| report.hook.clone()).collect();
    }

    /// Takes in a reading of the counters, which only rise. A loss may be as old as the reading
    /// before; it counts as new as this one.
    pub(crate) fn count(&mut self, hooks: &[HookCounters], queues: &QueueCounters, now: At) {
        let before = self.lost.take().unwrap_or_default();
        for hook in hooks {
            if hook.lost() != before.get(&hook.hook).copied().unwrap_or(0) {
                self.gaps.insert(hook.hook.clone(), now);
            }
        }
        let lost = hooks.iter().map(|hook| (hook.hook.clone(), hook.lost()));
        self.lost = Some(lost.collect());
        let in_queues = queues.undecodable.saturating_add(queues.queue_full);
        if in_queues != self.lost_in_queues {
            self.gap_in_queues = Some(now);
        }
        self.lost_in_queues = in_queues;
    }

    /// A hook does less than everything.
    pub(crate) fn reduced(&mut self, hook: &str, now: At) {
        self.gaps.insert(hook.to_owned(), now);
    }

    /// Signals up to this moment were forgotten.
    pub(crate) fn forgot(&mut self, until: At) {
        self.forgotten = self.forgotten.max(Some(until));
    }

    /// The moment from which on every signal of a kind was heard.
    ///
    /// # Errors
    /// Says why there is none.
    pub(crate) fn complete_since(&self, kind: SignalKind) -> Result<At, String> {
        if kind == SignalKind::LogLines {
            // The journal may be off, and what a unit writes below `warning` is not read.
            return Err("that a unit wrote no line cannot be told".to_owned());
        }
        let mut since = self.began.ok_or_else(|| "nobody listens yet".to_owned())?;
        since = since.max(self.forgotten.unwrap_or(since));
        let hooks = hooks_of(kind);
        if hooks.is_empty() {
            return Ok(since);
        }
        let unread = |hook: &&&str| {
            self.lost
                .as_ref()
                .is_some_and(|lost| !lost.contains_key(**hook))
        };
        let silent = |hook: &&str| self.absent.contains(*hook) || unread(&hook);
        if hooks.iter().all(silent) {
            return Err(format!("no hook tells of it here ({})", hooks.join(", ")));
        }
        let gaps = hooks.iter().filter_map(|hook| self.gaps.get(*hook));
        for gap in gaps.chain(&self.gap_in_queues) {
            since = since.max(*gap);
        }
        Ok(since)
    }

    /// Since when states and starts of units are heard.
    pub(crate) fn began(&self) -> Option<At> {
        self.began
    }
}

/// The hooks that tell of a kind; none for what is read from files or told by systemd.
fn hooks_of(kind: SignalKind) -> &'static [&'static str] {
    match kind {
        SignalKind::OomKill => &["oom_victim"],
        SignalKind::FatalSignal => &["signal_fatal"],
        SignalKind::ProcessExec => &["process_exec"],
        SignalKind::ProcessExit => &["process_exit"],
        SignalKind::HungTask => &["hung_task"],
        SignalKind::RcuStall => &["rcu_stall"],
        SignalKind::HardwareError => &[
            "memory_controller",
            "memory_page",
            "pcie_error",
            "machine_check",
        ],
        SignalKind::BlockError => &["block_error"],
        SignalKind::ScsiError => &["scsi_timeout", "scsi_refused"],
        SignalKind::WritebackError => &["writeback_error"],
        SignalKind::FilesystemError => &["ext4_error", "xfs_shutdown"],
        SignalKind::PacketDrops => &["packet_drop"],
        SignalKind::TcpTrouble => &["tcp_retransmit", "tcp_reset_sent", "tcp_reset_received"],
        SignalKind::TransmitTimeout => &["transmit_timeout"],
        SignalKind::CgroupMade => &["cgroup_made"],
        SignalKind::CgroupRemoved => &["cgroup_removed"],
        SignalKind::CgroupAttached => &["cgroup_attached"],
        SignalKind::Zombies
        | SignalKind::MountReadOnly
        | SignalKind::NetCounter
        | SignalKind::Pressure
        | SignalKind::MemoryEvents
        | SignalKind::UnitState
        | SignalKind::UnitWatchdog
        | SignalKind::UnitRemoved
        | SignalKind::LogLines
        | SignalKind::LinkChanges => &[],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn at(s: u64) -> At {
        At::default().plus(std::time::Duration::from_secs(s))
    }

    fn counters(hook: &str, ring_full: u64) -> HookCounters {
        HookCounters {
            hook: hook.to_owned(),
            ring_full,
            ..HookCounters::default()
        }
    }

    fn since(hearing: &Hearing, kind: SignalKind) -> u64 {
        hearing.complete_since(kind).unwrap().boot_ns / 1_000_000_000
    }

    #[test]
    fn a_loss_concerns_the_kinds_of_its_hook_only() {
        let mut hearing = Hearing::default();
        assert!(hearing.complete_since(SignalKind::UnitState).is_err());
        hearing.begin(at(10));
        let quiet = [counters("oom_victim", 0), counters("block_error", 0)];
        hearing.count(&quiet, &QueueCounters::default(), at(20));
        assert_eq!(since(&hearing, SignalKind::OomKill), 10);
        let lossy = [counters("oom_victim", 3), counters("block_error", 0)];
        hearing.count(&lossy, &QueueCounters::default(), at(30));
        hearing.count(&lossy, &QueueCounters::default(), at(40));
        assert_eq!(since(&hearing, SignalKind::OomKill), 30);
        assert_eq!(since(&hearing, SignalKind::BlockError), 10);
        assert_eq!(since(&hearing, SignalKind::Pressure), 10);
        assert!(hearing.complete_since(SignalKind::LogLines).is_err());
        hearing.reduced("block_error", at(50));
        assert_eq!(since(&hearing, SignalKind::BlockError), 50);
    }

    #[test]
    fn what_is_lost_after_the_rings_can_have_been_of_any_hook() {
        let mut hearing = Hearing::default();
        hearing.begin(at(10));
        let queues = QueueCounters {
            queue_full: 1,
            ..QueueCounters::default()
        };
        hearing.count(&[counters("oom_victim", 0)], &queues, at(20));
        assert_eq!(since(&hearing, SignalKind::OomKill), 20);
        assert_eq!(since(&hearing, SignalKind::UnitState), 10);
    }

    #[test]
    fn where_no_hook_tells_of_it_nothing_heard_means_nothing() {
        let mut hearing = Hearing::default();
        hearing.begin(at(10));
        hearing.count(&[], &QueueCounters::default(), at(20));
        assert!(hearing.complete_since(SignalKind::OomKill).is_err());
        hearing.count(
            &[counters("ext4_error", 0), counters("xfs_shutdown", 0)],
            &QueueCounters::default(),
            at(30),
        );
        let report = |hook: &str| HookReport {
            hook: hook.to_owned(),
            attach_point: String::new(),
            coverage: Coverage::Absent,
            reason: "no such module".to_owned(),
        };
        hearing.learn_hooks(&[report("xfs_shutdown")]);
        assert!(hearing.complete_since(SignalKind::FilesystemError).is_ok());
        hearing.learn_hooks(&[report("xfs_shutdown"), report("ext4_error")]);
        assert!(hearing.complete_since(SignalKind::FilesystemError).is_err());
    }
}
