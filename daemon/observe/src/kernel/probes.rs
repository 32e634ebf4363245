//! The attached probes, as the daemon holds them.

use std::{
    fs,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, MapError, RingBuf},
};
use hostmedic_abi::{HOOKS, MODE_COUNT, MODE_SAMPLE, MODE_STREAM, ROWS_WORDS, VERSION};
use hostmedic_model::loss::{Coverage, HookCounters, HookMode, HookReport, QueueCounters};
use tokio::sync::mpsc::Sender;

use super::{
    attach::{self, Constants, Link, Loader},
    attest::{self, Nonce},
    cost::{self, Cost, CostSample},
    counters::{self, Kept},
    cpus,
    error::ProbeError,
    event::KernelEvent,
    fields::FIELDS,
    hook::{ALL, Hook, Info},
    late,
    plan::{self, Plan, Wanted},
    ring::{Lane, QueueCounts, Reader, WhenFull},
    seats,
    sizes::{Needs, Sizes},
    spill::Spill,
    support::{KernelSupport, kernel_btf},
    symbols::Symbols,
    tallies::{Counted, Tallies},
};

/// A rare event is handed on at once, and never dropped in user space.
const RARE: Lane = Lane {
    name: "rare",
    when_full: WhenFull::Wait,
    look_every: Duration::from_secs(4),
    look_at_least: Duration::from_secs(4),
};
/// Everyday events seldom wake their reader; a full queue drops and counts them.
const HOT: Lane = Lane {
    name: "hot",
    when_full: WhenFull::Drop,
    look_every: Duration::from_millis(250),
    look_at_least: Duration::from_secs(1),
};
/// Longest wait for runs that had begun before the programs were detached.
const REST_MAX: Duration = Duration::from_secs(1);
/// Ports of clients where the kernel does not say: Linux's default.
const EPHEMERAL: (u32, u32) = (32768, 60999);

/// How to load the probes. The default is what a daemon wants.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of the ring of rare events; rounded up to a power of two of pages.
    pub rare_ring_bytes: u32,
    /// Bytes of the ring of everyday events; rounded up likewise.
    pub hot_ring_bytes: u32,
    /// Measure how long requests to disks take.
    pub disk_latency: bool,
    /// Directory of a BPF file system in which counters survive the daemon.
    pub pin_dir: Option<PathBuf>,
    /// Hooks to leave out, by name.
    pub without: Vec<String>,
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
            hot_ring_bytes: 512 << 10,
            disk_latency: false,
            pin_dir: None,
            without: Vec::new(),
            offset_overrides: Vec::new(),
            count_threads: false,
        }
    }
}

/// The attached probes. Dropping it detaches them, drains the rings and ends the readers.
pub struct Probes {
    ebpf: Ebpf,
    plan: Plan,
    links: Vec<(Hook, Link)>,
    modes: [HookMode; HOOKS],
    maps: Vec<OwnedFd>,
    map_bytes_planned: u64,
    readers: Vec<Reader>,
    queue: Arc<QueueCounts>,
    /// What the counters of daemons before this one came to.
    kept: Kept,
    tallies: Tallies,
    pinned: Result<(), String>,
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
        let mut btf = kernel_btf()?;
        let kernel = KernelSupport::detect(&btf);
        let offsets = offsets(&kernel, options);
        let nonce = Nonce::new();
        let words = nonce.words();
        let constants = Constants {
            rss_stride: kernel.rss_stride.clone().unwrap_or(0),
            drop_reason_min: kernel.reasons.first(),
            rows_at: seats::before_rows(&btf),
            ephemeral: ephemeral_ports().unwrap_or(EPHEMERAL),
        };
        let mut loader = Loader::new(&offsets, &words, constants)?;

        let attested = attest::attest(&mut loader, &kernel, &nonce)?;
        let wanted = Wanted {
            latency: options.disk_latency,
            count_threads: options.count_threads,
        };
        let mut plan = plan::plan(&kernel, &attested, wanted);
        for info in ALL
            .iter()
            .filter(|info| options.without.iter().any(|name| name == info.name))
        {
            plan.report(info.hook, Err("it is switched off by the configuration"));
        }
        let needs = Needs {
            cpus: cpus::numbers()?,
            recent: plan.has("KEEP_RECENT"),
            ended: !plan.has("HAS_GROUP_DEAD"),
            latency: options.disk_latency,
        };
        let sizes = Sizes::fit(options.rare_ring_bytes, options.hot_ring_bytes, needs);
        let pinned = match &options.pin_dir {
            Some(directory) => pin_in(&mut loader, directory),
            None => Err("no directory to pin them in is configured".to_owned()),
        };
        let mut ebpf = loader.load(&plan.flags, &sizes)?;
        for module in ["scsi_mod", "xfs"] {
            if let Err(reason) = late::resolve(&mut ebpf, &mut btf, module) {
                for info in ALL.iter().filter(|info| info.module == Some(module)) {
                    plan.report(info.hook, Err(&attach::absence(info, reason.clone())));
                }
            }
        }
        drop(btf);
        seats::prepare(&mut ebpf, constants.rows_at)?;
        let links = attach::attach_planned(&loader, &mut ebpf, &mut plan);
        let maps = attach::map_fds(&ebpf)?;
        let kept = counters::kept(&ebpf)?;
        let reports = plan.reports.clone();
        let has_reasons = plan.has("HAS_DROP_REASON");
        let symbols = (!has_reasons && plan.loads(Hook::PacketDrop)).then(Symbols::read);
        let probes = Self {
            ebpf,
            plan,
            links,
            modes: [HookMode::Stream; HOOKS],
            maps,
            map_bytes_planned: sizes.bytes(),
            readers: Vec::new(),
            queue: Arc::new(QueueCounts::default()),
            kept,
            tallies: Tallies::new(kernel.reasons, symbols, sizes.keys),
            pinned,
        };
        Ok((probes, reports))
    }

    /// Starts to hand events on: rare ones to `rare`, everyday ones to `hot`.
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
        let spill = Spill::take(&mut self.ebpf)?;
        for (map, lane, spill, queue) in
            [("RARE", RARE, Some(spill), rare), ("HOT", HOT, None, hot)]
        {
            let taken = self.ebpf.take_map(map).ok_or(ProbeError::Started)?;
            let ring = RingBuf::try_from(taken).map_err(|error| ProbeError::Map {
                map,
                why: error.to_string(),
            })?;
            let reader = Reader::start(lane, ring, spill, queue, Arc::clone(&self.queue)).map_err(
                |source| ProbeError::Reader {
                    lane: lane.name,
                    source,
                },
            )?;
            self.readers.push(reader);
        }
        Ok(())
    }

    /// What each hook gives now.
    pub fn reports(&self) -> &[HookReport] {
        &self.plan.reports
    }

    /// Why counters do not survive the daemon, if they do not.
    ///
    /// # Errors
    /// The reason in one line.
    pub fn pinned(&self) -> Result<(), &str> {
        self.pinned.as_ref().copied().map_err(String::as_str)
    }

    /// Tries again to attach hooks whose module was not loaded. Says which came.
    pub fn revisit(&mut self) -> Vec<HookReport> {
        let mut came = Vec::new();
        for info in &ALL {
            let waits = self.plan.reports[info.hook as usize].coverage == Coverage::Absent
                && !self.links.iter().any(|(hook, _)| *hook == info.hook)
                && info.module.is_some_and(attach::is_loaded);
            if !waits {
                continue;
            }
            match late::attach(&mut self.ebpf, info) {
                Ok(link) => {
                    self.links.push((info.hook, link));
                    self.plan.report(info.hook, Ok(()));
                    came.push(self.plan.reports[info.hook as usize].clone());
                }
                Err(reason) => self.plan.report(info.hook, Err(&reason)),
            }
        }
        came
    }

    /// How much each hook does, by name; those that are absent are left out.
    pub fn modes(&self) -> Vec<(&'static str, HookMode)> {
        ALL.iter()
            .filter(|info| self.plan.loads(info.hook))
            .map(|info| (info.name, self.modes[info.hook as usize]))
            .collect()
    }

    /// Hooks that may do less: those of everyday life. A kill or a disk error is worth its price.
    pub fn reducible(&self) -> Vec<&'static str> {
        ALL.iter()
            .filter(|info| info.is_everyday())
            .map(|info| info.name)
            .collect()
    }

    /// Makes a hook do less or more.
    ///
    /// # Errors
    /// When there is no such hook, or the kernel refuses.
    pub fn set_mode(&mut self, name: &str, mode: HookMode) -> Result<(), ProbeError> {
        const MAP: &str = "MODES";
        let failed = |why: String| ProbeError::Map { map: MAP, why };
        let info = Info::named(name)
            .filter(|info| self.plan.loads(info.hook))
            .ok_or_else(|| failed(format!("no hook `{name}` is loaded")))?;
        let place = self.links.iter().position(|(hook, _)| *hook == info.hook);
        if mode == HookMode::Off {
            if let Some(place) = place {
                let (_, link) = self.links.swap_remove(place);
                attach::detach(&mut self.ebpf, info, link);
            }
        } else {
            let map = self
                .ebpf
                .map_mut(MAP)
                .ok_or_else(|| failed("it is not in the object".to_owned()))?;
            let mut rows: Array<_, u32> = map
                .try_into()
                .map_err(|e: MapError| failed(e.to_string()))?;
            let number = match mode {
                HookMode::Sample => MODE_SAMPLE,
                HookMode::Count => MODE_COUNT,
                HookMode::Stream | HookMode::Off => MODE_STREAM,
            };
            rows.set(info.hook as u32, number, 0)
                .map_err(|e| failed(e.to_string()))?;
            if place.is_none() {
                let link = attach::attach(&mut self.ebpf, info).map_err(failed)?;
                self.links.push((info.hook, link));
            }
        }
        self.modes[info.hook as usize] = mode;
        Ok(())
    }

    /// Counters of every hook since their maps were made, summed over all CPUs.
    ///
    /// # Errors
    /// When the kernel's own account cannot be read.
    pub fn counters(&self) -> Result<Vec<HookCounters>, ProbeError> {
        counters::read(&self.ebpf, &self.queue.recovered(), &self.kept)
    }

    /// What has been counted by key since the last call.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn tallies(&mut self) -> Result<Vec<Counted>, ProbeError> {
        self.tallies.read(&mut self.ebpf)
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

    /// What the maps were computed to take, in bytes.
    pub fn map_bytes_planned(&self) -> u64 {
        self.map_bytes_planned
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

    /// Keeps what the daemon itself counts with the pinned counters, for its next start. To be
    /// called now and then, since a crash does not ask.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn keep(&mut self) -> Result<(), ProbeError> {
        if self.pinned.is_err() {
            return Ok(());
        }
        let counters = self.counters()?;
        counters::keep(&mut self.ebpf, &counters)
    }

    /// Detaches the probes, hands on what the rings still hold, and returns the last account,
    /// in which every event that was seen has an end.
    ///
    /// # Errors
    /// When the kernel's own account cannot be read.
    pub fn stop(mut self) -> Result<(Vec<HookCounters>, QueueCounters), ProbeError> {
        self.quiesce();
        let counters = self.counters()?;
        if self.pinned.is_ok() {
            counters::keep(&mut self.ebpf, &counters)?;
        }
        Ok((counters, self.queue_counters()))
    }

    fn quiesce(&mut self) {
        if self.links.is_empty() && self.readers.is_empty() {
            return;
        }
        for (hook, link) in self.links.drain(..) {
            attach::detach(&mut self.ebpf, Info::of(hook), link);
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

/// The offset of each field. One that is unknown is zero, and what needs it is not loaded.
fn offsets(kernel: &KernelSupport, options: &Options) -> Vec<u32> {
    FIELDS
        .iter()
        .zip(&kernel.offsets)
        .map(|(field, offset)| {
            let replaced = options
                .offset_overrides
                .iter()
                .find(|(name, _)| name == field.global);
            match replaced {
                Some((_, value)) => *value,
                None => offset.clone().unwrap_or(0),
            }
        })
        .collect()
}

/// Pins the counters below `directory`, in one named after the layout: counters of another layout
/// are not ours.
fn pin_in(loader: &mut Loader<'_>, directory: &std::path::Path) -> Result<(), String> {
    let of_layout = directory.join(format!("v{VERSION}-{HOOKS}x{ROWS_WORDS}"));
    let kind = nix::sys::statfs::statfs(directory)
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    if kind.filesystem_type() != nix::sys::statfs::BPF_FS_MAGIC {
        return Err(format!(
            "{} is not in a BPF file system",
            directory.display()
        ));
    }
    fs::create_dir_all(&of_layout)
        .map_err(|error| format!("cannot make {}: {error}", of_layout.display()))?;
    loader.pin_in(&of_layout);
    Ok(())
}

/// `net.ipv4.ip_local_port_range`.
fn ephemeral_ports() -> Option<(u32, u32)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}
