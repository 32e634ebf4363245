//! The systemd journal from now on: lines at `warning` and worse, as `journalctl` gives them.
//!
//! journalctl reads the files, because their format has several versions and compressions. It is
//! started again when it ends, later each time; what is written in between is not read. Lines that
//! are longer than any entry should be are left out and told. With a quiet journal nothing here
//! runs: journalctl sleeps until a file changes, and we until it writes.

mod files;

use std::{io, path::PathBuf, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::{Instant, sleep_until},
};

use crate::host::SourceProblem;

/// The longest line that is read. Fields of more than 4096 bytes are left out by journalctl itself,
/// and bytes that are no UTF-8 take up to five letters each.
const LINE_BYTES_MAX: usize = 32 * 1024;
/// What journalctl may say of itself.
const SAID_BYTES_MAX: usize = 512;
/// Pause before the first new start, and the longest one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Who ran for so long had begun well.
const RAN_WELL: Duration = Duration::from_secs(60);

/// What to follow.
#[derive(Clone, Debug)]
pub struct Options {
    /// Journal to read instead of the host's own, as `journalctl --directory` takes it.
    pub directory: Option<PathBuf>,
    /// Fields to ask for, as `--output-fields` takes them.
    pub fields: &'static str,
}

/// Follows the journal.
#[derive(Debug)]
pub struct Journal {
    options: Options,
    program: &'static str,
    running: Option<Running>,
    /// When it is started again, if it does not run.
    start_at: Instant,
    pause: Duration,
    line: Line,
    said: Line,
    /// Whether `line` was given and is to be forgotten.
    is_given: bool,
}

#[derive(Debug)]
struct Running {
    // Dropped, it is killed.
    child: Child,
    out: BufReader<ChildStdout>,
    err: Option<BufReader<ChildStderr>>,
    since: Instant,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// journalctl was started: what is written from about now on comes.
    Started,
    /// An entry, one JSON object.
    Line(&'a [u8]),
    /// A line was left out, because it is longer than any entry should be.
    TooLong,
    /// The journal cannot be followed now. It is tried again.
    Problem(SourceProblem),
}

impl Journal {
    /// Nothing is started before [`Self::next`] is asked.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            program: "journalctl",
            running: None,
            start_at: Instant::now(),
            pause: PAUSE_MIN,
            line: Line::new(LINE_BYTES_MAX),
            said: Line::new(SAID_BYTES_MAX),
            is_given: false,
        }
    }

    /// Whether journalctl runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Waits for what comes next. May be dropped while it waits: nothing is lost then.
    pub async fn next(&mut self) -> Heard<'_> {
        if std::mem::take(&mut self.is_given) {
            self.line.clear();
        }
        loop {
            let Some(running) = &mut self.running else {
                sleep_until(self.start_at).await;
                match self.start() {
                    Ok(running) => {
                        self.running = Some(running);
                        return Heard::Started;
                    }
                    Err(reason) => return Heard::Problem(self.ended(reason)),
                }
            };
            let ended = tokio::select! {
                biased;
                read = self.line.read(&mut running.out) => read,
                read = self.said.read_some(running.err.as_mut()) => {
                    if !matches!(read, Ok(Read::Whole | Read::TooLong)) {
                        // What it has to say of itself is not worth an end.
                        running.err = None;
                    }
                    continue;
                }
            };
            match ended {
                Ok(Read::Whole) => {
                    self.is_given = true;
                    return Heard::Line(&self.line.bytes);
                }
                Ok(Read::TooLong) => {
                    self.line.clear();
                    return Heard::TooLong;
                }
                Ok(Read::End) => {
                    let reason = self.last_words().await;
                    return Heard::Problem(self.ended(reason));
                }
                Err(error) => {
                    return Heard::Problem(self.ended(format!("cannot read from it: {error}")));
                }
            }
        }
    }

    fn start(&self) -> Result<Running, String> {
        files::look(self.options.directory.as_deref())?;
        let mut command = Command::new(self.program);
        command.args(["--follow", "--lines=0", "--priority=warning"]);
        command.args(["--output=json", "--no-pager", "--quiet"]);
        command.arg(format!("--output-fields={}", self.options.fields));
        if let Some(directory) = &self.options.directory {
            command.arg("--directory").arg(directory);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot run journalctl: {error}; is systemd installed?"))?;
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err("journalctl has no output".to_owned());
        };
        Ok(Running {
            child,
            out: BufReader::with_capacity(LINE_BYTES_MAX, out),
            err: Some(BufReader::new(err)),
            since: Instant::now(),
        })
    }

    /// Why it ended: its status, and what it said of itself.
    async fn last_words(&mut self) -> String {
        let Some(running) = &mut self.running else {
            return "it does not run".to_owned();
        };
        // It closed its output, so it ends; if not, it is killed when it is dropped.
        let wait = tokio::time::timeout(PAUSE_MIN, running.child.wait());
        let ended = wait.await;
        // What it said just before may still be on its way. A child of its own may hold the other
        // end open for ever.
        let rest = async {
            let is_more = |read| matches!(read, Ok(Read::Whole | Read::TooLong));
            while is_more(self.said.read_some(running.err.as_mut()).await) {}
        };
        // Without an end the last line is what there is.
        let _ = tokio::time::timeout(PAUSE_MIN, rest).await;
        let mut reason = match ended {
            Ok(Ok(status)) => format!("journalctl ended with {status}"),
            _ => "journalctl closed its output".to_owned(),
        };
        let said = String::from_utf8_lossy(&self.said.bytes);
        if !said.trim().is_empty() {
            reason += ": ";
            reason += said.trim();
        }
        reason
    }

    /// Notes that it does not run, and when it is to be started again.
    fn ended(&mut self, reason: String) -> SourceProblem {
        let ran = self.running.take().map(|running| running.since.elapsed());
        if ran.is_some_and(|ran| ran >= RAN_WELL) {
            self.pause = PAUSE_MIN;
        }
        self.start_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.line.clear();
        self.said.clear();
        SourceProblem {
            source: "journal".to_owned(),
            reason,
        }
    }
}

/// A line as it comes in, never longer than it may be.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    most: usize,
    is_over: bool,
}

/// What reading came to.
#[derive(Debug, PartialEq, Eq)]
enum Read {
    /// A whole line is there, without its end.
    Whole,
    /// A line was left out.
    TooLong,
    /// There is no more.
    End,
}

impl Line {
    const fn new(most: usize) -> Self {
        Self {
            bytes: Vec::new(),
            most,
            is_over: false,
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.is_over = false;
    }

    /// Reads on, up to the end of a line. What came so far stays when this is dropped: waiting for
    /// bytes takes none out of the reader.
    async fn read(&mut self, from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Read> {
        loop {
            let bytes = from.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(Read::End);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if self.bytes.len() + part.len() > self.most {
                self.is_over = true;
            } else if !self.is_over {
                self.bytes.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            from.consume(taken);
            if end.is_some() {
                return Ok(if self.is_over {
                    Read::TooLong
                } else {
                    Read::Whole
                });
            }
        }
    }

    /// The same of a reader that may be gone: then it waits for ever. Each line takes the place
    /// of the one before.
    async fn read_some(&mut self, from: Option<&mut BufReader<ChildStderr>>) -> io::Result<Read> {
        let Some(from) = from else {
            return std::future::pending().await;
        };
        if from.fill_buf().await?.is_empty() {
            return Ok(Read::End);
        }
        self.clear();
        self.read(from).await
    }
}

#[cfg(test)]
mod tests;
