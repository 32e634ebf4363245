//! The port to the daemon: all that the local API may ask of it. Real: `medicd`; fake:
//! `testing.rs`.

use std::{future::Future, sync::Arc};

use hostmedic_model::{
    anomaly::Anomaly,
    command::{Command, Operator},
    incident::{Incident, IncidentId},
    playbook::Playbook,
    record::Record,
    view::{
        BaselineList, CoverageQuery, EventPage, EventQuery, HookCoverage, IncidentDetail, Probes,
        SeriesView, Status, Top,
    },
};
use tokio::sync::broadcast;

/// What the local API asks of the running daemon.
///
/// Every question must be answered in bounded time: the API gives up after
/// [`crate::Limits::request_max`] and says so.
pub trait Daemon: Send + Sync + 'static {
    /// The host at a glance.
    fn status(&self) -> impl Future<Output = Result<Status, DaemonError>> + Send;

    /// Incidents, newest first: those that are not over or, with `all`, every one still kept.
    fn incidents(
        &self,
        all: bool,
    ) -> impl Future<Output = Result<Vec<Incident>, DaemonError>> + Send;

    /// One incident with its records; `None` when there is no such incident.
    fn incident(
        &self,
        id: IncidentId,
    ) -> impl Future<Output = Result<Option<IncidentDetail>, DaemonError>> + Send;

    /// Carries a command out, and returns once it is recorded.
    ///
    /// # Errors
    /// [`CommandRefused`] tells an unknown thing from a "no" and from a daemon that cannot answer.
    fn command(
        &self,
        by: Operator,
        command: Command,
    ) -> impl Future<Output = Result<String, CommandRefused>> + Send;

    /// At most `limit` audit records from `from_seq` on, in chain order.
    fn records(
        &self,
        from_seq: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Record>, DaemonError>> + Send;

    /// Every record from now on, once it is durable. Bounded: a receiver that lags is told how
    /// many it missed.
    fn watch(&self) -> broadcast::Receiver<Arc<Record>>;

    /// Playbooks in force.
    fn playbooks(&self) -> impl Future<Output = Result<Vec<Playbook>, DaemonError>> + Send;

    /// Every hook with its account.
    fn probes(&self) -> impl Future<Output = Result<Probes, DaemonError>> + Send;

    /// What happens now.
    fn top(&self) -> impl Future<Output = Result<Top, DaemonError>> + Send;

    /// Events that are kept.
    fn events(
        &self,
        query: EventQuery,
    ) -> impl Future<Output = Result<EventPage, DaemonError>> + Send;

    /// What the audit chain proves about one hook; `None` when it knows no such hook.
    fn coverage(
        &self,
        query: CoverageQuery,
    ) -> impl Future<Output = Result<Option<HookCoverage>, DaemonError>> + Send;

    /// What is normal, for every series.
    fn baselines(&self) -> impl Future<Output = Result<BaselineList, DaemonError>> + Send;

    /// One series by its name as [`Self::baselines`] shows it; `None` when there is none.
    fn series(
        &self,
        name: String,
    ) -> impl Future<Output = Result<Option<SeriesView>, DaemonError>> + Send;

    /// Anomalies that are kept, oldest first.
    fn anomalies(
        &self,
        since_ms: Option<i64>,
    ) -> impl Future<Output = Result<Vec<Anomaly>, DaemonError>> + Send;
}

/// Why the daemon could not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// It starts, stops, or its queue is full; the same question may be answered soon.
    #[error("the daemon cannot answer now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The store could not be read.
    #[error("cannot read {what}: {reason}")]
    Unreadable {
        /// What should have been read.
        what: String,
        /// What the store said.
        reason: String,
    },
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandRefused {
    /// The thing it names does not exist.
    #[error("there is no {what}")]
    Unknown {
        /// The thing, with its name.
        what: String,
    },
    /// The daemon said no: an expired proposal, a binding that is not the newest, ...
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The daemon could not answer; the command was not recorded.
    #[error(transparent)]
    Unanswered(#[from] DaemonError),
}
