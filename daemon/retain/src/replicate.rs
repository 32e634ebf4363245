//! Replication: brings every record to the collector, in order, and loses none.
//!
//! The ledger is the queue: what the collector has not acknowledged is read from it again, so a
//! dead link, a dead collector or a dead daemon cost nothing but time. Nothing here can hold up
//! an append.

use std::{collections::VecDeque, time::Duration};

use hostmedic_model::view::ReplicationStatus;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::{
    bundle::Bundle,
    chain::{Hash, Link},
    channel,
    proto::{
        self, Append, Batch, FromHost, Hello, PROTOCOL_VERSION, ToHost, Welcome, from_host, to_host,
    },
    store::{Store, StoreError},
};

/// Metadata key under which the collector names the kind of a refusal.
pub const REFUSAL_KEY: &str = "hostmedic-refusal";

/// Bytes that may be on their way without an acknowledgement.
const WINDOW_BYTES: usize = 256 << 10;
/// Messages that may be on their way without an acknowledgement.
const WINDOW_MESSAGES: usize = 32;
/// Bytes of one message, unless a single batch is larger.
const MESSAGE_BYTES: usize = 64 << 10;
/// How long the collector may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// How replication is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach the collector.
    pub bundle: Bundle,
    /// What the host calls itself.
    pub hostname: String,
    /// How long to wait between tries.
    pub pace: Pace,
}

/// Waiting between tries: up to `first`, then up to twice that and so on until `longest`, each
/// time at random, so that a fleet does not come back all at once.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Longest wait after the first failure.
    pub first: Duration,
    /// Longest wait of all.
    pub longest: Duration,
    /// Longest wait after a refusal, which only people can end.
    pub refused: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(60),
            refused: Duration::from_secs(600),
        }
    }
}

/// The collector does not take our chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `forked`, `truncated`, `other_key`, `invalid` or `not_enrolled`.
    pub kind: String,
    /// What it said.
    pub reason: String,
}

/// Replication under way.
#[derive(Debug)]
pub struct Replication {
    /// How it stands.
    pub status: watch::Receiver<ReplicationStatus>,
    /// Refusals, to be put on record: each kind once, until the collector accepts again.
    pub refusals: mpsc::Receiver<Refusal>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Replication {
    /// Ends it; what is not acknowledged yet goes out at the next start.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "Replication ended badly.");
        }
    }
}

/// Starts replicating `store` on the current tokio runtime.
pub fn spawn(config: Config, store: Store) -> Replication {
    let (status, status_seen) = watch::channel(ReplicationStatus {
        collector: Some(config.bundle.collector.clone()),
        ..ReplicationStatus::default()
    });
    let (refusals, refusals_seen) = mpsc::channel(8);
    let (stop, mut stopped) = watch::channel(false);
    let mut link = LinkTask {
        config,
        store,
        status,
        refusals,
        told: Vec::new(),
        failures: 0,
    };
    let task = tokio::spawn(async move {
        let asked_to_stop = async {
            // Dropping the handle is not asking: replication then lasts as long as the runtime.
            if stopped.wait_for(|stopped| *stopped).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = link.run() => {}
            () = asked_to_stop => {}
        }
    });
    Replication {
        status: status_seen,
        refusals: refusals_seen,
        stop,
        task,
    }
}

/// Why a session ended.
enum End {
    /// Trying again may help.
    Lost(String),
    /// Only people can help.
    Refused(Refusal),
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        let kind = status
            .metadata()
            .get(REFUSAL_KEY)
            .and_then(|kind| kind.to_str().ok());
        let kind = match (kind, status.code()) {
            (Some(kind), _) => kind,
            (None, Code::PermissionDenied | Code::Unauthenticated) => "not_enrolled",
            (None, _) => return Self::Lost(channel::with_sources(&status)),
        };
        Self::Refused(Refusal {
            kind: kind.to_owned(),
            reason: status.message().to_owned(),
        })
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Lost(error.to_string())
    }
}

struct LinkTask {
    config: Config,
    store: Store,
    status: watch::Sender<ReplicationStatus>,
    refusals: mpsc::Sender<Refusal>,
    /// Kinds of refusal that were told already.
    told: Vec<String>,
    /// Failed tries in a row.
    failures: u32,
}

/// A message that is not acknowledged yet.
struct Sent {
    last: Link,
    bytes: usize,
}

impl LinkTask {
    async fn run(&mut self) {
        loop {
            let started = Instant::now();
            let Err(end) = self.session().await else {
                return;
            };
            if started.elapsed() > self.config.pace.longest {
                self.failures = 0;
            }
            let (reason, longest) = match end {
                End::Lost(reason) => {
                    let doubled = 2_u32.saturating_pow(self.failures.min(16));
                    let pace = self.config.pace;
                    (reason, pace.first.saturating_mul(doubled).min(pace.longest))
                }
                End::Refused(refusal) => {
                    let reason = format!("refused as {}: {}", refusal.kind, refusal.reason);
                    self.tell(refusal);
                    (reason, self.config.pace.refused)
                }
            };
            self.failures = self.failures.saturating_add(1);
            tracing::warn!(
                reason,
                failures = self.failures,
                "Collector does not have our newest records."
            );
            self.status.send_modify(|status| {
                status.connected = false;
                status.last_error = reason;
            });
            sleep(jitter(longest)).await;
        }
    }

    fn tell(&mut self, refusal: Refusal) {
        if !self.told.contains(&refusal.kind) {
            self.told.push(refusal.kind.clone());
            // Full only if nobody listens; the status still says it.
            let _ = self.refusals.try_send(refusal);
        }
    }

    /// One connection, from hello to its end. `Ok` when the ledger is gone.
    async fn session(&mut self) -> Result<(), End> {
        let mut client = channel::connect(&self.config.bundle)
            .await
            .map_err(|error| End::Lost(error.to_string()))?;
        let (up, outgoing) = mpsc::channel(WINDOW_MESSAGES + 1);
        send(&up, from_host::Message::Hello(self.hello().await?)).await?;
        let answer = timeout(
            ANSWER_WAIT_MAX,
            client.replicate(ReceiverStream::new(outgoing)),
        );
        let mut down = answer.await.map_err(|_| silent())??.into_inner();
        let first = timeout(ANSWER_WAIT_MAX, down.message())
            .await
            .map_err(|_| silent())??;
        let Some(ToHost {
            message: Some(to_host::Message::Welcome(welcome)),
        }) = first
        else {
            return Err(End::Lost(
                "the collector did not begin with a welcome".to_owned(),
            ));
        };
        self.stream(&welcome, &up, &mut down).await
    }

    /// Sends what is missing, and what comes.
    async fn stream(
        &mut self,
        welcome: &Welcome,
        up: &mpsc::Sender<FromHost>,
        down: &mut Streaming<ToHost>,
    ) -> Result<(), End> {
        let mut tips = self.store.subscribe();
        let mut sent_seq = welcome.accepted_seq;
        let mut under_way: VecDeque<Sent> = VecDeque::new();
        let mut deadline = Instant::now() + ANSWER_WAIT_MAX;
        self.accepted(sent_seq);
        tracing::info!(seq = sent_seq, "Collector goes on from here.");
        loop {
            let room = |sent: &VecDeque<Sent>| {
                sent.len() < WINDOW_MESSAGES
                    && sent.iter().map(|sent| sent.bytes).sum::<usize>() < WINDOW_BYTES
            };
            while room(&under_way) && sent_seq < tips.borrow_and_update().seq {
                let batches = self.read(sent_seq).await?;
                let Some(last) = batches.last().map(|batch| batch.head.link()) else {
                    break;
                };
                let bytes = batches
                    .iter()
                    .flat_map(|batch| &batch.records)
                    .map(Vec::len)
                    .sum();
                let batches = batches.into_iter().map(Batch::from).collect();
                send(up, from_host::Message::Append(Append { batches })).await?;
                if under_way.is_empty() {
                    deadline = Instant::now() + ANSWER_WAIT_MAX;
                }
                sent_seq = last.seq;
                under_way.push_back(Sent { last, bytes });
            }
            tokio::select! {
                answer = down.message() => match answer? {
                    Some(ToHost { message: Some(to_host::Message::Accepted(accepted)) }) => {
                        let hash = proto::hash(&accepted.hash).map_err(End::Lost)?;
                        acknowledge(&mut under_way, Link { seq: accepted.seq, hash })?;
                        deadline = Instant::now() + ANSWER_WAIT_MAX;
                        // Its welcome alone proves nothing: a refusal may follow.
                        self.told.clear();
                        self.failures = 0;
                        self.accepted(accepted.seq);
                    }
                    Some(_) => return Err(End::Lost("the collector sent no acknowledgement".to_owned())),
                    None => return Err(End::Lost("the collector ended the link".to_owned())),
                },
                changed = tips.changed(), if room(&under_way) => if changed.is_err() { return Ok(()) },
                () = sleep_until(deadline), if !under_way.is_empty() => return Err(silent()),
            }
        }
    }

    async fn hello(&self) -> Result<Hello, End> {
        let store = self.store.clone();
        let head = blocking(move || store.head()).await??;
        Ok(Hello {
            version: PROTOCOL_VERSION,
            hostname: self.config.hostname.clone(),
            public_key: self.store.public_key().to_bytes().to_vec(),
            head: head.as_ref().map(proto::Head::from),
        })
    }

    async fn read(&self, after_seq: u64) -> Result<Vec<crate::store::Batch>, End> {
        let store = self.store.clone();
        Ok(blocking(move || store.batches(after_seq, MESSAGE_BYTES)).await??)
    }

    fn accepted(&self, seq: u64) {
        self.status.send_modify(|status| {
            status.connected = true;
            status.acknowledged_seq = seq;
            status.last_error.clear();
        });
    }
}

/// Takes off what `accepted` covers, and holds its hash against ours.
fn acknowledge(under_way: &mut VecDeque<Sent>, accepted: Link) -> Result<(), End> {
    while let Some(first) = under_way.front()
        && first.last.seq <= accepted.seq
    {
        if first.last.seq == accepted.seq && first.last.hash != accepted.hash {
            return Err(mismatch(accepted.seq, first.last.hash, accepted.hash));
        }
        under_way.pop_front();
    }
    Ok(())
}

fn mismatch(seq: u64, ours: Hash, theirs: Hash) -> End {
    End::Refused(Refusal {
        kind: "forked".to_owned(),
        reason: format!("the collector's record {seq} is {theirs}, ours is {ours}"),
    })
}

fn silent() -> End {
    End::Lost(format!(
        "the collector did not answer within {ANSWER_WAIT_MAX:?}"
    ))
}

async fn send(up: &mpsc::Sender<FromHost>, message: from_host::Message) -> Result<(), End> {
    up.send(FromHost {
        message: Some(message),
    })
    .await
    .map_err(|_| End::Lost("the link closed".to_owned()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| End::Lost(format!("reading the ledger ended badly: {error}")))
}

/// A random wait of up to `longest`.
fn jitter(longest: Duration) -> Duration {
    let part = getrandom::u32().unwrap_or(u32::MAX / 2);
    longest.mul_f64(f64::from(part) / f64::from(u32::MAX))
}
