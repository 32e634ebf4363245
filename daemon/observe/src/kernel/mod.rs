//! What the kernel's hooks tell: loads the probes, reads their rings, accounts for every event.
//!
//! The order of the files is the way of a start: `support` finds facts in the kernel's BTF,
//! `attest` proves the offsets on a thread of ours, `plan` decides, `attach` does it; then
//! `ring` and `decode` bring events, `counters` and `cost` account for them.

mod attach;
mod attest;
mod btf;
mod cost;
mod counters;
mod decode;
mod error;
mod event;
mod fdinfo;
mod hook;
mod own;
mod plan;
mod ring;
mod support;

use std::{
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aya::{Ebpf, maps::RingBuf, programs::tp_btf::BtfTracePointLinkId};
use hostmedic_model::loss::{HookCounters, HookReport, QueueCounters};
use tokio::sync::mpsc::Sender;

use self::{
    attach::{Loader, Sizes},
    attest::Nonce,
    hook::Hook,
    ring::{Lane, QueueCounts, Reader, WhenFull},
    support::{ExitForm, FIELDS, KernelSupport},
};
pub use self::{
    cost::{Cost, CostSample, HookCost},
    error::ProbeError,
    event::KernelEvent,
};

/// A kill is handed on at once, and never dropped in user space.
const RARE: Lane = Lane {
    name: "rare",
    when_full: WhenFull::Wait,
    gather: Duration::ZERO,
};
/// Everyday events gather for a moment; a full queue drops and counts them.
const HOT: Lane = Lane {
    name: "hot",
    when_full: WhenFull::Drop,
    gather: Duration::from_millis(5),
};
/// Longest wait for runs that had begun before the programs were detached.
const REST_MAX: Duration = Duration::from_secs(1);

/// How to load the probes. The default is what a daemon wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of the ring of kills; rounded up to a power of two of pages.
    pub rare_ring_bytes: u32,
    /// Bytes of the ring of exec and exit; rounded up likewise.
    pub hot_ring_bytes: u32,
    /// Offsets to use instead of the kernel's, by the global's name. For tests: attestation
    /// must find them out.
    pub offset_overrides: Vec<(String, u32)>,
    /// Tell the last thread by counting, as kernels before 6.16 need, also where the kernel
    /// says it. For tests of that form on a newer kernel.
    pub count_threads: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rare_ring_bytes: 64 << 10,
            hot_ring_bytes: 1 << 20,
            offset_overrides: Vec::new(),
            count_threads: false,
        }
    }
}

/// The attached probes. Dropping it detaches them, drains the rings and ends the readers.
pub struct Probes {
    ebpf: Ebpf,
    links: Vec<(Hook, BtfTracePointLinkId)>,
    maps: Vec<OwnedFd>,
    readers: Vec<Reader>,
    queue: Arc<QueueCounts>,
}

impl Probes {
    /// Finds out what this kernel offers, attests it and attaches every hook that can be trusted.
    ///
    /// Events are kept in the rings from here on, until [`Probes::start`]. The reports say for
    /// each hook what is captured and, if not everything, why. Takes tens of milliseconds and
    /// blocks; needs `CAP_BPF` and `CAP_PERFMON`.
    ///
    /// # Errors
    /// When nothing at all can be captured; [`ProbeError::reports`] then gives the reports.
    pub fn load(options: &Options) -> Result<(Self, Vec<HookReport>), ProbeError> {
        let mut kernel = KernelSupport::detect()?;
        if options.count_threads {
            kernel.exit = kernel.exit.map(|_| ExitForm::Count);
        }
        for (field, offset) in FIELDS.iter().zip(&mut kernel.offsets) {
            let replaced = options
                .offset_overrides
                .iter()
                .find(|(name, _)| name == field.global);
            if let Some((_, value)) = replaced {
                *offset = Ok(*value);
            }
        }
        // A group with an unknown offset is not loaded, so its zeros are never used.
        let offsets: Vec<u32> = kernel
            .offsets
            .iter()
            .map(|offset| offset.clone().unwrap_or(0))
            .collect();
        let nonce = Nonce::new();
        let words = nonce.words();
        let mut loader = Loader::new(&offsets, &words)?;

        let attested = attest::attest(&mut loader, &kernel, &nonce)?;
        let mut plan = plan::plan(&kernel, &attested);
        let sizes = Sizes {
            rare_bytes: options.rare_ring_bytes,
            hot_bytes: options.hot_ring_bytes,
        };
        let mut ebpf = loader.load(plan.flags, sizes)?;
        let links = attach::attach_planned(&loader, &mut ebpf, &mut plan);
        let maps = attach::map_fds(&ebpf)?;
        let queue = Arc::new(QueueCounts::default());
        Ok((
            Self {
                ebpf,
                links,
                maps,
                readers: Vec::new(),
                queue,
            },
            plan.reports,
        ))
    }

    /// Starts to hand events on: kills to `rare`, exec and exit to `hot`.
    ///
    /// Each ring has a thread of its own. While `rare` is full its thread waits, and the ring
    /// keeps what comes; while `hot` is full its events are dropped and counted. A closed queue
    /// ends its thread.
    ///
    /// # Errors
    /// When called a second time, or no thread can be made.
    pub fn start(
        &mut self,
        rare: Sender<KernelEvent>,
        hot: Sender<KernelEvent>,
    ) -> Result<(), ProbeError> {
        for (map, lane, queue) in [("RARE", RARE, rare), ("HOT", HOT, hot)] {
            let taken = self.ebpf.take_map(map).ok_or(ProbeError::Started)?;
            let ring = RingBuf::try_from(taken).map_err(|error| ProbeError::Map {
                map,
                why: error.to_string(),
            })?;
            let reader =
                Reader::start(lane, ring, queue, Arc::clone(&self.queue)).map_err(|source| {
                    ProbeError::Reader {
                        lane: lane.name,
                        source,
                    }
                })?;
            self.readers.push(reader);
        }
        Ok(())
    }

    /// Counters of every hook since [`Probes::load`], summed over all CPUs.
    ///
    /// # Errors
    /// When the kernel's own account cannot be read.
    pub fn counters(&self) -> Result<Vec<HookCounters>, ProbeError> {
        counters::read(&self.ebpf)
    }

    /// What happened to events after the rings. `read = handed on + undecodable + queue_full`.
    pub fn queue_counters(&self) -> QueueCounters {
        self.queue.snapshot()
    }

    /// Kernel memory of the probes' maps, in bytes.
    ///
    /// # Errors
    /// When the kernel's own account cannot be read.
    pub fn map_bytes(&self) -> Result<u64, ProbeError> {
        cost::map_bytes(&self.maps)
    }

    /// Times the probes for the span `sample`, which it sleeps. See [`Probes::cost_begin`] for
    /// async callers.
    ///
    /// # Errors
    /// When the kernel's own account cannot be read.
    pub fn cost(&self, sample: Duration) -> Result<Cost, ProbeError> {
        let begun = self.cost_begin()?;
        thread::sleep(sample);
        self.cost_end(begun)
    }

    /// Begins to time the probes. Hold it for about a second, then [`Probes::cost_end`].
    ///
    /// # Errors
    /// When the kernel's own account cannot be read.
    pub fn cost_begin(&self) -> Result<CostSample, ProbeError> {
        CostSample::begin(&self.ebpf)
    }

    /// Ends a sample.
    ///
    /// # Errors
    /// When the kernel's own account cannot be read.
    pub fn cost_end(&self, sample: CostSample) -> Result<Cost, ProbeError> {
        sample.end(&self.ebpf, &self.maps)
    }

    /// Detaches the probes, hands on what the rings still hold, and returns the last account,
    /// in which every event that was seen is delivered, lost or filtered.
    ///
    /// # Errors
    /// When the kernel's own account cannot be read.
    pub fn stop(mut self) -> Result<(Vec<HookCounters>, QueueCounters), ProbeError> {
        self.quiesce();
        Ok((self.counters()?, self.queue_counters()))
    }

    fn quiesce(&mut self) {
        if self.links.is_empty() && self.readers.is_empty() {
            return;
        }
        for (hook, link) in self.links.drain(..) {
            attach::detach(&mut self.ebpf, hook, link);
        }
        // A run that had begun ends within microseconds, unless its CPU was taken away.
        let deadline = Instant::now() + REST_MAX;
        loop {
            thread::sleep(Duration::from_millis(5));
            let rests = self
                .counters()
                .is_ok_and(|counters| counters::is_at_rest(&counters));
            if rests || Instant::now() >= deadline {
                break;
            }
        }
        self.readers.clear();
    }
}

/// Callers share them between threads, as `spawn_blocking` needs for the calls that block.
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<Probes>();
};

impl Drop for Probes {
    fn drop(&mut self) {
        self.quiesce();
    }
}
