//! `GET /v1/watch`: every new record as a server-sent event, and how many a slow reader missed.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use hostmedic_model::{record::Record, view::Missed};
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

/// A comment this often tells both ends that the other is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Streams records until the daemon stops or the reader leaves.
pub(crate) fn stream(
    records: broadcast::Receiver<Arc<Record>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(records).filter_map(async |next| event(&next).map(Ok));
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// One event of the stream: `record` with the record's number as its id, or `missed`.
fn event(next: &Result<Arc<Record>, BroadcastStreamRecvError>) -> Option<Event> {
    let event = match next {
        Ok(record) => Event::default()
            .event("record")
            .id(record.seq.to_string())
            .json_data(&**record),
        Err(BroadcastStreamRecvError::Lagged(missed)) => Event::default()
            .event("missed")
            .json_data(Missed { missed: *missed }),
    };
    event
        .inspect_err(|error| tracing::error!(%error, "Could not write a record to a watcher."))
        .ok()
}
