//! Numbers of the host, taken once an interval: CPU, memory, load, waiting, disks, tables, units,
//! certificates.
//!
//! Without it there are no baselines, and a full disk would be found by the service that dies.
//! A source that cannot be read is named as a [`SourceProblem`]; it never becomes a zero.

mod anonymous;
mod certificates;
pub mod clock;
mod cost;
pub mod devices;
mod disk;
mod fs_errors;
pub mod interfaces;
mod journal;
pub mod links;
pub mod memory_events;
mod mounts;
pub mod net;
mod outbox;
pub mod programs;
mod psi;
mod rise;
mod signals;
mod stalls;
mod unit_numbers;
mod watch;
pub mod zombies;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

pub use certificates::{CertificatesConfig, certificate_chain};
pub use cost::{CostMeter, OwnCost};
pub use mounts::mount_points;
pub use psi::{PressureOptions, Threshold};
pub use signals::HostSignals;
pub use watch::WatchOptions;

use hostmedic_model::{
    sample::{Measure, Sample, Series},
    subject::Subject,
    time::At,
};
use procfs::{Current as _, CurrentSI as _, KernelStats, LoadAverage, Meminfo};

use crate::subject::Subjects;

/// Why a source gave no number this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceProblem {
    /// What was read: a path or a mount point.
    pub source: String,
    /// What it said.
    pub reason: String,
}

impl SourceProblem {
    fn new(source: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self {
            source: source.into(),
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read {}: {}", self.source, self.reason)
    }
}

/// Takes the numbers and keeps what differences need.
#[derive(Debug)]
pub struct Sampler {
    subjects: Subjects,
    journal_dirs: Vec<PathBuf>,
    disks: disk::Disks,
    /// Busy and total CPU time of the last sample, in ticks.
    cpu_before: Option<(u64, u64)>,
    /// When the last sample was taken.
    before: Option<At>,
    stalls: stalls::Stalls,
    units: unit_numbers::UnitNumbers,
    certificates: certificates::Certificates,
}

impl Sampler {
    /// A sampler that attributes memory through `subjects`.
    pub fn new(subjects: Subjects) -> Self {
        Self {
            subjects,
            journal_dirs: ["/var/log/journal", "/run/log/journal"]
                .map(PathBuf::from)
                .to_vec(),
            disks: disk::Disks::default(),
            cpu_before: None,
            before: None,
            stalls: stalls::Stalls::new(),
            units: unit_numbers::UnitNumbers::new(),
            certificates: certificates::Certificates::new(CertificatesConfig::default()),
        }
    }

    /// Watches these certificates instead of those in the usual places.
    #[must_use]
    pub fn with_certificates(mut self, config: CertificatesConfig) -> Self {
        self.certificates = certificates::Certificates::new(config);
        self
    }

    /// All numbers of the window that ends at `at`, and every source that gave none.
    ///
    /// Blocks for at most about a second (file systems that do not answer), so call it where
    /// blocking is allowed. The first call has no CPU number: there is no window yet.
    pub fn sample(&mut self, at: At) -> (Vec<Sample>, Vec<SourceProblem>) {
        let mut taken = Taken {
            at,
            samples: Vec::new(),
            problems: Vec::new(),
        };
        let before = self.before.replace(at);
        let window = before
            .map(|before| at.since(before))
            .filter(|window| !window.is_zero());
        let cpus = self.cpu_and_load(&mut taken);
        memory(&mut taken);
        conntrack(&mut taken);
        self.stalls.sample(window, &mut taken);
        let mounts = self.disks.sample(&mut taken);
        journal::sample(&self.journal_dirs, &mounts, &mut taken);
        self.units.sample(&self.subjects, window, cpus, &mut taken);
        self.certificates.sample(&mut taken);
        (taken.samples, taken.problems)
    }

    /// Gives the number of CPUs, too.
    fn cpu_and_load(&mut self, taken: &mut Taken) -> usize {
        let stat = match KernelStats::current() {
            Ok(stat) => stat,
            Err(error) => {
                taken.problem("/proc/stat", error);
                return 1;
            }
        };
        let cpu = &stat.total;
        let idle = cpu.idle + cpu.iowait.unwrap_or(0);
        let busy = cpu.user
            + cpu.nice
            + cpu.system
            + cpu.irq.unwrap_or(0)
            + cpu.softirq.unwrap_or(0)
            + cpu.steal.unwrap_or(0);
        let total = busy + idle;
        if let Some((busy_before, total_before)) = self.cpu_before.replace((busy, total)) {
            // idle and iowait may run backwards a little (proc_stat(5)); no window, no number.
            let window = total.saturating_sub(total_before);
            if window > 0 {
                let share = ratio(busy.saturating_sub(busy_before), window);
                taken.sample(Subject::Host, Measure::CpuBusyRatio, share.min(1.0));
            }
        }
        match LoadAverage::current() {
            Ok(load) if !stat.cpu_time.is_empty() => {
                let per_cpu = f64::from(load.one) / stat.cpu_time.len() as f64;
                taken.sample(Subject::Host, Measure::LoadPerCpu, per_cpu);
            }
            Ok(_) => taken.problem("/proc/stat", "it lists no CPU"),
            Err(error) => taken.problem("/proc/loadavg", error),
        }
        stat.cpu_time.len()
    }
}

fn memory(taken: &mut Taken) {
    match Meminfo::current() {
        Ok(Meminfo {
            mem_total,
            mem_available: Some(available),
            swap_total,
            swap_free,
            ..
        }) if mem_total > 0 => {
            let used = ratio(mem_total.saturating_sub(available), mem_total);
            taken.sample(Subject::Host, Measure::MemoryUsedRatio, used);
            if swap_total > 0 {
                let used = ratio(swap_total.saturating_sub(swap_free), swap_total);
                taken.sample(Subject::Host, Measure::SwapUsedRatio, used);
            }
        }
        Ok(_) => taken.problem("/proc/meminfo", "it lacks MemTotal or MemAvailable"),
        Err(error) => taken.problem("/proc/meminfo", error),
    }
}

/// How full the table of connections is. Without the module there is no table, and nothing to tell.
fn conntrack(taken: &mut Taken) {
    let read = |name: &str| -> Option<u64> {
        let path = Path::new("/proc/sys/net/netfilter").join(name);
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    if let (Some(entries), Some(max @ 1..)) = (read("nf_conntrack_count"), read("nf_conntrack_max"))
    {
        taken.sample(
            Subject::Host,
            Measure::ConntrackUsedRatio,
            ratio(entries, max),
        );
    }
}

/// What one round of sampling has found so far.
struct Taken {
    at: At,
    samples: Vec<Sample>,
    problems: Vec<SourceProblem>,
}

impl Taken {
    fn sample(&mut self, subject: Subject, measure: Measure, value: f64) {
        let series = Series { subject, measure };
        self.samples.push(Sample {
            at: self.at,
            series,
            value,
        });
    }

    fn problem(&mut self, source: impl Into<String>, reason: impl fmt::Display) {
        self.problems.push(SourceProblem::new(source, reason));
    }
}

/// `part / whole`, which must not be zero.
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn find(samples: &[Sample], measure: Measure) -> Option<&Sample> {
        samples
            .iter()
            .find(|sample| sample.series.measure == measure)
    }

    /// Runs against this machine's own /proc: every number must be there and be possible.
    #[test]
    fn a_round_has_every_number_of_the_host() {
        let mut sampler = Sampler::new(Subjects::new());
        let (first, _) = sampler.sample(clock::now());
        assert!(
            find(&first, Measure::CpuBusyRatio).is_none(),
            "there was no window yet"
        );
        // Burn some ticks, so that the window is not empty.
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 60 {
            std::hint::spin_loop();
        }
        let (samples, problems) = sampler.sample(clock::now());
        for measure in [
            Measure::CpuBusyRatio,
            Measure::MemoryUsedRatio,
            Measure::LoadPerCpu,
            Measure::CpuPressureSomeRatio,
        ] {
            let sample =
                find(&samples, measure).unwrap_or_else(|| panic!("{measure}: {problems:?}"));
            assert_eq!(sample.series.subject, Subject::Host);
            assert!(
                sample.value.is_finite() && sample.value >= 0.0,
                "{sample:?}"
            );
        }
        assert!(find(&samples, Measure::CpuBusyRatio).unwrap().value > 0.0);
        let disk = find(&samples, Measure::DiskUsedRatio).unwrap();
        assert!(disk.value > 0.0 && disk.value <= 1.0, "{disk:?}");
    }
}
