//! Answers the local API: questions about the present go to the loop, those about the past to the
//! ledger and to the store of events.

use std::{convert::Infallible, sync::Arc};

use hostmedic_model::{
    anomaly::Anomaly,
    command::{Command, Operator, Proposal},
    incident::{Incident, IncidentId},
    playbook::Playbook,
    record::{Body, Record},
    view::{
        BaselineList, CoverageQuery, EventPage, EventQuery, HookCoverage, IncidentDetail, Probes,
        SeriesView, Status, Top,
    },
};
use hostmedic_reason::coverage::Account;
use hostmedic_retain::{
    events::Events,
    store::{Store, StoreError},
};
use hostmedic_serve::{CommandRefused, Daemon, DaemonError};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::vitals::Vitals;

/// A question to the loop.
pub(crate) enum Question {
    Status(oneshot::Sender<Status>),
    Incidents {
        all: bool,
        reply: oneshot::Sender<Vec<Incident>>,
    },
    Incident {
        id: IncidentId,
        reply: oneshot::Sender<(Option<Incident>, Option<Proposal>)>,
    },
    Playbooks(oneshot::Sender<Vec<Playbook>>),
    Baselines(oneshot::Sender<BaselineList>),
    Series {
        name: String,
        reply: oneshot::Sender<Option<SeriesView>>,
    },
    Anomalies {
        since_ms: Option<i64>,
        reply: oneshot::Sender<Vec<Anomaly>>,
    },
    Command {
        by: Operator,
        command: Command,
        reply: oneshot::Sender<Result<String, String>>,
    },
}

/// The daemon as the local API sees it.
pub(crate) struct Api {
    questions: mpsc::Sender<Question>,
    store: Store,
    /// `None` where events are not stored.
    events: Option<Events>,
    vitals: Arc<Vitals>,
    records: broadcast::Sender<Arc<Record>>,
}

/// Records that are looked at together on the way back through the chain.
const CHUNK: u64 = 256;

impl Api {
    pub(crate) fn new(
        questions: mpsc::Sender<Question>,
        store: Store,
        records: broadcast::Sender<Arc<Record>>,
        events: Option<Events>,
        vitals: Arc<Vitals>,
    ) -> Self {
        Self {
            questions,
            store,
            events,
            vitals,
            records,
        }
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, DaemonError> {
        let (reply, answer) = oneshot::channel();
        self.questions
            .try_send(question(reply))
            .map_err(|error| DaemonError::Unavailable {
                reason: error.to_string(),
            })?;
        answer.await.map_err(|_| DaemonError::Unavailable {
            reason: "it is stopping".to_owned(),
        })
    }

    /// Reads the ledger off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        what: &str,
        read: impl FnOnce(&Store) -> Result<T, String> + Send + 'static,
    ) -> Result<T, DaemonError> {
        let store = self.store.clone();
        blocking(what, move || read(&store)).await
    }
}

impl Daemon for Api {
    async fn status(&self) -> Result<Status, DaemonError> {
        self.ask(Question::Status).await
    }

    async fn incidents(&self, all: bool) -> Result<Vec<Incident>, DaemonError> {
        self.ask(|reply| Question::Incidents { all, reply }).await
    }

    async fn incident(&self, id: IncidentId) -> Result<Option<IncidentDetail>, DaemonError> {
        let (live, proposal) = self
            .ask(|reply| Question::Incident {
                id: id.clone(),
                reply,
            })
            .await?;
        let timeline = self
            .read("the incident's records", move |store| {
                store.incident(&id).map_err(|error| error.to_string())
            })
            .await?;
        // One that the loop has forgotten is still in the chain.
        let opened = timeline.iter().find_map(|record| match &record.body {
            Body::IncidentOpened(incident) => Some(incident.clone()),
            _ => None,
        });
        Ok(live.or(opened).map(|incident| IncidentDetail {
            incident,
            proposal,
            timeline,
        }))
    }

    async fn command(&self, by: Operator, command: Command) -> Result<String, CommandRefused> {
        let known = match &command {
            Command::Approve { incident, .. }
            | Command::Reject { incident, .. }
            | Command::Judge { incident, .. } => {
                let id = incident.clone();
                let (incident, _) = self.ask(|reply| Question::Incident { id, reply }).await?;
                incident.is_some()
            }
            _ => true,
        };
        let answer = self
            .ask(|reply| Question::Command {
                by,
                command: command.clone(),
                reply,
            })
            .await?;
        answer.map_err(|reason| match &command {
            Command::Approve { incident, .. }
            | Command::Reject { incident, .. }
            | Command::Judge { incident, .. }
                if !known =>
            {
                CommandRefused::Unknown {
                    what: format!("incident {incident}"),
                }
            }
            Command::LiftInhibit { id } => CommandRefused::Unknown {
                what: format!("inhibit {id}"),
            },
            _ => CommandRefused::Refused { reason },
        })
    }

    async fn records(&self, from_seq: u64, limit: u32) -> Result<Vec<Record>, DaemonError> {
        self.read("the audit records", move |store| {
            store
                .records(from_seq, limit as usize)
                .map_err(|error| error.to_string())
        })
        .await
    }

    fn watch(&self) -> broadcast::Receiver<Arc<Record>> {
        self.records.subscribe()
    }

    async fn playbooks(&self) -> Result<Vec<Playbook>, DaemonError> {
        self.ask(Question::Playbooks).await
    }

    async fn probes(&self) -> Result<Probes, DaemonError> {
        let vitals = Arc::clone(&self.vitals);
        blocking("the probes", move || Ok::<_, Infallible>(vitals.probes())).await
    }

    async fn top(&self) -> Result<Top, DaemonError> {
        let vitals = Arc::clone(&self.vitals);
        blocking("what happens now", move || {
            Ok::<_, Infallible>(vitals.top())
        })
        .await
    }

    async fn events(&self, query: EventQuery) -> Result<EventPage, DaemonError> {
        let Some(events) = self.events.clone() else {
            return Err(DaemonError::Unavailable {
                reason: "events are not stored".to_owned(),
            });
        };
        let (found, kept_since) = blocking("the events", move || {
            let found = events.query(&query)?;
            Ok::<_, hostmedic_retain::events::EventsError>((found, events.kept_since()?))
        })
        .await?;
        Ok(EventPage {
            events: found.events,
            next_after: found.next_after,
            kept_since,
            queues: self.ask(Question::Status).await?.queues,
        })
    }

    async fn coverage(&self, query: CoverageQuery) -> Result<Option<HookCoverage>, DaemonError> {
        let store = self.store.clone();
        blocking("the audit records", move || {
            let mut from = account_begin(&store, query.since_ms)?;
            let mut account = Account::new(query);
            loop {
                let records = store.records(from, CHUNK as usize)?;
                let Some(last) = records.last() else { break };
                from = last.seq + 1;
                records.iter().for_each(|record| account.take(record));
            }
            Ok::<_, StoreError>(account.finish())
        })
        .await
    }

    async fn baselines(&self) -> Result<BaselineList, DaemonError> {
        self.ask(Question::Baselines).await
    }

    async fn series(&self, name: String) -> Result<Option<SeriesView>, DaemonError> {
        self.ask(|reply| Question::Series { name, reply }).await
    }

    async fn anomalies(&self, since_ms: Option<i64>) -> Result<Vec<Anomaly>, DaemonError> {
        self.ask(|reply| Question::Anomalies { since_ms, reply })
            .await
    }
}

/// Where an account of the time from `since_ms` on must begin: at the newest start of the daemon
/// before it that has a row of the ledger after it and before `since_ms`.
fn account_begin(store: &Store, since_ms: i64) -> Result<u64, StoreError> {
    let mut end = store.tip().seq;
    let mut row = false;
    while end > 0 {
        let start = end.saturating_sub(CHUNK) + 1;
        for record in store
            .records(start, (end + 1 - start) as usize)?
            .iter()
            .rev()
        {
            let before = record.at.wall_ms < since_ms;
            match record.body {
                Body::Coverage(_) => row |= before,
                Body::Started(_) if row && before => return Ok(record.seq),
                _ => {}
            }
        }
        end = start - 1;
    }
    Ok(1)
}

/// Runs what waits for the disk off the async threads.
async fn blocking<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, DaemonError> {
    let unreadable = |reason: String| DaemonError::Unreadable {
        what: what.to_owned(),
        reason,
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| unreadable(error.to_string()))?
        .map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
