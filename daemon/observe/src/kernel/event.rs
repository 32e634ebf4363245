//! What leaves this module: one decoded event of a probe.

use hostmedic_model::signal::Fact;

/// One event, as the kernel's hook saw it. The caller finds the unit, the device's and the
/// interface's name, and fills them in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelEvent {
    /// When, on the boot clock.
    pub at_boot_ns: u64,
    /// What it is about.
    pub about: About,
    /// What happened.
    pub fact: Fact,
}

/// What an event is about, in the kernel's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A process.
    Process {
        /// Its id in the kernel's initial namespace.
        pid: u32,
        /// When it started, on the boot clock; 0 when unknown.
        started_boot_ns: u64,
        /// Its cgroup v2 id; 0 when unknown.
        cgroup_id: u64,
    },
    /// A cgroup of the unified tree.
    Cgroup {
        /// Its id.
        cgroup_id: u64,
    },
    /// A block device.
    Device {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A network interface.
    Interface {
        /// Its index.
        index: u32,
    },
    /// The host.
    Host,
}

impl KernelEvent {
    /// The process it is about, and when that started.
    pub fn process(&self) -> Option<(u32, u64)> {
        match self.about {
            About::Process {
                pid,
                started_boot_ns,
                ..
            } => Some((pid, started_boot_ns)),
            _ => None,
        }
    }
}
