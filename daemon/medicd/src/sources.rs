//! Brings everything that happens to the loop: kernel events, host signals, unit states, numbers.

use std::{collections::HashSet, sync::Arc};

use hostmedic_model::{
    loss::{Coverage, HookReport},
    sample::{Measure, Sample, Series},
    signal::{Fact, Signal},
    subject::Subject,
};
use hostmedic_observe::{
    bus::units::{BusStatus, UnitWatch, WatchCounters},
    host::{HostSignals, Sampler, SourceProblem, WatchOptions, clock, programs::Watched},
    kernel::{KernelEvent, Options, ProbeError, Probes},
    subject::Subjects,
};
use tokio::sync::{mpsc, watch};

use crate::{attribute::Attribution, config::Config, sink::EventSink, vitals::Vitals};

/// Events of each lane that may wait.
const RARE_MAX: usize = 256;
const HOT_MAX: usize = 4096;
/// Signals of the host's files that may wait.
const HOST_MAX: usize = 256;
/// States of units that may wait.
const UNITS_MAX: usize = 256;
/// Watched programs that run at once; beyond it their exits are left to the calendar's look.
const WATCHED_MAX: usize = 4096;

/// Hooks whose runs are a number of the host, too.
const COUNTED: [(&str, Measure); 3] = [
    ("process_exec", Measure::ExecPerS),
    ("packet_drop", Measure::PacketDropsPerS),
    ("tcp_retransmit", Measure::TcpRetransmitsPerS),
];

/// Where everything goes.
#[derive(Clone)]
pub(crate) struct Outlets {
    /// To the loop.
    pub(crate) signals: mpsc::Sender<Signal>,
    /// To the store of events and the live picture.
    pub(crate) sink: Arc<EventSink>,
    /// Whose it is.
    pub(crate) attribution: Attribution,
}

/// Loads the probes and begins to bring their events. The reports say what each hook gives.
pub(crate) fn start_probes(
    config: &Config,
    outlets: &Outlets,
) -> (Option<Probes>, Vec<HookReport>) {
    if !config.probes {
        tracing::warn!("The kernel probes are switched off by the configuration.");
        return (None, Vec::new());
    }
    let options = Options {
        disk_latency: config.capture.disk_latency,
        pin_dir: Some(config.capture.pin_dir.clone()),
        without: config.capture.without.clone(),
        ..Options::default()
    };
    match Probes::load(&options).and_then(|(mut probes, reports)| {
        if let Err(reason) = probes.pinned() {
            tracing::warn!(reason, "Counters will not survive a restart of the daemon.");
        }
        let (rare_in, rare_out) = mpsc::channel(RARE_MAX);
        let (hot_in, hot_out) = mpsc::channel(HOT_MAX);
        probes.start(rare_in, hot_in)?;
        tokio::spawn(bring_rare(rare_out, outlets.clone()));
        tokio::spawn(bring_hot(hot_out, config.clone(), outlets.clone()));
        Ok::<_, ProbeError>((probes, reports))
    }) {
        Ok((probes, reports)) => (Some(probes), reports),
        Err(error) => {
            // It still sees units, numbers and the calendar; `medic status` says what is missing.
            tracing::error!(%error, "Cannot capture kernel events.");
            (None, error.reports().to_vec())
        }
    }
}

async fn bring_rare(mut events: mpsc::Receiver<KernelEvent>, outlets: Outlets) {
    while let Some(event) = events.recv().await {
        let signal = outlets.attribution.signal(event);
        outlets.sink.keep(&signal);
        if outlets.signals.send(signal).await.is_err() {
            return;
        }
    }
}

/// Everyday events: all are kept, and only watched programs go on to the loop.
async fn bring_hot(mut events: mpsc::Receiver<KernelEvent>, config: Config, outlets: Outlets) {
    let watched = Watched {
        backup: &config.calendar.backup_programs,
        package: &config.calendar.package_programs,
    };
    let mut running: HashSet<(u32, u64)> = HashSet::new();
    while let Some(event) = events.recv().await {
        let tell = match (&event.fact, event.process()) {
            (Fact::ProcessExec(exec), Some(process)) => {
                if watched.purpose(&exec.comm).is_some() {
                    if running.len() < WATCHED_MAX {
                        running.insert(process);
                    }
                    true
                } else {
                    // A shell that becomes something else is no backup any more.
                    running.remove(&process)
                }
            }
            (Fact::ProcessExit(_), Some(process)) => running.remove(&process),
            _ => false,
        };
        let signal = outlets.attribution.signal(event);
        outlets.sink.keep(&signal);
        if tell && outlets.signals.send(signal).await.is_err() {
            return;
        }
    }
}

/// What comes by no ring is kept, and goes on to the loop.
async fn bring_other(mut heard: mpsc::Receiver<Signal>, outlets: Outlets) {
    while let Some(signal) = heard.recv().await {
        outlets.sink.keep_other(&signal);
        if outlets.signals.send(signal).await.is_err() {
            return;
        }
    }
}

/// Begins to bring what the host's own files tell: read-only mounts, pressure, counters, and errors
/// of file systems unless a hook (of these `reports`) tells them.
pub(crate) fn start_host_signals(config: &Config, outlets: &Outlets, reports: &[HookReport]) {
    let tells =
        |hook: &HookReport| hook.hook == "ext4_error" && hook.coverage == Coverage::Captured;
    let options = WatchOptions {
        has_fs_errors: !reports.iter().any(tells),
        ..WatchOptions::default()
    };
    let mut host = HostSignals::new(outlets.attribution.subjects.clone());
    let (queue, heard) = mpsc::channel(HOST_MAX);
    if let Err(error) = host.watch(options, queue) {
        tracing::error!(%error, "Cannot watch mounts and pressure.");
    }
    tokio::spawn(bring_other(heard, outlets.clone()));
    let (every, to) = (config.sample_every.0, outlets.clone());
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = Vec::new();
        loop {
            ticks.tick().await;
            let polled = tokio::task::spawn_blocking(move || {
                let found = host.poll(clock::now());
                (host, found)
            });
            let Ok((back, (signals, problems))) = polled.await else {
                tracing::error!("Reading the host's counters broke; none more until a restart.");
                return;
            };
            host = back;
            warn_once(&mut told, &problems, "Could not read a source of signals.");
            for signal in signals {
                to.sink.keep_other(&signal);
                if to.signals.send(signal).await.is_err() {
                    return;
                }
            }
        }
    });
}

/// Warns of problems when they are others than before. Names only: a number in the text would
/// make the same problem news each time.
fn warn_once(told: &mut Vec<String>, problems: &[SourceProblem], what: &str) {
    let names: Vec<_> = problems
        .iter()
        .map(|problem| problem.source.clone())
        .collect();
    if names != *told {
        for problem in problems {
            tracing::warn!(source = %problem.source, reason = %problem.reason, "{what}");
        }
        *told = names;
    }
}

/// Begins to bring unit states. They are kept, too: a replay decides as the loop did only if it knows
/// what became of units.
pub(crate) fn start_unit_watch(config: &Config, outlets: &Outlets) -> watch::Receiver<BusStatus> {
    let (status, seen) = watch::channel(BusStatus::Connecting);
    let (queue, heard) = mpsc::channel(UNITS_MAX);
    let watch = UnitWatch {
        address: config.bus_address.clone(),
        subjects: outlets.attribution.subjects.clone(),
        cgroup_below: config.cgroup_below.clone(),
        signals: queue,
        status,
        counters: Arc::new(WatchCounters::default()),
    };
    tokio::spawn(watch.run());
    tokio::spawn(bring_other(heard, outlets.clone()));
    seen
}

/// Begins to bring numbers, once per `sample_every`. One set may wait; while the loop is busy the
/// next is not taken, so a gap is a gap.
pub(crate) fn start_sampler(
    config: &Config,
    subjects: &Subjects,
    vitals: &Arc<Vitals>,
) -> mpsc::Receiver<Vec<Sample>> {
    let (samples, taken) = mpsc::channel(1);
    let mut sampler = Sampler::new(subjects.clone()).with_certificates(config.certificates.clone());
    let every = config.sample_every.0;
    let vitals = Arc::clone(vitals);
    tokio::spawn(async move {
        let mut problems_told = Vec::new();
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut counted = clock::now();
        let mut before = [None; COUNTED.len()];
        // The first tick comes at once and only gives the differences their beginning.
        loop {
            ticks.tick().await;
            let Ok(room) = samples.reserve().await else {
                return;
            };
            let at = clock::now();
            let sampled = tokio::task::spawn_blocking(move || {
                let taken = sampler.sample(at);
                (sampler, taken)
            });
            let Ok((back, (mut set, problems))) = sampled.await else {
                tracing::error!("Sampling the host broke; no more numbers until a restart.");
                return;
            };
            sampler = back;
            warn_once(&mut problems_told, &problems, "Could not take a number.");
            let elapsed_s = at.since(counted).as_secs_f64();
            counted = at;
            for ((hook, measure), before) in COUNTED.into_iter().zip(&mut before) {
                if let Some(seen) = vitals.seen_since(hook, before)
                    && elapsed_s > 0.5
                {
                    let series = Series {
                        subject: Subject::Host,
                        measure,
                    };
                    set.push(Sample {
                        at,
                        series,
                        value: seen as f64 / elapsed_s,
                    });
                }
            }
            room.send(set);
        }
    });
    taken
}
