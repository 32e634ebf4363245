//! Puts the host at a glance together: `medic status`.

use hostmedic_model::{
    decision::PlaybookRef,
    view::{AuditStatus, Status},
};
use hostmedic_observe::host::clock;

use super::Driver;

impl Driver {
    pub(super) fn status(&self) -> Status {
        self.vitals.read();
        let (hooks, counters, queues, cost) = self.vitals.snapshot();
        let (failing, unwritten, dropped) = self.state.ledger_health();
        let tip = self.ledger.store().tip();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: self.hostname.clone(),
            host: self.ledger.store().host(),
            at: clock::now(),
            started_at: self.started_at,
            phase: self.state.policy().phase,
            paused: self.state.paused().map(ToOwned::to_owned),
            open_incidents: u32::try_from(self.state.incidents(false).len()).unwrap_or(u32::MAX),
            proposals: self.state.proposals(),
            holds: self.state.holds(),
            inhibits: self.state.inhibits().to_vec(),
            calendar: self.state.calendar().cloned(),
            playbooks: self
                .state
                .playbooks()
                .iter()
                .map(|playbook| PlaybookRef {
                    name: playbook.name.clone(),
                    version: playbook.version,
                    sha256: playbook.sha256.clone(),
                })
                .collect(),
            hooks,
            counters,
            queues,
            journal: self.vitals.journal(),
            baselines: self.state.baselines(),
            audit: AuditStatus {
                seq: tip.seq,
                head: tip.hash.to_string(),
                failing: failing.map(ToOwned::to_owned),
                unwritten,
                dropped,
            },
            replication: self.replication.borrow().clone(),
            language_model: self.state.language_model(),
            cost,
        }
    }
}
