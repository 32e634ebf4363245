//! Opens what the loop needs beside the ledger: the capture layer and the link to the collector.

use std::sync::Arc;

use hostmedic_model::{
    time::At,
    view::{Budget, ReplicationStatus},
};
use hostmedic_retain::{
    bundle::Bundle,
    replicate::{self, Pace, Refusal, Replication},
    store::Store,
};
use tokio::sync::{mpsc, watch};

use crate::{
    config::Config,
    logs,
    sources::{self, Outlets},
    vitals::Vitals,
};

/// Begins to capture. `seen_until` is the last moment that the chain knows to be covered, and
/// whether the host was started anew since.
pub(super) fn capture(
    config: &Config,
    outlets: &Outlets,
    seen_until: Option<(At, bool)>,
) -> Arc<Vitals> {
    let budget = Budget {
        hook_ratio: config.capture.hook_budget_ratio,
        all_ratio: config.capture.all_budget_ratio,
    };
    let vitals = Arc::new(Vitals::new(
        budget,
        Arc::clone(&outlets.sink),
        outlets.attribution.clone(),
    ));
    let (probes, reports) = sources::start_probes(config, outlets);
    sources::start_host_signals(config, outlets, &reports);
    vitals.adopt(probes, reports, seen_until);
    vitals.watch_journal(logs::start(config, outlets));
    vitals
}

/// Begins to copy the chain to the collector, if there is one.
pub(super) fn replication(
    config: &Config,
    store: Store,
    hostname: &str,
) -> anyhow::Result<(watch::Receiver<ReplicationStatus>, mpsc::Receiver<Refusal>)> {
    let Some(collector) = &config.collector else {
        let (_, status) = watch::channel(ReplicationStatus::default());
        let (_, refusals) = mpsc::channel(1);
        return Ok((status, refusals));
    };
    let bundle = Bundle::load(&collector.bundle)?;
    let Replication {
        status, refusals, ..
    } = replicate::spawn(
        replicate::Config {
            bundle,
            hostname: hostname.to_owned(),
            pace: Pace::default(),
        },
        store,
    );
    Ok((status, refusals))
}
