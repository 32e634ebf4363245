//! Answers the local API: questions about the present go to the loop, those about the past to the
//! ledger.

use std::sync::Arc;

use hostmedic_model::{
    command::{Command, Operator, Proposal},
    incident::{Incident, IncidentId},
    playbook::Playbook,
    record::{Body, Record},
    view::{IncidentDetail, Status},
};
use hostmedic_retain::store::Store;
use hostmedic_serve::{CommandRefused, Daemon, DaemonError};
use tokio::sync::{broadcast, mpsc, oneshot};

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
    records: broadcast::Sender<Arc<Record>>,
}

impl Api {
    pub(crate) fn new(
        questions: mpsc::Sender<Question>,
        store: Store,
        records: broadcast::Sender<Arc<Record>>,
    ) -> Self {
        Self {
            questions,
            store,
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
        let unreadable = |reason: String| DaemonError::Unreadable {
            what: what.to_owned(),
            reason,
        };
        tokio::task::spawn_blocking(move || read(&store))
            .await
            .map_err(|error| unreadable(error.to_string()))?
            .map_err(unreadable)
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
            Command::Approve { incident, .. } | Command::Reject { incident, .. } => {
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
            Command::Approve { incident, .. } | Command::Reject { incident, .. } if !known => {
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
}
