//! Looks at the capture layer itself, beside the loop: what was counted, what it costs, which
//! modules have come.

use std::{sync::Arc, time::Duration};

use hostmedic_model::wake::HookLoad;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, interval_at},
};

use crate::vitals::Vitals;

/// What the probes counted is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Hooks whose module was not there are tried again this often.
const MODULES_EVERY: Duration = Duration::from_secs(60);
/// The hooks are timed this often, for a second.
const TIMING_EVERY: Duration = Duration::from_secs(60);

/// Begins to look. What each hook takes comes to the loop, which decides; while it is busy a look
/// is left out.
pub(super) fn start(vitals: &Arc<Vitals>) -> mpsc::Receiver<Vec<HookLoad>> {
    let (loads_in, loads) = mpsc::channel(1);
    let timed = Arc::clone(vitals);
    tokio::spawn(async move {
        let mut timing = interval(TIMING_EVERY);
        loop {
            timing.tick().await;
            timed.time_hooks().await;
        }
    });
    let vitals = Arc::clone(vitals);
    tokio::spawn(async move {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut modules = interval_at(Instant::now() + MODULES_EVERY, MODULES_EVERY);
        loop {
            let vitals = Arc::clone(&vitals);
            // Both read maps and files, which may block.
            let looked = tokio::select! {
                _ = look.tick() => tokio::task::spawn_blocking(move || vitals.look()).await,
                _ = modules.tick() => tokio::task::spawn_blocking(move || {
                    vitals.revisit();
                    Vec::new()
                }).await,
            };
            match looked {
                Ok(loads) if loads.is_empty() => {}
                Ok(loads) => _ = loads_in.try_send(loads),
                Err(error) => tracing::error!(%error, "A look at the probes broke off."),
            }
            if loads_in.is_closed() {
                return;
            }
        }
    });
    loads
}
