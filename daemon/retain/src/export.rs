//! A chain as one file: JSON Lines, the same bytes every time, verifiable by anybody.
//!
//! First a header, then every record exactly as it is stored, each batch followed by its head:
//!
//! ```text
//! {"export":{"end":{..},"format":1,"host":"..","public_key":"..","start":{..}}}
//! {"at":{..},"body":{..},"boot":"..","host":"..","prev":"..","seq":1,"version":1}
//! {"head":{"at_wall_ms":..,"from_seq":1,"hash":"..","host":"..","seq":1,"signature":".."}}
//! ```

use std::io::{BufRead, Read as _, Write};

use serde::{Deserialize, Serialize};

use crate::{
    canonical::{self, RECORD_BYTES_MAX},
    chain::Link,
    keys::PublicKey,
    verify::{ChainSource, Entry, SourceError},
};

/// Version of the file's form.
const FORMAT: u32 = 1;

/// Longest line: a record, or a head, and the line feed.
const LINE_BYTES_MAX: u64 = RECORD_BYTES_MAX as u64 + 1;

const HEAD_PREFIX: &[u8] = b"{\"head\":";

/// First line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    export: Header,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    host: String,
    public_key: String,
    start: Link,
    end: Link,
}

/// Writes the chain in `source` to `out`; returns the number of records.
///
/// # Errors
/// When `source` cannot be read or `out` cannot be written. What was written is then incomplete,
/// which verification finds.
pub fn write(source: &mut impl ChainSource, out: &mut impl Write) -> Result<u64, SourceError> {
    let key = source.public_key();
    let header = HeaderLine {
        export: Header {
            format: FORMAT,
            host: key.host_id(),
            public_key: key.to_string(),
            start: source.start(),
            end: source.end(),
        },
    };
    let header = canonical::encode_value(&header).map_err(|error| failed(&error))?;
    let mut line = |parts: [&[u8]; 3]| -> Result<(), SourceError> {
        for part in parts.into_iter().chain([&b"\n"[..]]) {
            out.write_all(part).map_err(|error| failed(&error))?;
        }
        Ok(())
    };
    line([&header, b"", b""])?;
    let mut records = 0;
    while let Some(entry) = source.next()? {
        match entry {
            Entry::Record(bytes) => {
                line([&bytes, b"", b""])?;
                records += 1;
            }
            Entry::Head(bytes) => line([HEAD_PREFIX, &bytes, b"}"])?,
        }
    }
    out.flush().map_err(|error| failed(&error))?;
    Ok(records)
}

/// An export file being read.
#[derive(Debug)]
pub struct Export<R> {
    lines: R,
    key: PublicKey,
    start: Link,
    end: Link,
}

impl<R: BufRead> Export<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is no header of an export that this hostmedic knows.
    pub fn open(mut lines: R) -> Result<Self, SourceError> {
        let not_ours = |why: String| SourceError {
            place: "the export's header".to_owned(),
            why,
        };
        let line =
            read_line(&mut lines)?.ok_or_else(|| not_ours("the file is empty".to_owned()))?;
        let HeaderLine { export: header } =
            canonical::from_canonical(&line).map_err(|error| not_ours(error.to_string()))?;
        if header.format != FORMAT {
            return Err(not_ours(format!(
                "format {} is unknown, this hostmedic reads {FORMAT}",
                header.format
            )));
        }
        let key: PublicKey = header.public_key.parse().map_err(not_ours)?;
        if key.to_string() != header.public_key || key.host_id() != header.host {
            return Err(not_ours(format!(
                "the public key belongs to host {}, not {}",
                key.host_id(),
                header.host
            )));
        }
        Ok(Self {
            lines,
            key,
            start: header.start,
            end: header.end,
        })
    }
}

impl<R: BufRead> ChainSource for Export<R> {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn start(&self) -> Link {
        self.start
    }

    fn end(&self) -> Link {
        self.end
    }

    fn next(&mut self) -> Result<Option<Entry>, SourceError> {
        let Some(line) = read_line(&mut self.lines)? else {
            return Ok(None);
        };
        let head = line
            .strip_prefix(HEAD_PREFIX)
            .and_then(|rest| rest.strip_suffix(b"}"));
        Ok(Some(match head {
            Some(head) => Entry::Head(head.to_vec()),
            None => Entry::Record(line),
        }))
    }
}

/// One line without its line feed; a last line without one counts as cut off and is left as it
/// is with a zero byte, so that no reader takes it for whole.
fn read_line(lines: &mut impl BufRead) -> Result<Option<Vec<u8>>, SourceError> {
    let mut line = Vec::new();
    lines
        .take(LINE_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .map_err(|error| failed(&error))?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(last) => {
            line.extend([last, 0]);
            Ok(Some(line))
        }
    }
}

fn failed(error: &dyn std::error::Error) -> SourceError {
    SourceError {
        place: "the export".to_owned(),
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
