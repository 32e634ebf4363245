//! What this process itself costs the host.
//!
//! A watcher that cannot say what it costs is switched off by the first person in doubt.

use std::time::Duration;

use hostmedic_model::time::At;
use procfs::process::Process;

use super::{SourceProblem, clock};

/// Cost of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OwnCost {
    /// Resident memory in bytes (`VmRSS`).
    pub rss_bytes: u64,
    /// CPU time / time since the meter was made, of one core.
    pub cpu_ratio: f64,
    /// The same since the last reading.
    pub cpu_recent_ratio: f64,
}

/// Reads [`OwnCost`]; keeps what differences need.
#[derive(Debug)]
pub struct CostMeter {
    started: (At, Duration),
    last: (At, Duration),
}

impl CostMeter {
    /// Starts counting now.
    pub fn new() -> Self {
        let start = (clock::now(), clock::cpu_time());
        Self {
            started: start,
            last: start,
        }
    }

    /// What it costs now.
    ///
    /// # Errors
    /// Fails if `/proc/self/status` cannot be read.
    pub fn own_cost(&mut self) -> Result<OwnCost, SourceProblem> {
        let status = Process::myself().and_then(|process| process.status());
        let rss = status
            .map_err(|error| SourceProblem::new("/proc/self/status", error))?
            .vmrss;
        let rss_kib =
            rss.ok_or_else(|| SourceProblem::new("/proc/self/status", "it lacks VmRSS"))?;
        let now = (clock::now(), clock::cpu_time());
        let last = std::mem::replace(&mut self.last, now);
        Ok(OwnCost {
            rss_bytes: rss_kib * 1024,
            cpu_ratio: share(self.started, now),
            cpu_recent_ratio: share(last, now),
        })
    }
}

impl Default for CostMeter {
    fn default() -> Self {
        Self::new()
    }
}

fn share(from: (At, Duration), to: (At, Duration)) -> f64 {
    let span = to.0.since(from.0).as_secs_f64();
    if span > 0.0 {
        to.1.saturating_sub(from.1).as_secs_f64() / span
    } else {
        0.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_sees_its_own_cost() {
        let mut meter = CostMeter::new();
        let kept = vec![1_u8; 4 << 20];
        let until = clock::cpu_time() + Duration::from_millis(20);
        while clock::cpu_time() < until {
            std::hint::spin_loop();
        }
        let cost = meter.own_cost().unwrap();
        assert!(
            cost.cpu_ratio > 0.0 && cost.cpu_recent_ratio > 0.0,
            "{cost:?}"
        );
        assert!(cost.rss_bytes > kept.len() as u64, "{cost:?}");
    }
}
