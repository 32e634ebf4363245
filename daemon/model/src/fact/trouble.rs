//! Facts about tasks that hang and hardware that fails.

use serde::{Deserialize, Serialize};

use super::TaskRef;

/// A task that has been in uninterruptible sleep for `kernel.hung_task_timeout_secs`. Source:
/// tracepoint `sched:sched_process_hang`, which still fires when the kernel has stopped warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HungTask {
    /// The process.
    pub task: TaskRef,
}

/// RCU's grace period does not end. Source: tracepoint `rcu:rcu_stall_warning`; one for each CPU
/// that the kernel reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RcuStall {
    /// Which flavour of RCU: `rcu_sched`, `rcu_preempt`, ...
    pub flavour: String,
    /// What the kernel says: `SelfDetected`, `StallDetected`, ...
    pub kind: String,
}

/// Hardware said that it failed. Sources: tracepoints `ras:mc_event`, `ras:aer_event`,
/// `ras:memory_failure_event`, `mce:mce_record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareError {
    /// What failed.
    pub source: HardwareSource,
    /// Where, in the kernel's words: a page frame, a memory module's label, a `PCIe` device, a CPU.
    pub place: String,
    /// Whether the hardware corrected it; `None` when it did not say.
    pub corrected: Option<bool>,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HardwareSource {
    /// A memory controller (EDAC).
    MemoryController,
    /// A page that is no longer used because its memory fails.
    MemoryPage,
    /// A `PCIe` device (Advanced Error Reporting).
    Pcie,
    /// A CPU's machine check.
    MachineCheck,
}
