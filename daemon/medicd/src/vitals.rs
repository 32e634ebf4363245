//! What hostmedic knows of itself: hooks, counters and cost, for `medic status` and for the audit
//! chain's coverage rows.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};

use hostmedic_model::{
    loss::{HookCounters, HookReport, QueueCounters},
    record::CoverageRow,
    time::At,
    view::{Cost, HookCost},
};
use hostmedic_observe::{
    host::{CostMeter, clock},
    kernel::Probes,
};

/// Everything measured of ourselves.
pub(crate) struct Vitals {
    execs: AtomicU32,
    inner: Mutex<Inner>,
}

struct Inner {
    probes: Option<Probes>,
    reports: Vec<HookReport>,
    counters: Vec<HookCounters>,
    queues: QueueCounters,
    meter: CostMeter,
    cost: Cost,
    /// End of the newest row of the chain.
    row_from: At,
}

impl Vitals {
    pub(crate) fn new() -> Self {
        Self {
            execs: AtomicU32::new(0),
            inner: Mutex::new(Inner {
                probes: None,
                reports: Vec::new(),
                counters: Vec::new(),
                queues: QueueCounters::default(),
                meter: CostMeter::new(),
                cost: Cost::default(),
                row_from: clock::now(),
            }),
        }
    }

    pub(crate) fn adopt(&self, probes: Option<Probes>, reports: Vec<HookReport>) {
        let mut inner = self.inner();
        inner.probes = probes;
        inner.reports = reports;
    }

    pub(crate) fn count_exec(&self) {
        self.execs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn take_execs(&self) -> u32 {
        self.execs.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn reports(&self) -> Vec<HookReport> {
        self.inner().reports.clone()
    }

    /// Reads the kernel's counters and our own cost. Blocks for microseconds.
    pub(crate) fn read(&self) -> CoverageRow {
        let mut inner = self.inner();
        let read = inner.probes.as_ref().map(|probes| {
            (
                probes.counters(),
                probes.queue_counters(),
                probes.map_bytes(),
            )
        });
        if let Some((counters, queues, map_bytes)) = read {
            match counters {
                Ok(counters) => inner.counters = counters,
                Err(error) => tracing::warn!(%error, "Cannot read the hooks' counters."),
            }
            inner.queues = queues;
            match map_bytes {
                Ok(bytes) => inner.cost.kernel_map_bytes = bytes,
                Err(error) => tracing::warn!(%error, "Cannot read the size of the hooks' maps."),
            }
        }
        match inner.meter.own_cost() {
            Ok(own) => {
                inner.cost.rss_bytes = own.rss_bytes;
                inner.cost.cpu_ratio = own.cpu_ratio;
                inner.cost.cpu_recent_ratio = own.cpu_recent_ratio;
            }
            Err(problem) => tracing::warn!(%problem, "Cannot read what hostmedic costs."),
        }
        CoverageRow {
            from: inner.row_from,
            reduced: Vec::new(),
            hooks: inner.counters.clone(),
            queues: inner.queues.clone(),
        }
    }

    /// Times the hooks for a second. Costs two clock reads a run meanwhile, so it is rare.
    pub(crate) async fn time_hooks(&self) {
        let begun = match self.inner().probes.as_ref().map(Probes::cost_begin) {
            Some(Ok(begun)) => begun,
            Some(Err(error)) => return tracing::debug!(%error, "Cannot time the hooks."),
            None => return,
        };
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let mut inner = self.inner();
        let Some(ended) = inner.probes.as_ref().map(|probes| probes.cost_end(begun)) else {
            return;
        };
        match ended {
            Ok(cost) => {
                inner.cost.kernel_map_bytes = cost.map_bytes;
                inner.cost.hook_ns = cost
                    .hooks
                    .iter()
                    .map(|hook| HookCost {
                        hook: hook.hook.clone(),
                        runs: hook.runs,
                        ns_per_run: hook.ns_per_run().unwrap_or(0),
                    })
                    .collect();
            }
            Err(error) => tracing::debug!(%error, "Cannot time the hooks."),
        }
    }

    /// What [`Self::read`] gives, as a row for the chain; the next one begins where it ends.
    pub(crate) fn row(&self) -> CoverageRow {
        let row = self.read();
        self.inner().row_from = clock::now();
        row
    }

    pub(crate) fn snapshot(&self) -> (Vec<HookReport>, Vec<HookCounters>, QueueCounters, Cost) {
        let inner = self.inner();
        (
            inner.reports.clone(),
            inner.counters.clone(),
            inner.queues.clone(),
            inner.cost.clone(),
        )
    }

    /// Detaches the probes and gives the last account.
    pub(crate) fn stop(&self) -> Option<CoverageRow> {
        let probes = self.inner().probes.take()?;
        match probes.stop() {
            Ok((hooks, queues)) => Some(CoverageRow {
                from: self.inner().row_from,
                reduced: Vec::new(),
                hooks,
                queues,
            }),
            Err(error) => {
                tracing::warn!(%error, "Cannot read the hooks' last counters.");
                None
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is complete in itself, so a panic elsewhere spoils nothing.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
