//! The made-up daemon: answers from the story and takes commands, without a host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hostmedic_model::{
    anomaly::Anomaly,
    command::{Command, Inhibit, Operator},
    incident::{Incident, IncidentId},
    playbook::Playbook,
    record::{Body, CommandRecord, Record},
    signal::Signal,
    view::{
        BaselineList, CoverageQuery, EventPage, EventQuery, EventRow, HookCoverage, IncidentDetail,
        Probes, SeriesView, Status, Top,
    },
};
use tokio::sync::broadcast;

use super::story;
use crate::port::{CommandRefused, Daemon, DaemonError};

/// Records that a watcher may lag behind before it misses some.
const WATCH_LEN: usize = 8;

/// How the made-up daemon fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It says that it cannot answer now.
    Unavailable,
    /// It says that its store cannot be read.
    Unreadable,
    /// It never answers.
    Hangs,
}

/// A daemon that is made up.
#[derive(Debug)]
pub struct FakeDaemon {
    night: Mutex<Night>,
    watchers: broadcast::Sender<Arc<Record>>,
}

#[derive(Debug)]
struct Night {
    fault: Option<Fault>,
    status: Status,
    records: Vec<Record>,
    events: Vec<EventRow>,
}

impl Default for FakeDaemon {
    fn default() -> Self {
        Self {
            night: Mutex::new(Night {
                fault: None,
                status: story::status(),
                records: story::records(),
                events: story::events(),
            }),
            watchers: broadcast::channel(WATCH_LEN).0,
        }
    }
}

impl FakeDaemon {
    /// From now on every question fails this way; `None` ends it.
    pub fn fail(&self, fault: Option<Fault>) {
        self.night().fault = fault;
    }

    /// Changes what [`Daemon::status`] answers.
    pub fn set_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.night().status);
    }

    /// Appends a record and shows it to the watchers.
    pub fn append(&self, body: Body) {
        let mut night = self.night();
        let seq = night.records.last().map_or(1, |last| last.seq + 1);
        let record = story::record(seq, night.status.at, body);
        night.records.push(record.clone());
        // Nobody watching is no failure.
        let _ = self.watchers.send(Arc::new(record));
    }

    /// Stores an event.
    pub fn happen(&self, signal: Signal) {
        let mut night = self.night();
        let seq = night.events.last().map_or(1, |last| last.seq + 1);
        night.events.push(EventRow { seq, signal });
    }

    /// How many watch now.
    pub fn watchers(&self) -> usize {
        self.watchers.receiver_count()
    }

    /// The commands that came through, oldest first.
    pub fn commands(&self) -> Vec<CommandRecord> {
        let night = self.night();
        let commands = night
            .records
            .iter()
            .filter_map(|record| match &record.body {
                Body::Command(command) => Some(command.clone()),
                _ => None,
            });
        commands.collect()
    }

    fn night(&self) -> MutexGuard<'_, Night> {
        self.night.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails as it was told to.
    async fn ready(&self) -> Result<(), DaemonError> {
        let fault = self.night().fault;
        match fault {
            None => Ok(()),
            Some(Fault::Unavailable) => Err(DaemonError::Unavailable {
                reason: "the core's queue is full".to_owned(),
            }),
            Some(Fault::Unreadable) => Err(DaemonError::Unreadable {
                what: "the audit chain".to_owned(),
                reason: "Corruption: block checksum mismatch".to_owned(),
            }),
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }
}

impl Daemon for FakeDaemon {
    async fn status(&self) -> Result<Status, DaemonError> {
        self.ready().await?;
        Ok(self.night().status.clone())
    }

    async fn incidents(&self, all: bool) -> Result<Vec<Incident>, DaemonError> {
        self.ready().await?;
        let mut incidents = story::incidents();
        incidents.retain(|incident| all || !incident.status.is_over());
        Ok(incidents)
    }

    async fn incident(&self, id: IncidentId) -> Result<Option<IncidentDetail>, DaemonError> {
        self.ready().await?;
        let night = self.night();
        let found = story::incidents().into_iter().find(|kept| kept.id == id);
        Ok(found.map(|incident| IncidentDetail {
            incident,
            proposal: (night.status.proposals.iter().find(|p| p.incident == id)).cloned(),
            timeline: (night.records.iter())
                .filter(|record| record.body.incident().as_ref() == Some(&id))
                .cloned()
                .collect(),
        }))
    }

    async fn command(&self, by: Operator, command: Command) -> Result<String, CommandRefused> {
        self.ready().await?;
        let result = self.night().carry_out(&by, &command);
        self.append(Body::Command(CommandRecord {
            by,
            command,
            accepted: result.is_ok(),
            answer: match &result {
                Ok(answer) => answer.clone(),
                Err(refused) => refused.to_string(),
            },
        }));
        result
    }

    async fn records(&self, from_seq: u64, limit: u32) -> Result<Vec<Record>, DaemonError> {
        self.ready().await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let night = self.night();
        let wanted = night.records.iter().filter(|record| record.seq >= from_seq);
        Ok(wanted.take(limit).cloned().collect())
    }

    fn watch(&self) -> broadcast::Receiver<Arc<Record>> {
        self.watchers.subscribe()
    }

    async fn playbooks(&self) -> Result<Vec<Playbook>, DaemonError> {
        self.ready().await?;
        Ok(story::playbooks())
    }

    async fn probes(&self) -> Result<Probes, DaemonError> {
        self.ready().await?;
        Ok(story::probes())
    }

    async fn top(&self) -> Result<Top, DaemonError> {
        self.ready().await?;
        Ok(story::top())
    }

    async fn events(&self, query: EventQuery) -> Result<EventPage, DaemonError> {
        self.ready().await?;
        Ok(self.night().page(&query))
    }

    async fn coverage(&self, query: CoverageQuery) -> Result<Option<HookCoverage>, DaemonError> {
        self.ready().await?;
        Ok(story::coverage(&query))
    }

    async fn baselines(&self) -> Result<BaselineList, DaemonError> {
        self.ready().await?;
        Ok(story::baselines())
    }

    async fn series(&self, name: String) -> Result<Option<SeriesView>, DaemonError> {
        self.ready().await?;
        let series = story::series();
        Ok((series.baseline.series.to_string() == name).then_some(series))
    }

    async fn anomalies(&self, since_ms: Option<i64>) -> Result<Vec<Anomaly>, DaemonError> {
        self.ready().await?;
        let mut anomalies = story::series().anomalies;
        anomalies.retain(|anomaly| since_ms.is_none_or(|since_ms| anomaly.at.wall_ms >= since_ms));
        Ok(anomalies)
    }
}

impl Night {
    fn page(&self, query: &EventQuery) -> EventPage {
        let wanted = |row: &&EventRow| {
            let (signal, at_ms) = (&row.signal, row.signal.at.wall_ms);
            query.since_ms.is_none_or(|since_ms| at_ms >= since_ms)
                && query.until_ms.is_none_or(|until_ms| at_ms < until_ms)
                && query.after.is_none_or(|after| row.seq > after)
                && (query.subject.as_ref()).is_none_or(|subject| *subject == signal.subject)
                && (query.kinds.is_empty() || query.kinds.contains(&signal.fact.kind()))
        };
        let mut events: Vec<EventRow> = self.events.iter().filter(wanted).cloned().collect();
        let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let mut next_after = None;
        if query.after.is_none() {
            events.drain(..events.len().saturating_sub(limit));
        } else if events.len() > limit {
            events.truncate(limit);
            next_after = events.last().map(|last| last.seq);
        }
        EventPage {
            events,
            next_after,
            kept_since: self.events.first().map(|first| first.signal.at),
            queues: self.status.queues.clone(),
        }
    }

    fn carry_out(&mut self, by: &Operator, command: &Command) -> Result<String, CommandRefused> {
        match command {
            Command::Approve { incident, binding } => {
                let proposal = self.take_proposal(incident, binding.as_deref())?;
                Ok(format!("approved: {}", proposal.summary))
            }
            Command::Reject { incident, .. } => {
                self.take_proposal(incident, None)?;
                Ok(format!("rejected; {incident} is escalated"))
            }
            Command::Judge {
                incident,
                judgement,
                ..
            } => {
                let mut known = story::incidents().into_iter();
                if !known.any(|known| known.id == *incident) {
                    return Err(CommandRefused::Unknown {
                        what: format!("incident {incident}"),
                    });
                }
                Ok(format!("noted: {judgement:?}").to_lowercase())
            }
            Command::Inhibit { unit, span, reason } => {
                let id = self.status.inhibits.last().map_or(1, |last| last.id + 1);
                self.status.inhibits.push(Inhibit {
                    id,
                    unit: unit.clone(),
                    from: self.status.at,
                    span: *span,
                    reason: reason.clone(),
                    by: by.clone(),
                });
                Ok(format!("inhibit {id} holds for {span}"))
            }
            Command::LiftInhibit { id } => {
                let before = self.status.inhibits.len();
                self.status.inhibits.retain(|inhibit| inhibit.id != *id);
                if self.status.inhibits.len() == before {
                    return Err(CommandRefused::Unknown {
                        what: format!("inhibit {id}"),
                    });
                }
                Ok(format!("inhibit {id} is lifted"))
            }
            Command::Pause { reason } => {
                self.status.paused = Some(reason.clone());
                Ok("paused: nothing will be done until `medic resume`".to_owned())
            }
            Command::Resume => {
                if self.status.paused.take().is_none() {
                    return Err(CommandRefused::Refused {
                        reason: "hostmedic is not paused".to_owned(),
                    });
                }
                Ok("resumed".to_owned())
            }
        }
    }

    fn take_proposal(
        &mut self,
        incident: &IncidentId,
        binding: Option<&str>,
    ) -> Result<hostmedic_model::command::Proposal, CommandRefused> {
        let proposals = &mut self.status.proposals;
        let Some(index) = proposals.iter().position(|p| p.incident == *incident) else {
            return Err(CommandRefused::Unknown {
                what: format!("proposal of {incident}"),
            });
        };
        if binding.is_some_and(|binding| binding != proposals[index].binding) {
            return Err(CommandRefused::Refused {
                reason: "the proposal has changed since you saw it".to_owned(),
            });
        }
        Ok(proposals.remove(index))
    }
}
