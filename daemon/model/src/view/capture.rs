//! What the local API shows of the capture layer: hooks and their account, a live picture, and
//! the events kept.

use serde::{Deserialize, Serialize};

use crate::{
    fact::{Device, DropPlace, PortClass},
    loss::{Blind, HookCounters, HookMode, HookReport, QueueCounters},
    signal::Signal,
    subject::Subject,
    time::At,
};

/// Every hook with its account: `medic probes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probes {
    /// When this was put together.
    pub at: At,
    /// Since when events are captured without a break.
    pub covered_since: At,
    /// The newest time in which nothing was captured, if the daemon has run before.
    pub blind: Option<Blind>,
    /// Length of the window of the rates, in seconds.
    pub over_s: f64,
    /// One for each hook.
    pub hooks: Vec<ProbeRow>,
    /// After the rings.
    pub queues: QueueCounters,
    /// Kernel memory of the maps in bytes.
    #[serde(with = "crate::wide")]
    pub map_bytes: u64,
    /// Resident memory of the daemon in bytes.
    #[serde(with = "crate::wide")]
    pub rss_bytes: u64,
    /// What hooks may cost.
    pub budget: Budget,
    /// Why the kernel does not time the hooks, if it does not; then costs are estimates.
    pub untimed: Option<String>,
}

/// What hooks may cost, as shares of one core.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// One hook.
    pub hook_ratio: f64,
    /// All together.
    pub all_ratio: f64,
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRow {
    /// Whether it works here, and if not, why.
    pub report: HookReport,
    /// How much it does.
    pub mode: HookMode,
    /// Its ledger, since its maps were created.
    pub counters: HookCounters,
    /// Runs per second over the window.
    pub per_s: f64,
    /// Nanoseconds of one run, when last timed.
    #[serde(with = "crate::wide::option")]
    pub run_ns: Option<u64>,
    /// Share of one core, timed or estimated.
    pub cpu_ratio: f64,
}

/// What happens now: `medic top`. Lists are sorted, busiest first, and bounded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Top {
    /// End of the window.
    pub at: At,
    /// Its length in seconds.
    pub over_s: f64,
    /// Events by unit.
    pub units: Vec<TopUnit>,
    /// Drops by reason, interface and unit.
    pub drops: Vec<TopDrop>,
    /// Newest disk and file system errors, newest first.
    pub disk_errors: Vec<Signal>,
    /// Devices, slowest first; empty while latency is not measured.
    pub devices: Vec<TopDevice>,
    /// Why `devices` is empty, if it is.
    pub devices_absent: Option<String>,
    /// Who talks to whom.
    pub flows: Vec<Flow>,
}

/// Events of one unit over the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopUnit {
    /// Whose.
    pub subject: Subject,
    /// Programs begun per second.
    pub execs_per_s: f64,
    /// Processes made per second.
    pub forks_per_s: f64,
    /// Processes ended per second.
    pub exits_per_s: f64,
    /// Deadly signals received per second.
    pub signals_per_s: f64,
    /// TCP segments sent again per second.
    pub retransmits_per_s: f64,
    /// Connections reset per second.
    pub resets_per_s: f64,
    /// Packets dropped per second.
    pub drops_per_s: f64,
}

/// Packets dropped over the window, by what they have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopDrop {
    /// Who dropped them.
    pub place: DropPlace,
    /// The kernel's name of the reason.
    pub reason: String,
    /// Interface, where known.
    pub interface: Option<String>,
    /// Whose packets; the host's where no socket is known.
    pub subject: Subject,
    /// What kind of port.
    pub port: PortClass,
    /// Packets per second.
    pub per_s: f64,
    /// Packets since the daemon's start.
    #[serde(with = "crate::wide")]
    pub packets: u64,
}

/// One block device over the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopDevice {
    /// Which.
    pub device: Device,
    /// Requests completed per second.
    pub requests_per_s: f64,
    /// Median time of a request, queueing included, in microseconds: upper end of its log2 bucket.
    #[serde(with = "crate::wide")]
    pub p50_us: u64,
    /// 99th percentile, likewise.
    #[serde(with = "crate::wide")]
    pub p99_us: u64,
    /// Longest bucket with a request, likewise.
    #[serde(with = "crate::wide")]
    pub max_us: u64,
}

/// Connections between two ends, counted since the daemon's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Who connected.
    pub from: FlowEnd,
    /// To whom.
    pub to: FlowEnd,
    /// The port connected to; none for Unix sockets.
    pub port: Option<u16>,
    /// How many connections were made.
    #[serde(with = "crate::wide")]
    pub connections: u64,
    /// When the newest was seen.
    pub last_at: At,
}

/// One end of a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "end", content = "of", rename_all = "snake_case")]
pub enum FlowEnd {
    /// On this host: a unit, or the cgroup that no unit is known for.
    Local(Subject),
    /// Elsewhere, by its address.
    Remote(String),
}

/// Events kept, newest last: `medic events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventPage {
    /// The events asked for.
    pub events: Vec<EventRow>,
    /// Number to ask for next (`after`), if there are more.
    #[serde(with = "crate::wide::option")]
    pub next_after: Option<u64>,
    /// When the oldest event that is kept happened; older ones are gone.
    pub kept_since: Option<At>,
    /// What became of events before the store.
    pub queues: QueueCounters,
}

/// One event that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRow {
    /// Its number; rises, across restarts too.
    #[serde(with = "crate::wide")]
    pub seq: u64,
    /// What happened, when and to whom.
    pub signal: Signal,
}
