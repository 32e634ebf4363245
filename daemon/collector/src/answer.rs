//! How failures and refusals become answers.

use std::time::{SystemTime, UNIX_EPOCH};

use hostmedic_retain::replicate::REFUSAL_KEY;
use tonic::{Status, metadata::MetadataValue};

use crate::{
    enrolled::{Directory, Enrolled, Fingerprint},
    ingest::Refused,
    store::Store,
};

/// Whose certificate this is, as long as it counts.
pub(crate) fn find(directory: &Directory, fingerprint: &Fingerprint) -> Result<Enrolled, Status> {
    directory.find(fingerprint).map_err(|error| ours(&error))?.ok_or_else(|| {
        Status::permission_denied(
            "this certificate is not enrolled (any more); `medic-collector enrol` makes a new one",
        )
    })
}

/// Turns a refusal into an answer, and notes it if the host is at fault.
pub(crate) fn refuse(store: &Store, refused: Refused) -> Status {
    let (kind, host, reason, head) = match refused {
        Refused::Store(error) => return ours(&error),
        Refused::Host {
            kind,
            host,
            reason,
            head,
        } => (kind.to_string(), host, reason, head),
    };
    tracing::warn!(host, kind, reason, "Refused a chain.");
    // Nobody known so far has nothing that could be disputed.
    let noted = host.map_or(Ok(()), |host| {
        store.dispute(&host, &kind, &reason, head.map(|head| *head), now_wall_ms())
    });
    if let Err(error) = noted {
        tracing::error!(error = format!("{error:#}"), "Cannot note a dispute.");
    }
    let mut status = Status::failed_precondition(reason);
    if let Ok(kind) = MetadataValue::try_from(kind) {
        status.metadata_mut().insert(REFUSAL_KEY, kind);
    }
    status
}

/// Our own failure: the details are for our log.
pub(crate) fn ours(error: &anyhow::Error) -> Status {
    tracing::error!(error = format!("{error:#}"), "Cannot answer.");
    Status::internal("the collector failed; its log says why")
}

/// Runs what waits for the disk where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ours(&error.into()))
}

/// The wall clock, Unix milliseconds.
pub(crate) fn now_wall_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
