//! What hostmedic knows of its own capture: hooks, ledger and cost, for the API, for the budget and
//! for the audit chain's coverage rows.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hostmedic_model::{
    loss::{Blind, Coverage, HookCounters, HookMode, HookReport, QueueCounters},
    record::CoverageRow,
    time::At,
    view::{self, Budget, JournalStatus, ProbeRow, Top},
    wake::HookLoad,
};
use hostmedic_observe::{
    host::{CostMeter, clock},
    kernel::{Counted, Probes},
};

use tokio::sync::watch;

use crate::{attribute::Attribution, sink::EventSink};

/// Assumed for one run of a hook where the kernel does not let us time it: more than any hook took
/// where it could be timed (docs/benchmarks.md).
const RUN_NS_ASSUMED: u64 = 500;
/// Shortest window that rates are taken over.
const WINDOW_MIN: Duration = Duration::from_millis(500);

/// Everything measured of ourselves.
pub(crate) struct Vitals {
    inner: Mutex<Inner>,
    budget: Budget,
    sink: Arc<EventSink>,
    attribution: Attribution,
}

struct Inner {
    probes: Option<Probes>,
    reports: Vec<HookReport>,
    counters: Vec<HookCounters>,
    queues: QueueCounters,
    meter: CostMeter,
    cost: view::Cost,
    /// Why the kernel does not time the hooks.
    untimed: Option<String>,
    /// End of the newest row of the chain.
    row_from: At,
    covered_since: At,
    blind: Option<Blind>,
    window: Window,
    /// How following the journal goes.
    journal: Option<watch::Receiver<JournalStatus>>,
}

/// Runs of each hook over the newest window.
#[derive(Default)]
struct Window {
    at: At,
    over: Duration,
    seen: Vec<u64>,
    per_s: Vec<f64>,
}

impl Vitals {
    pub(crate) fn new(budget: Budget, sink: Arc<EventSink>, attribution: Attribution) -> Self {
        let now = clock::now();
        Self {
            inner: Mutex::new(Inner {
                probes: None,
                reports: Vec::new(),
                counters: Vec::new(),
                queues: QueueCounters::default(),
                meter: CostMeter::new(),
                cost: view::Cost::default(),
                untimed: None,
                row_from: now,
                covered_since: now,
                blind: None,
                window: Window::default(),
                journal: None,
            }),
            budget,
            sink,
            attribution,
        }
    }

    /// Takes the attached probes. `seen_until` is the last moment that the chain knows of.
    pub(crate) fn adopt(
        &self,
        probes: Option<Probes>,
        reports: Vec<HookReport>,
        seen_until: Option<(At, bool)>,
    ) {
        let mut inner = self.inner();
        let now = clock::now();
        inner.probes = probes;
        inner.reports = reports;
        inner.row_from = now;
        inner.covered_since = now;
        inner.blind = seen_until.map(|(from, rebooted)| Blind {
            from,
            to: now,
            rebooted,
        });
    }

    /// Takes where it is told how following the journal goes, if it is followed.
    pub(crate) fn watch_journal(&self, journal: Option<watch::Receiver<JournalStatus>>) {
        self.inner().journal = journal;
    }

    /// How following the journal goes; `None` where it is not followed.
    pub(crate) fn journal(&self) -> Option<JournalStatus> {
        let inner = self.inner();
        inner.journal.as_ref().map(|told| told.borrow().clone())
    }

    pub(crate) fn reports(&self) -> Vec<HookReport> {
        self.inner().reports.clone()
    }

    pub(crate) fn blind(&self) -> Option<Blind> {
        self.inner().blind
    }

    /// Runs of a hook since the last call with the same `before`; `None` the first time and while
    /// they are not counted.
    pub(crate) fn seen_since(&self, hook: &str, before: &mut Option<u64>) -> Option<u64> {
        let inner = self.inner();
        let counters = inner.counters.iter().find(|of| of.hook == hook);
        let seen = counters.map(|of| of.seen)?;
        let last = before.replace(seen)?;
        seen.checked_sub(last)
    }

    /// Reads the kernel's counters and our own cost. Blocks for microseconds.
    pub(crate) fn read(&self) -> CoverageRow {
        let mut inner = self.inner();
        inner.read();
        self.sink.count(&mut inner.queues);
        inner.row()
    }

    /// What [`Self::read`] gives, as a row for the chain; the next one begins where it ends.
    pub(crate) fn row(&self) -> CoverageRow {
        let row = self.read();
        let mut inner = self.inner();
        inner.row_from = row.to;
        if let Some(Err(error)) = inner.probes.as_mut().map(Probes::keep) {
            tracing::warn!(%error, "Cannot keep counters for the next start.");
        }
        row
    }

    /// Looks at what has been counted since the last look, and says what each hook takes. Blocks
    /// for some milliseconds when there are many keys.
    pub(crate) fn look(&self) -> Vec<HookLoad> {
        let (counted, over, loads) = {
            let mut inner = self.inner();
            let now = clock::now();
            let over = now.since(inner.window.at);
            if over < WINDOW_MIN {
                return Vec::new();
            }
            inner.read();
            inner.count_runs(now, over);
            let counted = match inner.probes.as_mut().map(Probes::tallies) {
                Some(Ok(counted)) => counted,
                Some(Err(error)) => {
                    tracing::warn!(%error, "Cannot read what the probes counted.");
                    Vec::new()
                }
                None => Vec::new(),
            };
            (counted, over, inner.loads())
        };
        self.take_counted(counted, over);
        loads
    }

    fn take_counted(&self, counted: Vec<Counted>, over: Duration) {
        let facts = self
            .sink
            .activity
            .take(counted, over, clock::now(), &self.attribution);
        for signal in facts {
            self.sink.keep_other(&signal);
        }
    }

    /// Makes a hook do less or more.
    pub(crate) fn set_mode(&self, hook: &str, mode: HookMode) {
        let result = self
            .inner()
            .probes
            .as_mut()
            .map(|probes| probes.set_mode(hook, mode));
        match result {
            Some(Ok(())) => tracing::warn!(hook, ?mode, "A hook changed how much it does."),
            Some(Err(error)) => tracing::error!(hook, %error, "Cannot change a hook's mode."),
            None => {}
        }
    }

    /// Attaches hooks whose module has come since.
    pub(crate) fn revisit(&self) {
        let mut inner = self.inner();
        let came = inner.probes.as_mut().map(Probes::revisit);
        for report in came.unwrap_or_default() {
            tracing::info!(
                hook = report.hook,
                "A hook's module was loaded; it is attached now."
            );
        }
        if let Some(reports) = inner
            .probes
            .as_ref()
            .map(|probes| probes.reports().to_vec())
        {
            inner.reports = reports;
        }
    }

    /// Times the hooks for a second. Costs two clock reads a run meanwhile, so it is rare.
    pub(crate) async fn time_hooks(&self) {
        let begun = match self.inner().probes.as_ref().map(Probes::cost_begin) {
            Some(Ok(begun)) => begun,
            Some(Err(error)) => return tracing::debug!(%error, "Cannot time the hooks."),
            None => return,
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut inner = self.inner();
        let Some(ended) = inner.probes.as_ref().map(|probes| probes.cost_end(begun)) else {
            return;
        };
        match ended {
            Ok(cost) => {
                inner.cost.kernel_map_bytes = cost.map_bytes;
                inner.untimed = cost.untimed;
                inner.cost.hook_ns = cost
                    .hooks
                    .iter()
                    .map(|hook| view::HookCost {
                        hook: hook.hook.clone(),
                        runs: hook.runs,
                        ns_per_run: hook.ns_per_run().unwrap_or(0),
                    })
                    .collect();
            }
            Err(error) => tracing::debug!(%error, "Cannot time the hooks."),
        }
    }

    pub(crate) fn snapshot(
        &self,
    ) -> (
        Vec<HookReport>,
        Vec<HookCounters>,
        QueueCounters,
        view::Cost,
    ) {
        let inner = self.inner();
        (
            inner.reports.clone(),
            inner.counters.clone(),
            inner.queues.clone(),
            inner.cost.clone(),
        )
    }

    /// Every hook with its account: `medic probes`.
    pub(crate) fn probes(&self) -> view::Probes {
        self.read();
        let inner = self.inner();
        let rows = inner.reports.iter().enumerate().map(|(at, report)| {
            let counters = inner.counters.get(at).cloned().unwrap_or_default();
            ProbeRow {
                mode: inner.mode(&report.hook),
                per_s: inner.window.per_s.get(at).copied().unwrap_or(0.0),
                run_ns: inner.run_ns(&report.hook),
                cpu_ratio: inner.cpu_ratio(at, &report.hook),
                report: report.clone(),
                counters,
            }
        });
        view::Probes {
            at: clock::now(),
            covered_since: inner.covered_since,
            blind: inner.blind,
            over_s: inner.window.over.as_secs_f64(),
            hooks: rows.collect(),
            queues: inner.queues.clone(),
            map_bytes: inner.cost.kernel_map_bytes,
            rss_bytes: inner.cost.rss_bytes,
            budget: self.budget,
            untimed: inner.untimed.clone(),
        }
    }

    /// What happens now: `medic top`. A look that is older than a second is taken anew.
    pub(crate) fn top(&self) -> Top {
        self.look();
        let devices_absent = {
            let inner = self.inner();
            inner
                .reports
                .iter()
                .find(|report| report.hook == "block_latency")
                .filter(|report| report.coverage == Coverage::Absent)
                .map(|report| report.reason.clone())
        };
        self.sink.activity.top(devices_absent, &self.attribution)
    }

    pub(crate) fn budget(&self) -> Budget {
        self.budget
    }

    /// Detaches the probes, lets the writer of events end and gives the last account; `None`
    /// without probes. Blocks for the disk.
    pub(crate) fn stop(&self) -> Option<CoverageRow> {
        let probes = self.inner().probes.take();
        let stopped = probes.map(Probes::stop);
        // Also without probes: a thread that still writes when the process ends would find the
        // database's own globals gone.
        self.sink.stop();
        match stopped? {
            Ok((hooks, queues)) => {
                let mut inner = self.inner();
                inner.counters = hooks;
                inner.queues = queues;
                self.sink.count(&mut inner.queues);
                Some(inner.row())
            }
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

impl Inner {
    fn read(&mut self) {
        let read = self.probes.as_ref().map(|probes| {
            (
                probes.counters(),
                probes.queue_counters(),
                probes.map_bytes(),
            )
        });
        if let Some((counters, queues, map_bytes)) = read {
            match counters {
                Ok(counters) => self.counters = counters,
                Err(error) => tracing::warn!(%error, "Cannot read the hooks' counters."),
            }
            self.queues = queues;
            match map_bytes {
                Ok(bytes) => self.cost.kernel_map_bytes = bytes,
                Err(error) => tracing::warn!(%error, "Cannot read the size of the hooks' maps."),
            }
        }
        match self.meter.own_cost() {
            Ok(own) => {
                self.cost.rss_bytes = own.rss_bytes;
                self.cost.cpu_ratio = own.cpu_ratio;
                self.cost.cpu_recent_ratio = own.cpu_recent_ratio;
            }
            Err(problem) => tracing::warn!(%problem, "Cannot read what hostmedic costs."),
        }
    }

    fn row(&self) -> CoverageRow {
        let modes = self.probes.as_ref().map(Probes::modes).unwrap_or_default();
        CoverageRow {
            from: self.row_from,
            to: clock::now(),
            reduced: modes
                .into_iter()
                .filter(|(_, mode)| *mode != HookMode::Stream)
                .map(|(hook, mode)| (hook.to_owned(), mode))
                .collect(),
            hooks: self.counters.clone(),
            queues: self.queues.clone(),
        }
    }

    fn count_runs(&mut self, now: At, over: Duration) {
        let seen: Vec<u64> = self.counters.iter().map(|of| of.seen).collect();
        let is_first = self.window.seen.len() != seen.len();
        let over_s = over.as_secs_f64();
        self.window.per_s = seen
            .iter()
            .enumerate()
            .map(|(at, seen)| {
                let before = self.window.seen.get(at).copied().unwrap_or(*seen);
                seen.saturating_sub(before) as f64 / over_s
            })
            .collect();
        self.window.over = if is_first { Duration::ZERO } else { over };
        self.window.at = now;
        self.window.seen = seen;
    }

    fn mode(&self, hook: &str) -> HookMode {
        let modes = self.probes.as_ref().map(Probes::modes).unwrap_or_default();
        modes
            .into_iter()
            .find(|(name, _)| *name == hook)
            .map_or(HookMode::Off, |(_, mode)| mode)
    }

    fn run_ns(&self, hook: &str) -> Option<u64> {
        let of = self.cost.hook_ns.iter().find(|of| of.hook == hook)?;
        (of.ns_per_run > 0).then_some(of.ns_per_run)
    }

    /// Share of one core over the newest window: runs, times what one took when last timed.
    fn cpu_ratio(&self, at: usize, hook: &str) -> f64 {
        let per_s = self.window.per_s.get(at).copied().unwrap_or(0.0);
        per_s * self.run_ns(hook).unwrap_or(RUN_NS_ASSUMED) as f64 / 1e9
    }

    fn loads(&self) -> Vec<HookLoad> {
        let Some(probes) = &self.probes else {
            return Vec::new();
        };
        let reducible = probes.reducible();
        probes
            .modes()
            .into_iter()
            .filter(|(hook, _)| reducible.contains(hook))
            .filter_map(|(hook, mode)| {
                let at = self.counters.iter().position(|of| of.hook == hook)?;
                Some(HookLoad {
                    hook: hook.to_owned(),
                    mode,
                    cpu_ratio: self.cpu_ratio(at, hook),
                })
            })
            .collect()
    }
}
