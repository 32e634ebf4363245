//! Where each hook counts: one row a hook, one column an outcome, one copy a CPU.
//!
//! The probes only ever add to them, and at rest `seen = delivered + ring_full + filtered`.

/// Row of a hook in the probes' per-CPU array `COUNTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hook {
    /// `oom_victim`.
    OomVictim = 0,
    /// `process_exec`.
    ProcessExec = 1,
    /// `process_exit`.
    ProcessExit = 2,
}

/// How many hooks there are.
pub const HOOKS: usize = 3;

/// Column of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Counter {
    /// The program ran.
    Seen = 0,
    /// It wrote an event to the ring.
    Delivered = 1,
    /// It had an event, and the ring had no room.
    RingFull = 2,
    /// What it saw was no event (a thread that is not the last one).
    Filtered = 3,
}

/// How many columns there are.
pub const COUNTERS: usize = 4;
