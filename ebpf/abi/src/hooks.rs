//! The hooks, and where each counts: one row a hook, one column an outcome, one copy a CPU.
//!
//! The probes only ever add, and every run ends in exactly one column, so at rest
//! `seen = delivered + aggregated + sampled_out + rate_limited + ring_full + map_full + filtered`.

/// Row of a hook in the array `COUNTS` and in `MODES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hook {
    /// `oom_victim`.
    OomVictim = 0,
    /// `oom_scope`.
    OomScope = 1,
    /// `signal_fatal`.
    SignalFatal = 2,
    /// `process_exec`.
    ProcessExec = 3,
    /// `process_exit`.
    ProcessExit = 4,
    /// `process_fork`.
    ProcessFork = 5,
    /// `hung_task`.
    HungTask = 6,
    /// `rcu_stall`.
    RcuStall = 7,
    /// `block_error`.
    BlockError = 8,
    /// `block_latency`.
    BlockLatency = 9,
    /// `scsi_timeout`.
    ScsiTimeout = 10,
    /// `scsi_refused`.
    ScsiRefused = 11,
    /// `writeback_error`.
    WritebackError = 12,
    /// `ext4_error`.
    Ext4Error = 13,
    /// `xfs_shutdown`.
    XfsShutdown = 14,
    /// `packet_drop`.
    PacketDrop = 15,
    /// `tcp_retransmit`.
    TcpRetransmit = 16,
    /// `tcp_reset_sent`.
    TcpResetSent = 17,
    /// `tcp_reset_received`.
    TcpResetReceived = 18,
    /// `tcp_flow`.
    TcpFlow = 19,
    /// `transmit_timeout`.
    TransmitTimeout = 20,
    /// `memory_controller`.
    MemoryController = 21,
    /// `memory_page`.
    MemoryPage = 22,
    /// `pcie_error`.
    PcieError = 23,
    /// `machine_check`.
    MachineCheck = 24,
    /// `cgroup_made`.
    CgroupMade = 25,
    /// `cgroup_removed`.
    CgroupRemoved = 26,
    /// `cgroup_attached`.
    CgroupAttached = 27,
    /// `unix_flow`.
    UnixFlow = 28,
}

/// How many hooks there are.
pub const HOOKS: usize = 29;

/// Column of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// The program ran.
    Seen = 0,
    /// It counted by key, without an event.
    Aggregated = 1,
    /// It wrote an event to a ring.
    Delivered = 2,
    /// It had to do less ([`MODE_SAMPLE`], [`MODE_COUNT`]), and this run was left out.
    SampledOut = 3,
    /// The share of events had been used up, and there is no count by key.
    RateLimited = 4,
    /// It had an event, and the ring had no room; the newest such are in the spill.
    RingFull = 5,
    /// There was no room for its key.
    MapFull = 6,
    /// What it saw was no event (a thread that is not the last one).
    Filtered = 7,
}

/// How many columns there are.
pub const COUNTERS: usize = 8;

/// In `MODES`: do everything.
pub const MODE_STREAM: u32 = 0;
/// In `MODES`: leave out all but one run of [`SAMPLE_ONE_OF`].
pub const MODE_SAMPLE: u32 = 1;
/// In `MODES`: only count that it ran.
pub const MODE_COUNT: u32 = 2;

/// A sampling hook does one run of this many; a power of two.
pub const SAMPLE_ONE_OF: u32 = 16;

/// A hook that does everything reads its mode once in so many runs on each CPU; a power of two, at most
/// [`SAMPLE_ONE_OF`].
pub const MODE_READ_EVERY: u32 = 16;

/// Row of the map `LATE`: offset of `device` in `struct scsi_cmnd`.
pub const LATE_SCSI_DEVICE: u32 = 0;
/// Offset of `host` in `struct scsi_device`.
pub const LATE_SDEV_HOST: u32 = 1;
/// Offset of `channel` in `struct scsi_device`.
pub const LATE_SDEV_CHANNEL: u32 = 2;
/// Offset of `id` in `struct scsi_device`.
pub const LATE_SDEV_ID: u32 = 3;
/// Offset of `lun` in `struct scsi_device`.
pub const LATE_SDEV_LUN: u32 = 4;
/// Offset of `host_no` in `struct Scsi_Host`.
pub const LATE_SHOST_NO: u32 = 5;
/// Offset of `m_super` in `struct xfs_mount`.
pub const LATE_XFS_SUPER: u32 = 6;
/// How many such rows there are.
pub const LATES: u32 = 7;
