//! `medic watch`: each record as it comes, from the daemon's server-sent events.

use hostmedic_model::{record::Record, view::Missed};
use serde_json::Value;

use crate::{
    client::{self, Client},
    exit::{Exit, Failed},
    out::Out,
    render,
};

/// A line longer than this is no record of ours.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Prints records until the daemon stops or somebody presses Ctrl-C. As JSON, one a line.
pub(crate) async fn watch(client: &Client, out: &Out) -> Result<Exit, Failed> {
    let mut pieces = client.open("/v1/watch").await?;
    if !out.json {
        out.note("watching; end with Ctrl-C");
    }
    let mut events = Events::default();
    while let Some(bytes) = pieces.next().await {
        for event in events.feed(&bytes)? {
            print(out, &event)?;
        }
    }
    Err(Failed::new(
        Exit::Unreachable,
        "unreachable",
        "the daemon has ended the watch",
        "it stops or was stopped; see `systemctl status medicd`",
    ))
}

fn print(out: &Out, event: &Event) -> Result<(), Failed> {
    let value: Value = serde_json::from_str(&event.data)
        .map_err(|error| Failed::internal(format!("an event of the watch is not JSON: {error}")))?;
    if out.json {
        return out.line(&value);
    }
    match event.name.as_str() {
        "record" => {
            let record: Record = client::read(value)?;
            out.text(&render::record::line(&record, out.style))
        }
        "missed" => {
            let Missed { missed } = client::read(value)?;
            out.text(&format!(
                "      ({missed} records went by too fast; see `medic audit show`)\n"
            ))
        }
        // A newer daemon may have more kinds of events.
        _ => Ok(()),
    }
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    name: String,
    data: String,
}

/// Puts events together from bytes as they come. Of the event stream format (HTML standard,
/// section 9.2.6) it reads what our daemon writes: lines that end in LF.
#[derive(Debug, Default)]
struct Events {
    line: Vec<u8>,
    event: Event,
}

impl Events {
    /// The events that `bytes` completes.
    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Failed> {
        let mut complete = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > LINE_BYTES_MAX {
                    return Err(Failed::internal("the watch sent a line without end"));
                }
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    complete.push(event);
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event.name),
                "data" => {
                    if !self.event.data.is_empty() {
                        self.event.data.push('\n');
                    }
                    self.event.data += value;
                }
                // A comment (which keeps the connection alive), an id, or nothing we know.
                _ => {}
            }
        }
        Ok(complete)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_survive_any_cut() {
        let text =
            "event: record\nid: 7\ndata: {\"a\":1}\n\n:\n\nevent:missed\ndata: x\ndata: é\n\n";
        let expected = [event("record", "{\"a\":1}"), event("missed", "x\né")];
        for cut in 0..text.len() {
            let (before, after) = text.as_bytes().split_at(cut);
            let mut events = Events::default();
            let mut got = events.feed(before).unwrap();
            got.extend(events.feed(after).unwrap());
            assert_eq!(got, expected, "cut at {cut}");
        }
    }

    #[test]
    fn endless_line_is_an_error() {
        let mut events = Events::default();
        assert!(events.feed(&vec![b'x'; LINE_BYTES_MAX + 1]).is_err());
    }
}
