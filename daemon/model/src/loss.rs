//! The loss ledger: what became of everything a hook saw, counted in the kernel, never reset.

use serde::{Deserialize, Serialize};

use crate::time::At;

/// Counters of one hook since its maps were created, which a restart of the daemon survives; all
/// rise only.
///
/// At rest `seen = delivered + aggregated + sampled_out + rate_limited + ring_full + map_full +
/// filtered + missed`: nothing is unexplained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookCounters {
    /// Name of the probe, which is its file's and its program's name.
    pub hook: String,
    /// Times the kernel came to the hook.
    #[serde(with = "crate::wide")]
    pub seen: u64,
    /// Records written to a ring.
    #[serde(with = "crate::wide")]
    pub delivered: u64,
    /// Counted by key (unit, reason, port, ...), without a record of its own.
    #[serde(with = "crate::wide", default)]
    pub aggregated: u64,
    /// Left out because the hook samples, to keep its cost within the budget.
    #[serde(with = "crate::wide", default)]
    pub sampled_out: u64,
    /// Left out because its cgroup had used up its share of records, and there is no count by key.
    #[serde(with = "crate::wide", default)]
    pub rate_limited: u64,
    /// Records that found the ring full. The newest of them are in the spill.
    #[serde(with = "crate::wide")]
    pub ring_full: u64,
    /// Found no room for a new key.
    #[serde(with = "crate::wide", default)]
    pub map_full: u64,
    /// Runs that were not about a fact (a thread that is not the last one, a harmless signal).
    #[serde(with = "crate::wide")]
    pub filtered: u64,
    /// Runs the kernel skipped because the program was already running on that CPU
    /// (`recursion_misses` of `bpf_prog_info`).
    #[serde(with = "crate::wide")]
    pub missed: u64,
    /// Of `ring_full`, records that were read from the spill afterwards.
    #[serde(with = "crate::wide", default)]
    pub recovered: u64,
}

impl HookCounters {
    /// Everything that has an end.
    pub fn explained(&self) -> u64 {
        [
            self.delivered,
            self.aggregated,
            self.sampled_out,
            self.rate_limited,
            self.ring_full,
            self.map_full,
            self.filtered,
            self.missed,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// Facts of which no record and no count by key is left, whether meant so or not.
    pub fn lost(&self) -> u64 {
        self.rate_limited
            .saturating_add(self.sampled_out)
            .saturating_add(self.overrun())
    }

    /// Facts that were lost because something was full or busy. What a share or a budget leaves
    /// out is left out on purpose and no sign that numbers are wrong.
    pub fn overrun(&self) -> u64 {
        self.ring_full
            .saturating_sub(self.recovered)
            .saturating_add(self.map_full)
            .saturating_add(self.missed)
    }
}

/// What became of records after the rings; it continues the hooks' ledger to the disk.
///
/// At rest `read + other = undecodable + queue_full + taken`, and `taken = stored + not_stored`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueCounters {
    /// Records read from the rings.
    #[serde(with = "crate::wide")]
    pub read: u64,
    /// Records of a kind or size that this version cannot read.
    #[serde(with = "crate::wide")]
    pub undecodable: u64,
    /// Signals dropped because the queue to the core was full.
    #[serde(with = "crate::wide")]
    pub queue_full: u64,
    /// Events that came from elsewhere: counters of the host, counts by key.
    #[serde(with = "crate::wide", default)]
    pub other: u64,
    /// Events that were attributed and given to the writer.
    #[serde(with = "crate::wide", default)]
    pub taken: u64,
    /// Of these, written to the store of events (`medic events`).
    #[serde(with = "crate::wide", default)]
    pub stored: u64,
    /// Of these, not written: the writer was behind, or the disk refused.
    #[serde(with = "crate::wide", default)]
    pub not_stored: u64,
}

/// Whether a hook works here, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookReport {
    /// Name of the probe.
    pub hook: String,
    /// Kernel attach point.
    pub attach_point: String,
    /// What we get from it.
    pub coverage: Coverage,
    /// Why it is not fully captured; empty when it is.
    pub reason: String,
}

/// How much of a hook's events we get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// Every field of every event.
    Captured,
    /// Events, with some fields missing.
    Degraded,
    /// Nothing.
    Absent,
}

/// How much a hook does at each run. It steps down when it costs too much, and up again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum HookMode {
    /// Everything: counts by key, and records as far as each cgroup's share allows.
    #[default]
    Stream,
    /// Only one run of sixteen.
    Sample,
    /// Only counts that it ran.
    Count,
    /// Detached.
    Off,
}

/// A hook that changed its mode, and why: every such step is in the audit chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookModeChange {
    /// Name of the probe.
    pub hook: String,
    /// Mode until now.
    pub from: HookMode,
    /// Mode from now on.
    pub to: HookMode,
    /// Share of one core it took in the newest sample.
    pub cpu_ratio: f64,
    /// Share it may take.
    pub budget_ratio: f64,
    /// One sentence.
    pub reason: String,
}

/// Time during which nothing was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blind {
    /// The last moment that is known to be covered.
    pub from: At,
    /// The first moment that is covered again.
    pub to: At,
    /// Whether the host was started anew in between.
    pub rebooted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a hook that its budget holds down does not stop baselines from learning.
    #[test]
    fn what_is_left_out_on_purpose_is_no_overrun() {
        let counters = HookCounters {
            seen: 1115,
            sampled_out: 1000,
            rate_limited: 100,
            ring_full: 10,
            recovered: 8,
            map_full: 4,
            missed: 1,
            ..HookCounters::default()
        };
        assert_eq!(counters.explained(), counters.seen);
        assert_eq!((counters.overrun(), counters.lost()), (7, 1107));
    }
}
