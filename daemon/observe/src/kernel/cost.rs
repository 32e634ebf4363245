//! What the probes cost: time a run, sampled, and kernel memory, which no RSS shows.
//!
//! The kernel times programs only while asked to, because that costs two clock reads a run. So
//! it is asked for a moment, and the difference of its sums is the sample.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    sys::{Stats, enable_stats},
};

use super::{
    error::ProbeError,
    fdinfo::FdInfo,
    hook::{ALL, Hook, Info},
};

/// Cost of the probes over one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// How long the sample took.
    pub sampled: Duration,
    /// One entry for each loaded hook.
    pub hooks: Vec<HookCost>,
    /// Kernel memory of all maps, as the kernel accounts for it.
    pub map_bytes: u64,
    /// Why run times are missing, if they are; timing needs `CAP_SYS_ADMIN` (bpf(2),
    /// `BPF_ENABLE_STATS`) or the sysctl `kernel.bpf_stats_enabled`.
    pub untimed: Option<String>,
}

/// Cost of one hook over one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct HookCost {
    /// Name of the probe.
    pub hook: String,
    /// Timed runs.
    pub runs: u64,
    /// Time they took together.
    pub run_time_ns: u64,
}

impl HookCost {
    /// Mean time of one run; `None` without runs.
    pub fn ns_per_run(&self) -> Option<u64> {
        self.run_time_ns.checked_div(self.runs)
    }
}

/// A sample under way. The kernel times programs until it is dropped.
pub struct CostSample {
    began: Instant,
    before: Vec<(Hook, u64, u64)>,
    timing: Result<OwnedFd, String>,
}

impl CostSample {
    pub(crate) fn begin(ebpf: &Ebpf) -> Result<Self, ProbeError> {
        let timing = enable_stats(Stats::RunTime).map_err(|error| {
            format!(
                "the kernel did not enable run-time statistics: {}",
                error.io_error
            )
        });
        Ok(Self {
            began: Instant::now(),
            before: sums(ebpf)?,
            timing,
        })
    }

    pub(crate) fn end(self, ebpf: &Ebpf, maps: &[OwnedFd]) -> Result<Cost, ProbeError> {
        let sampled = self.began.elapsed();
        let after = sums(ebpf)?;
        let hooks = after.iter().map(|&(hook, run_time_ns, runs)| {
            let before = self.before.iter().find(|(of, ..)| *of == hook);
            let (time_before, runs_before) = before.map_or((0, 0), |&(_, time, runs)| (time, runs));
            HookCost {
                hook: Info::of(hook).name.to_owned(),
                runs: runs.saturating_sub(runs_before),
                run_time_ns: run_time_ns.saturating_sub(time_before),
            }
        });
        let hooks: Vec<HookCost> = hooks.collect();
        Ok(Cost {
            sampled,
            hooks,
            map_bytes: map_bytes(maps)?,
            untimed: self.timing.err(),
        })
    }
}

/// Sum of what each map takes.
pub(crate) fn map_bytes(maps: &[OwnedFd]) -> Result<u64, ProbeError> {
    maps.iter()
        .map(|map| Ok(FdInfo::of(map.as_fd())?.map_bytes()))
        .sum()
}

/// Time and number of timed runs of each loaded hook, since it was loaded.
fn sums(ebpf: &Ebpf) -> Result<Vec<(Hook, u64, u64)>, ProbeError> {
    let mut sums = Vec::new();
    for Info { hook, name, .. } in &ALL {
        if let Some(info) = FdInfo::of_program(ebpf, name)? {
            let number = |name| info.number(name).unwrap_or(0);
            sums.push((*hook, number("run_time_ns"), number("run_cnt")));
        }
    }
    Ok(sums)
}
