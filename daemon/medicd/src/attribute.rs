//! From a kernel's event to a signal: whose it is, and the names of what it speaks of.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hostmedic_model::{
    signal::{Device, Fact, OomScope, Signal},
    subject::Subject,
    time::At,
};
use hostmedic_observe::{
    host::{clock, devices::Devices, interfaces::Interfaces},
    kernel::{About, KernelEvent},
    subject::Subjects,
};

/// Inode of the initial PID namespace (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
const PID_NS_INITIAL: &str = "pid:[4026531836]";

/// Knows the names of things. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Attribution {
    pub(crate) subjects: Subjects,
    names: Arc<Mutex<Names>>,
    /// A process id can be asked of /proc only where /proc shows the ids that the hooks see.
    kernel_pids: bool,
}

struct Names {
    devices: Devices,
    interfaces: Interfaces,
}

impl Attribution {
    pub(crate) fn new(subjects: Subjects) -> Self {
        Self {
            subjects,
            names: Arc::new(Mutex::new(Names {
                devices: Devices::new(),
                interfaces: Interfaces::new(),
            })),
            kernel_pids: std::fs::read_link("/proc/self/ns/pid")
                .is_ok_and(|ns| ns.as_os_str() == PID_NS_INITIAL),
        }
    }

    /// The signal that `event` is. A cgroup's coming is remembered before anything else asks.
    pub(crate) fn signal(&self, event: KernelEvent) -> Signal {
        let at = at(event.at_boot_ns);
        if let Fact::CgroupMade(cgroup) = &event.fact
            && cgroup.path.starts_with('/')
            && cgroup.path.len() + 1 < hostmedic_observe::kernel::CGROUP_PATH_MAX
        {
            self.subjects.made(cgroup.cgroup_id, &cgroup.path, at);
        }
        let subject = match event.about {
            About::Process { pid, cgroup_id, .. } => {
                let pid = self.kernel_pids.then_some(pid);
                self.subjects.of(cgroup_id, pid, at)
            }
            About::Cgroup { cgroup_id } => self.subjects.of(cgroup_id, None, at),
            About::Device { major, minor } => {
                Subject::Device(self.device(major, minor, at).to_string())
            }
            About::Interface { index } => self.interface(index, at),
            About::Host => Subject::Host,
        };
        Signal {
            at,
            subject,
            fact: self.named(event.fact, at),
        }
    }

    /// Whose cgroup that is; the host's where no cgroup is known.
    pub(crate) fn of_cgroup(&self, cgroup_id: u64, at: At) -> Subject {
        match cgroup_id {
            0 => Subject::Host,
            id => self.subjects.of(id, None, at),
        }
    }

    /// Name of an interface; `None` for index 0.
    pub(crate) fn interface_name(&self, index: u32, at: At) -> Option<String> {
        (index != 0).then(|| {
            self.names()
                .interfaces
                .name(index, at)
                .unwrap_or_else(|| format!("index {index}"))
        })
    }

    /// A device with its name and serial number.
    pub(crate) fn device(&self, major: u32, minor: u32, at: At) -> Device {
        self.names().devices.of(major, minor, at)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        // Both are caches: a panic elsewhere spoils nothing.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interface(&self, index: u32, at: At) -> Subject {
        match self.interface_name(index, at) {
            Some(name) => Subject::Interface(name),
            None => Subject::Host,
        }
    }

    /// Fills in names that the kernel gives only as numbers.
    fn named(&self, fact: Fact, at: At) -> Fact {
        match fact {
            Fact::BlockError(mut error) => {
                error.device = self.device(error.device.major, error.device.minor, at);
                error.issuer = (error.cgroup_id != 0).then(|| self.of_cgroup(error.cgroup_id, at));
                Fact::BlockError(error)
            }
            Fact::WritebackError(mut error) => {
                error.device = self.device(error.device.major, error.device.minor, at);
                Fact::WritebackError(error)
            }
            Fact::FilesystemError(mut error) => {
                error.device = self.device(error.device.major, error.device.minor, at);
                Fact::FilesystemError(error)
            }
            Fact::OomKill(mut kill) => {
                if let OomScope::Cgroup { cgroup_id, path } = &mut kill.scope {
                    *path = self.subjects.path_of_id(*cgroup_id, at).unwrap_or_default();
                }
                Fact::OomKill(kill)
            }
            other => other,
        }
    }
}

/// The hooks know the boot clock only; the wall clock is now's, less what has passed since.
fn at(boot_ns: u64) -> At {
    let now = clock::now();
    let behind = Duration::from_nanos(now.boot_ns.saturating_sub(boot_ns));
    let behind_ms = i64::try_from(behind.as_millis()).unwrap_or(i64::MAX);
    At {
        boot_ns,
        wall_ms: now.wall_ms.saturating_sub(behind_ms),
    }
}
