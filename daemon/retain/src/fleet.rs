//! An operator's questions to the collector: `medic fleet ...` asks through this.

use hostmedic_model::wide;
use serde::Serialize;
use tonic::{Code, Status, transport::Channel};

use crate::{
    bundle::Bundle,
    channel::{self, ConnectError},
    keys::PublicKey,
    proto::{
        self, HostsRequest, IncidentsRequest, VerifyRequest, collector_client::CollectorClient,
        verify_progress,
    },
};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It knows no such host.
    #[error("{0}")]
    NotFound(String),
    /// The bundle's certificate is not an operator's, or was revoked.
    #[error("the collector refused us: {0}")]
    Forbidden(String),
    /// The collector refused or failed.
    #[error("the collector did not answer: {0}")]
    Refused(String),
    /// An answer that this version cannot read.
    #[error("cannot read the collector's answer: {0}")]
    Malformed(String),
}

impl From<Status> for FleetError {
    fn from(status: Status) -> Self {
        let message = status.message().to_owned();
        match status.code() {
            Code::NotFound => Self::NotFound(message),
            Code::PermissionDenied | Code::Unauthenticated => Self::Forbidden(message),
            code => Self::Refused(format!("{message} ({code:?})")),
        }
    }
}

/// A host as the collector knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetHost {
    /// Host id.
    pub host: String,
    /// Name in its certificate.
    pub name: String,
    /// What it calls itself.
    pub hostname: String,
    /// Its public key, hex.
    pub public_key: String,
    /// Newest record that is verified and stored; 0 when there is none.
    #[serde(with = "wide")]
    pub accepted_seq: u64,
    /// That record's hash, hex.
    pub accepted_hash: String,
    /// When it was accepted, Unix milliseconds.
    pub accepted_wall_ms: Option<i64>,
    /// Whether its link is up.
    pub connected: bool,
    /// Chains that were refused under its name.
    pub disputes: Vec<FleetDispute>,
}

/// A chain that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetDispute {
    /// `forked`, `truncated`, `other_key` or `invalid`.
    pub kind: String,
    /// The newest reason.
    pub reason: String,
    /// First time, Unix milliseconds.
    pub first_wall_ms: i64,
    /// Last time, Unix milliseconds.
    pub last_wall_ms: i64,
    /// How many times.
    #[serde(with = "wide")]
    pub times: u64,
}

/// An incident of the fleet, as its records say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetIncident {
    /// Host id.
    pub host: String,
    /// Name in the host's certificate.
    pub name: String,
    /// The incident's id.
    pub incident: String,
    /// What it is about.
    pub subject: String,
    /// What is wrong.
    pub title: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// `open`, `escalated`, `resolved` or `closed`.
    pub status: String,
    /// When it opened, Unix milliseconds.
    pub opened_wall_ms: i64,
    /// When it was over, Unix milliseconds.
    pub closed_wall_ms: Option<i64>,
    /// Why it was closed or escalated; empty while open.
    pub reason: String,
}

/// Which incidents to ask for.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// Host id or name; all hosts when `None`.
    pub host: Option<String>,
    /// Only those that are not over.
    pub open_only: bool,
    /// At most so many; 100 when 0.
    pub limit: u32,
}

/// What verification of the collector's copy found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetVerdict {
    /// Host id.
    pub host: String,
    /// Records verified.
    #[serde(with = "wide")]
    pub records: u64,
    /// Heads verified.
    #[serde(with = "wide")]
    pub heads: u64,
    /// Last verified record.
    #[serde(with = "wide")]
    pub last_seq: u64,
    /// Its hash, hex.
    pub last_hash: String,
    /// First bad record and why; `None` when the copy verifies.
    pub bad: Option<FleetBadRecord>,
}

/// The first bad record of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetBadRecord {
    /// Its number.
    #[serde(with = "wide")]
    pub seq: u64,
    /// What is wrong with it.
    pub why: String,
}

/// A connection as operator.
#[derive(Debug)]
pub struct Fleet(CollectorClient<Channel>);

impl Fleet {
    /// Connects with an operator's bundle.
    ///
    /// # Errors
    /// [`FleetError::Connect`].
    pub async fn connect(bundle: &Bundle) -> Result<Self, FleetError> {
        Ok(Self(channel::connect(bundle).await?))
    }

    /// Every host, by name.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn hosts(&mut self) -> Result<Vec<FleetHost>, FleetError> {
        let reply = self.0.hosts(HostsRequest {}).await?.into_inner();
        reply.hosts.into_iter().map(FleetHost::try_from).collect()
    }

    /// Incidents, newest first.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn incidents(
        &mut self,
        filter: IncidentFilter,
    ) -> Result<Vec<FleetIncident>, FleetError> {
        let IncidentFilter {
            host,
            open_only,
            limit,
        } = filter;
        let request = IncidentsRequest {
            host: host.unwrap_or_default(),
            open_only,
            limit,
        };
        let reply = self.0.incidents(request).await?.into_inner();
        Ok(reply
            .incidents
            .into_iter()
            .map(FleetIncident::from)
            .collect())
    }

    /// Has the collector verify its copy of one host (id or name) from the first record.
    /// `progress` is called with (records done, records in all).
    ///
    /// # Errors
    /// See [`FleetError`]. A bad record is no error but the verdict.
    pub async fn verify(
        &mut self,
        host: &str,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<FleetVerdict, FleetError> {
        let mut steps = self
            .0
            .verify(VerifyRequest {
                host: host.to_owned(),
            })
            .await?
            .into_inner();
        while let Some(message) = steps.message().await? {
            match message.message {
                Some(verify_progress::Message::Step(step)) => progress(step.done, step.total),
                Some(verify_progress::Message::Verdict(verdict)) => return Ok(verdict.into()),
                None => {}
            }
        }
        Err(FleetError::Malformed(
            "it ended without a verdict".to_owned(),
        ))
    }
}

impl TryFrom<proto::HostRow> for FleetHost {
    type Error = FleetError;

    fn try_from(row: proto::HostRow) -> Result<Self, FleetError> {
        let key = PublicKey::from_bytes(&row.public_key).map_err(FleetError::Malformed)?;
        Ok(Self {
            host: row.host,
            name: row.name,
            hostname: row.hostname,
            public_key: key.to_string(),
            accepted_seq: row.accepted_seq,
            accepted_hash: hex::encode(row.accepted_hash),
            accepted_wall_ms: (row.accepted_wall_ms != 0).then_some(row.accepted_wall_ms),
            connected: row.connected,
            disputes: row
                .disputes
                .into_iter()
                .map(|dispute| FleetDispute {
                    kind: dispute.kind,
                    reason: dispute.reason,
                    first_wall_ms: dispute.first_wall_ms,
                    last_wall_ms: dispute.last_wall_ms,
                    times: dispute.times,
                })
                .collect(),
        })
    }
}

impl From<proto::IncidentRow> for FleetIncident {
    fn from(row: proto::IncidentRow) -> Self {
        Self {
            host: row.host,
            name: row.name,
            incident: row.incident,
            subject: row.subject,
            title: row.title,
            severity: row.severity,
            status: row.status,
            opened_wall_ms: row.opened_wall_ms,
            closed_wall_ms: (row.closed_wall_ms != 0).then_some(row.closed_wall_ms),
            reason: row.reason,
        }
    }
}

impl From<proto::Verdict> for FleetVerdict {
    fn from(verdict: proto::Verdict) -> Self {
        let bad = FleetBadRecord {
            seq: verdict.bad_seq,
            why: verdict.bad_why,
        };
        Self {
            host: verdict.host,
            records: verdict.records,
            heads: verdict.heads,
            last_seq: verdict.last_seq,
            last_hash: hex::encode(verdict.last_hash),
            bad: (!bad.why.is_empty()).then_some(bad),
        }
    }
}
