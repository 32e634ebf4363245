//! Brings everything that happens to the loop: kernel events, unit states, numbers.

use std::{collections::HashSet, sync::Arc, time::Duration};

use hostmedic_model::{
    loss::HookReport,
    sample::{Measure, Sample, Series},
    signal::Signal,
    subject::Subject,
    time::At,
};
use hostmedic_observe::{
    bus::units::{BusStatus, UnitWatch, WatchCounters},
    host::{Sampler, clock, programs::Watched},
    kernel::{KernelEvent, Options, ProbeError, Probes},
    subject::Subjects,
};
use tokio::sync::{mpsc, watch};

use crate::{config::Config, vitals::Vitals};

/// Events of each lane that may wait.
const RARE_MAX: usize = 256;
const HOT_MAX: usize = 4096;
/// Watched programs that run at once; beyond it their exits are left to the calendar's look.
const WATCHED_MAX: usize = 4096;
/// Inode of the initial PID namespace (`PROC_PID_INIT_INO`, `include/linux/proc_ns.h`).
const PID_NS_INITIAL: &str = "pid:[4026531836]";

/// Loads the probes and begins to bring their events. The reports say what each hook gives.
pub(crate) fn start_probes(
    config: &Config,
    subjects: &Subjects,
    signals: &mpsc::Sender<Signal>,
    vitals: &Arc<Vitals>,
) -> (Option<Probes>, Vec<HookReport>) {
    if !config.probes {
        tracing::warn!("The kernel probes are switched off by the configuration.");
        return (None, Vec::new());
    }
    match Probes::load(&Options::default()).and_then(|(mut probes, reports)| {
        let (rare_in, rare_out) = mpsc::channel(RARE_MAX);
        let (hot_in, hot_out) = mpsc::channel(HOT_MAX);
        probes.start(rare_in, hot_in)?;
        tokio::spawn(bring_rare(rare_out, subjects.clone(), signals.clone()));
        tokio::spawn(bring_hot(
            hot_out,
            config.clone(),
            subjects.clone(),
            signals.clone(),
            Arc::clone(vitals),
        ));
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

/// A process id can be asked of /proc only where /proc shows the ids that the kernel's hooks see.
fn sees_kernel_pids() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|ns| ns.as_os_str() == PID_NS_INITIAL)
}

async fn bring_rare(
    mut events: mpsc::Receiver<KernelEvent>,
    subjects: Subjects,
    signals: mpsc::Sender<Signal>,
) {
    let kernel_pids = sees_kernel_pids();
    while let Some(event) = events.recv().await {
        if signals
            .send(attributed(event, &subjects, kernel_pids))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Everyday events: programs begun are counted, and only watched programs go on as signals.
async fn bring_hot(
    mut events: mpsc::Receiver<KernelEvent>,
    config: Config,
    subjects: Subjects,
    signals: mpsc::Sender<Signal>,
    vitals: Arc<Vitals>,
) {
    let watched = Watched {
        backup: &config.calendar.backup_programs,
        package: &config.calendar.package_programs,
    };
    let kernel_pids = sees_kernel_pids();
    let mut running: HashSet<(u32, u64)> = HashSet::new();
    while let Some(event) = events.recv().await {
        let key = (event.pid(), event.started_boot_ns());
        let tell = match &event {
            KernelEvent::ProcessExec { exec, .. } => {
                vitals.count_exec();
                if watched.purpose(&exec.comm).is_some() {
                    if running.len() < WATCHED_MAX {
                        running.insert(key);
                    }
                    true
                } else {
                    // A shell that becomes something else is no backup any more.
                    running.remove(&key)
                }
            }
            KernelEvent::ProcessExit { .. } => running.remove(&key),
            KernelEvent::OomVictim { .. } => true,
        };
        if tell
            && signals
                .send(attributed(event, &subjects, kernel_pids))
                .await
                .is_err()
        {
            return;
        }
    }
}

fn attributed(event: KernelEvent, subjects: &Subjects, kernel_pids: bool) -> Signal {
    let now = clock::now();
    let behind = Duration::from_nanos(now.boot_ns.saturating_sub(event.at_boot_ns()));
    // The hook knows the boot clock only; the wall clock is now's, less what has passed since.
    let behind_ms = i64::try_from(behind.as_millis()).unwrap_or(i64::MAX);
    let at = At {
        boot_ns: event.at_boot_ns(),
        wall_ms: now.wall_ms.saturating_sub(behind_ms),
    };
    let pid = kernel_pids.then_some(event.pid());
    let subject = subjects.of(event.cgroup_id(), pid, at);
    Signal {
        at,
        subject,
        fact: event.into_fact(),
    }
}

/// Begins to bring unit states.
pub(crate) fn start_unit_watch(
    config: &Config,
    subjects: &Subjects,
    signals: &mpsc::Sender<Signal>,
) -> watch::Receiver<BusStatus> {
    let (status, seen) = watch::channel(BusStatus::Connecting);
    let watch = UnitWatch {
        address: config.bus_address.clone(),
        subjects: subjects.clone(),
        cgroup_below: config.cgroup_below.clone(),
        signals: signals.clone(),
        status,
        counters: Arc::new(WatchCounters::default()),
    };
    tokio::spawn(watch.run());
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
    let mut sampler = Sampler::new(subjects.clone());
    let every = config.sample_every.0;
    let vitals = Arc::clone(vitals);
    tokio::spawn(async move {
        let mut problems_told = Vec::new();
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut counted = clock::now();
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
            // Names only: a number in the text would make the same problem news each time.
            let names: Vec<_> = problems
                .iter()
                .map(|problem| problem.source.clone())
                .collect();
            if names != problems_told {
                for problem in &problems {
                    tracing::warn!(source = %problem.source, reason = %problem.reason, "Could not take a number.");
                }
                problems_told = names;
            }
            let elapsed_s = at.since(counted).as_secs_f64();
            counted = at;
            let execs = vitals.take_execs();
            if elapsed_s > 0.5 {
                let series = Series {
                    subject: Subject::Host,
                    measure: Measure::ExecPerS,
                };
                set.push(Sample {
                    at,
                    series,
                    value: f64::from(execs) / elapsed_s,
                });
            }
            room.send(set);
        }
    });
    taken
}
