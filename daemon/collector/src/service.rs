//! What hosts and operators can ask over gRPC.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use hostmedic_retain::{
    bundle::Role,
    proto::{
        Dispute, FromHost, Hello, HostRow, HostsReply, HostsRequest, IncidentsReply,
        IncidentsRequest, PROTOCOL_VERSION, Step, ToHost, Verdict, VerifyProgress, VerifyRequest,
        Welcome, collector_server::Collector, from_host, to_host, verify_progress,
    },
    verify::{VerifyError, verify},
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc, watch},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::server::{Connected, TlsConnectInfo},
};

use crate::{
    answer::{blocking, find, ours, refuse},
    enrolled::{Directory, Enrolled, Fingerprint},
    ingest,
    links::Links,
    session::Session,
    store::Store,
};

/// How long a host may take to say hello.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(20);
/// Answers that may wait for a slow host.
const ANSWERS_MAX: usize = 64;
/// Verifications at one time; each keeps a core busy.
const VERIFICATIONS_MAX: usize = 2;
/// Incidents in an answer, unless it is said how many.
const INCIDENTS_DEFAULT: u32 = 100;

/// What tonic knows about a connection.
type Peer = TlsConnectInfo<<TcpStream as Connected>::ConnectInfo>;

/// The service.
#[derive(Debug)]
pub(crate) struct Service {
    store: Arc<Store>,
    enrolled: Directory,
    links: Links,
    links_max: usize,
    verifications: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Service {
    pub(crate) fn new(
        store: Arc<Store>,
        enrolled: Directory,
        links_max: usize,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            store,
            enrolled,
            links: Links::default(),
            links_max,
            verifications: Arc::new(Semaphore::new(VERIFICATIONS_MAX)),
            stop,
        }
    }

    /// Who asks, from the certificate, and only if it may ask this.
    fn peer<T>(&self, request: &Request<T>, role: Role) -> Result<(Fingerprint, Enrolled), Status> {
        let certificates = request
            .extensions()
            .get::<Peer>()
            .and_then(Peer::peer_certs);
        let certificate = certificates
            .as_ref()
            .and_then(|chain| chain.first())
            .ok_or_else(|| Status::unauthenticated("no certificate was shown"))?;
        let fingerprint = Fingerprint::of(certificate);
        let enrolled = find(&self.enrolled, &fingerprint)?;
        if enrolled.role != role {
            return Err(Status::permission_denied(format!(
                "the certificate of {} is not for this",
                enrolled.name
            )));
        }
        Ok((fingerprint, enrolled))
    }

    /// Runs `ask` where it may wait for the disk.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        let store = Arc::clone(&self.store);
        blocking(move || ask(&store))
            .await?
            .map_err(|error| ours(&error))
    }
}

#[tonic::async_trait]
impl Collector for Service {
    type ReplicateStream = ReceiverStream<Result<ToHost, Status>>;

    async fn replicate(
        &self,
        request: Request<Streaming<FromHost>>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let (fingerprint, enrolled) = self.peer(&request, Role::Host)?;
        let mut up = request.into_inner();
        let hello = hello(&mut up).await?;
        let store = Arc::clone(&self.store);
        let name = enrolled.name.clone();
        let greeted = blocking(move || {
            ingest::greet(&store, &enrolled, hello).map_err(|refused| refuse(&store, refused))
        });
        let (guest, accepted) = greeted.await??;
        let link = self
            .links
            .join(&guest.id, self.links_max)
            .ok_or_else(|| Status::resource_exhausted("too many hosts are connected"))?;
        tracing::info!(name, host = guest.id, seq = accepted.seq, "Host connected.");
        let (down, answers) = mpsc::channel(ANSWERS_MAX);
        let welcome = Welcome {
            accepted_seq: accepted.seq,
            accepted_hash: accepted.hash.0.to_vec(),
        };
        // The channel is new and empty: this cannot fail.
        let _ = down.try_send(Ok(ToHost {
            message: Some(to_host::Message::Welcome(welcome)),
        }));
        let session = Session {
            store: Arc::clone(&self.store),
            enrolled: self.enrolled.clone(),
            fingerprint,
            guest,
            link,
            stop: self.stop.clone(),
        };
        tokio::spawn(session.run(up, down));
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn hosts(&self, request: Request<HostsRequest>) -> Result<Response<HostsReply>, Status> {
        self.peer(&request, Role::Operator)?;
        let links = self.links.clone();
        let mut hosts = self.ask(move |store| host_rows(store, &links)).await?;
        hosts.sort_by(|a, b| (&a.name, &a.host).cmp(&(&b.name, &b.host)));
        Ok(Response::new(HostsReply { hosts }))
    }

    async fn incidents(
        &self,
        request: Request<IncidentsRequest>,
    ) -> Result<Response<IncidentsReply>, Status> {
        self.peer(&request, Role::Operator)?;
        let IncidentsRequest {
            host,
            open_only,
            limit,
        } = request.into_inner();
        let limit = if limit == 0 { INCIDENTS_DEFAULT } else { limit };
        let found = self.ask(move |store| {
            let host = match host.as_str() {
                "" => None,
                asked => match store.find(asked)? {
                    Some(id) => Some(id),
                    None => return Ok(Err(unknown(asked))),
                },
            };
            store
                .incidents(host.as_deref(), open_only, limit as usize)
                .map(Ok)
        });
        let incidents = found.await??;
        Ok(Response::new(IncidentsReply { incidents }))
    }

    type VerifyStream = ReceiverStream<Result<VerifyProgress, Status>>;

    async fn verify(
        &self,
        request: Request<VerifyRequest>,
    ) -> Result<Response<Self::VerifyStream>, Status> {
        self.peer(&request, Role::Operator)?;
        let asked = request.into_inner().host;
        let permit = Arc::clone(&self.verifications)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("other verifications run; try again later"))?;
        let wanted = asked.clone();
        let found = self.ask(move |store| store.find(&wanted)).await?;
        let host = found.ok_or_else(|| unknown(&asked))?;
        let (steps, answers) = mpsc::channel(ANSWERS_MAX);
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let verdict = verdict(&store, &host, |done, total| {
                let step = verify_progress::Message::Step(Step { done, total });
                // A slow reader misses steps, not the verdict.
                let _ = steps.try_send(Ok(VerifyProgress {
                    message: Some(step),
                }));
            });
            let last = verdict
                .map(|verdict| VerifyProgress {
                    message: Some(verify_progress::Message::Verdict(verdict)),
                })
                .map_err(|error| ours(&error));
            // Nobody listens any more: then nobody wants to know.
            let _ = steps.blocking_send(last);
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

/// The first message of a link.
async fn hello(up: &mut Streaming<FromHost>) -> Result<Hello, Status> {
    let first = timeout(HELLO_WAIT_MAX, up.message())
        .await
        .map_err(|_| Status::deadline_exceeded("no hello"))??;
    match first {
        Some(FromHost {
            message: Some(from_host::Message::Hello(hello)),
        }) if hello.version == PROTOCOL_VERSION => Ok(hello),
        Some(FromHost {
            message: Some(from_host::Message::Hello(hello)),
        }) => Err(Status::unimplemented(format!(
            "the host speaks protocol version {}, this collector {PROTOCOL_VERSION}",
            hello.version
        ))),
        _ => Err(Status::invalid_argument("a link begins with hello")),
    }
}

fn host_rows(store: &Store, links: &Links) -> anyhow::Result<Vec<HostRow>> {
    let hosts = store.hosts()?.into_iter().map(|(id, host)| {
        let disputes = store
            .disputes(&id)?
            .into_iter()
            .map(|(kind, dispute)| Dispute {
                kind,
                reason: dispute.reason,
                first_wall_ms: dispute.first_wall_ms,
                last_wall_ms: dispute.last_wall_ms,
                times: dispute.times,
            });
        Ok(HostRow {
            name: host.name,
            hostname: host.hostname,
            public_key: hex::decode(&host.public_key).context("a host's key is malformed")?,
            accepted_seq: host.accepted.seq,
            accepted_hash: host.accepted.hash.0.to_vec(),
            accepted_wall_ms: host.accepted_wall_ms.unwrap_or(0),
            connected: links.has(&id),
            disputes: disputes.collect(),
            host: id,
        })
    });
    hosts.collect()
}

fn verdict(store: &Store, host: &str, progress: impl FnMut(u64, u64)) -> anyhow::Result<Verdict> {
    let mut copy = store.copy(host, true)?;
    match verify(&mut copy, None, progress) {
        Ok(verified) => Ok(Verdict {
            host: verified.host,
            records: verified.records,
            heads: verified.heads,
            last_seq: verified.last.seq,
            last_hash: verified.last.hash.0.to_vec(),
            ..Verdict::default()
        }),
        Err(VerifyError::BadRecord(bad)) => Ok(Verdict {
            host: host.to_owned(),
            last_seq: bad.seq.saturating_sub(1),
            bad_seq: bad.seq,
            bad_why: bad.why.to_string(),
            ..Verdict::default()
        }),
        Err(error) => Err(error.into()),
    }
}

fn unknown(host: &str) -> Status {
    Status::not_found(format!("there is no host `{host}`"))
}
