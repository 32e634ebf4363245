//! `medic replay`: what happened, through the daemon's own state machine once more, without doing
//! anything.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use hostmedic_model::{
    playbook::Playbook,
    sample::Sample,
    signal::Signal,
    view::{EventPage, EventRow},
};
use hostmedic_reason::{
    playbook,
    policy::Policy,
    replay::{Happening, Replay, Said},
};
use serde::Deserialize;

use super::{
    capture::now_ms,
    playbook::files::{self, collect},
};
use crate::{
    cli::numbers::Replayed,
    client::{self, Client},
    exit::{Exit, Failed},
    out::Out,
    render::record,
};

/// Longest line of a file, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Events that the daemon gives at once, at most.
const EVENTS_PAGE: u32 = 1000;
/// What must not be read out of a replay.
const UNKNOWN: &str = "a replay knows no calendar, no inhibits and no numbers but those in its file: \
                       what was held back for a backup shows as what would have been done; \
                       `medic why ID` has what was decided";
/// How long the host of a replay goes on after the last event: everything is decided by then.
const AFTER: Duration = Duration::from_secs(120);

/// Every form that one line may have.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    /// As `medic events --json` prints it.
    Event(EventRow),
    Signal(Signal),
    Sample(Sample),
    /// All numbers of one moment.
    Samples {
        samples: Vec<Sample>,
    },
}

impl From<Line> for Happening {
    fn from(line: Line) -> Self {
        match line {
            Line::Event(row) => Self::Signal(row.signal),
            Line::Signal(signal) => Self::Signal(signal),
            Line::Sample(sample) => Self::Samples(vec![sample]),
            Line::Samples { samples } => Self::Samples(samples),
        }
    }
}

pub(crate) async fn run(client: &Client, out: &Out, wanted: &Replayed) -> Result<Exit, Failed> {
    let playbooks = match &wanted.library {
        Some(dir) => library(dir)?,
        None => client::read(client.get("/v1/playbooks").await?)?,
    };
    let mut replay = Replay::new(Policy::default(), playbooks);
    match &wanted.file {
        Some(file) if file == Path::new("-") => lines(out, &mut replay, io::stdin().lock())?,
        Some(file) => {
            let opened = File::open(file).map_err(|error| {
                Failed::new(
                    Exit::NotFound,
                    "not_found",
                    format!("{}: {error}", file.display()),
                    "`medic events --since 8h --json > FILE` writes such a file",
                )
            })?;
            lines(out, &mut replay, BufReader::new(opened))?;
        }
        None => {
            let since = wanted.since.map_or(0, |since| since.wall_ms(now_ms()));
            kept(client, out, &mut replay, since).await?;
        }
    }
    print(out, &replay.finish(AFTER))?;
    out.note(UNKNOWN);
    Ok(Exit::Ok)
}

fn lines(out: &Out, replay: &mut Replay, mut input: impl BufRead) -> Result<(), Failed> {
    let mut line = Vec::new();
    for number in 1_usize.. {
        let bad = |what: String| {
            let hint = "one event or sample a line, as `medic events --json` prints them";
            Failed::new(
                Exit::Usage,
                "bad_input",
                format!("line {number}: {what}"),
                hint,
            )
        };
        line.clear();
        let mut bounded = input.by_ref().take(LINE_BYTES_MAX as u64 + 1);
        let length = bounded
            .read_until(b'\n', &mut line)
            .map_err(|error| bad(error.to_string()))?;
        if length == 0 {
            break;
        }
        if length > LINE_BYTES_MAX {
            return Err(bad(format!("it is longer than {LINE_BYTES_MAX} bytes")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let happening: Line = serde_json::from_slice(&line)
            .map_err(|_| bad("it is neither an event nor a sample".to_owned()))?;
        print(out, &replay.take(happening.into()))?;
    }
    Ok(())
}

/// Everything that the daemon has kept since then, page by page.
async fn kept(client: &Client, out: &Out, replay: &mut Replay, since: i64) -> Result<(), Failed> {
    let mut after = 0;
    loop {
        let path = format!("/v1/events?after={after}&limit={EVENTS_PAGE}&since={since}");
        let page: EventPage = client::read(client.get(&path).await?)?;
        for row in page.events {
            print(out, &replay.take(Happening::Signal(row.signal)))?;
        }
        match page.next_after {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

fn print(out: &Out, said: &[Said]) -> Result<(), Failed> {
    for said in said {
        if out.json {
            out.line(&serde_json::json!({ "at": said.at, "body": said.body }))?;
        } else {
            out.text(&record::said(said.at, &said.body, out.style))?;
        }
    }
    Ok(())
}

fn library(dir: &Path) -> Result<Vec<Playbook>, Failed> {
    let paths = collect(&[dir.to_owned()])?;
    let read = |path: &PathBuf| {
        let file = files::read(path)?;
        playbook::parse(&file.name, &file.text).map_err(|error| {
            Failed::new(
                Exit::Finding,
                "bad_playbook",
                error.to_string(),
                "`medic playbook lint` shows where",
            )
        })
    };
    paths.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn every_form_of_a_line_is_read_and_a_bad_one_is_told_with_its_number() {
        let good = br#"{"at":{"boot_ns":"1","wall_ms":"1"},"series":{"subject":{"kind":"host"},"measure":"load_per_cpu"},"value":1.0}"#;
        serde_json::from_slice::<Line>(good).unwrap();
        let input: Vec<u8> = [&good[..], b"\n\n{\"x\": 1}\n"].concat();
        let mut replay = Replay::new(Policy::default(), Vec::new());
        let error = lines(&Out::new(true), &mut replay, &input[..]).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
