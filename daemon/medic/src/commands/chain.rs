//! `medic audit verify` and `export`: from the store or an export as it lies on disk. They need
//! no daemon and do not disturb a running one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hostmedic_retain::{
    export::{self, Export},
    keys::PublicKey,
    store::Store,
    verify::{self, ChainSource, SourceError, Verified, VerifyError},
};
use serde_json::json;

use crate::{
    cli::Verify,
    exit::{Exit, Failed},
    out::Out,
    render::text::{Tone, clean, utc},
};

/// Where the daemon keeps its chain.
const STORE: &str = "/var/lib/hostmedic/ledger";

/// Verifies a store or an export.
pub(crate) fn verify(out: &Out, asked: &Verify) -> Result<Exit, Failed> {
    let pinned = asked.key.as_deref().map(read_key).transpose()?;
    let (place, verified) = if let Some(file) = &asked.export {
        (file.clone(), verify_export(file, pinned)?)
    } else {
        let dir = asked.store.clone().unwrap_or_else(|| PathBuf::from(STORE));
        let store = open(&dir)?;
        let verified = verify_source(&mut store.source(), pinned);
        (dir, verified)
    };
    report(
        out,
        &place.display().to_string(),
        pinned.is_some(),
        verified,
    )
}

/// A header that cannot be read is a finding about the chain, not about the disk.
fn verify_export(
    file: &Path,
    pinned: Option<PublicKey>,
) -> Result<Result<Verified, VerifyError>, Failed> {
    let opened = File::open(file).map_err(|error| on_disk("open", file, &error))?;
    Ok(Export::open(BufReader::new(opened))
        .map_err(VerifyError::from)
        .and_then(|mut source| verify_source(&mut source, pinned)))
}

fn verify_source(
    source: &mut impl ChainSource,
    pinned: Option<PublicKey>,
) -> Result<Verified, VerifyError> {
    let mut progress = Progress::new();
    let verified = verify::verify(source, pinned, |done, all| progress.show(done, all));
    progress.end();
    verified
}

/// Prints what was found. `anchored` tells whether the caller knew the key.
fn report(
    out: &Out,
    place: &str,
    anchored: bool,
    verified: Result<Verified, VerifyError>,
) -> Result<Exit, Failed> {
    match verified {
        Ok(verified) => {
            let answer = json!({
                "verified": true,
                "place": place,
                "host": verified.host,
                "public_key": verified.public_key.to_string(),
                "key_was_given": anchored,
                "records": verified.records,
                "heads": verified.heads,
                "last": verified.last,
                "sealed_at_wall_ms": verified.sealed_at_wall_ms,
            });
            out.answer(&answer, |style| {
                let sealed = verified
                    .sealed_at_wall_ms
                    .map_or_else(String::new, |at| format!(", sealed {}", utc(at)));
                let mut text = format!(
                    "{} {}: {verified}{sealed}\n",
                    style.paint(Tone::Good, "verified"),
                    clean(place)
                );
                if !anchored {
                    text += &format!(
                        "  against the key that lies beside it, {}; give --key to be sure of the host\n",
                        verified.public_key
                    );
                }
                text
            })?;
            Ok(Exit::Ok)
        }
        Err(error) => {
            let bad = match &error {
                VerifyError::BadRecord(bad) => Some(bad.seq),
                VerifyError::WrongKey { .. } | VerifyError::Source(_) => None,
            };
            let answer = json!({
                "verified": false,
                "place": place,
                "bad_record": bad,
                "reason": error.to_string(),
            });
            out.answer(&answer, |style| {
                format!(
                    "{} {}: {}\n",
                    style.paint(Tone::Bad, "NOT VERIFIED"),
                    clean(place),
                    clean(&error.to_string())
                )
            })?;
            Ok(Exit::Finding)
        }
    }
}

/// Writes a store's chain to a new file, which appears only when it is whole.
pub(crate) fn export(out: &Out, store: &Path, file: &Path) -> Result<Exit, Failed> {
    if file.exists() {
        return Err(Failed::new(
            Exit::Usage,
            "usage",
            format!("{} exists already", file.display()),
            "name another file; an export is never overwritten",
        ));
    }
    let opened = open(store)?;
    let mut staged = file.as_os_str().to_owned();
    staged.push(format!(".{}", std::process::id()));
    let staged = PathBuf::from(staged);
    let records = match write(&opened, &staged) {
        Ok(records) => records,
        Err(failed) => {
            // The error that stopped us tells more than one about the leftover would.
            let _ = fs::remove_file(&staged);
            return Err(failed);
        }
    };
    fs::rename(&staged, file).map_err(|error| on_disk("name", file, &error))?;
    let answer =
        json!({"file": file.display().to_string(), "host": opened.host(), "records": records});
    out.answer(&answer, |_| {
        let name = clean(&file.display().to_string());
        format!(
            "wrote {records} records of host {} to {name}\n  check it anywhere: medic audit verify --export {name} --key {}\n",
            opened.host(),
            opened.public_key()
        )
    })?;
    Ok(Exit::Ok)
}

fn write(store: &Store, staged: &Path) -> Result<u64, Failed> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        // Journal lines are in it.
        .mode(0o600)
        .open(staged)
        .map_err(|error| on_disk("create", staged, &error))?;
    let mut writer = BufWriter::new(file);
    let records =
        export::write(&mut store.source(), &mut writer).map_err(|error| unreadable(&error))?;
    let file = writer
        .into_inner()
        .map_err(|error| on_disk("write", staged, error.error()))?;
    file.sync_all()
        .map_err(|error| on_disk("write", staged, &error))?;
    Ok(records)
}

fn open(dir: &Path) -> Result<Store, Failed> {
    fs::metadata(dir).map_err(|error| on_disk("open the store", dir, &error))?;
    Store::open_read_only(dir).map_err(|error| {
        Failed::new(
            Exit::Internal,
            "unreadable",
            error.to_string(),
            "read it as root or as the daemon's user, from a copy of the directory if need be",
        )
    })
}

/// A public key from the command line.
fn read_key(text: &str) -> Result<PublicKey, Failed> {
    text.parse().map_err(|why| {
        Failed::new(
            Exit::Usage,
            "usage",
            format!("--key {text} is no public key: {why}"),
            "the collector keeps a copy of it, which `medic fleet verify` checks against",
        )
    })
}

fn unreadable(error: &SourceError) -> Failed {
    Failed::new(Exit::Internal, "unreadable", error.to_string(), "")
}

fn on_disk(tried: &str, path: &Path, error: &io::Error) -> Failed {
    let (exit, code) = match error.kind() {
        io::ErrorKind::NotFound => (Exit::NotFound, "not_found"),
        io::ErrorKind::PermissionDenied => (Exit::NotPermitted, "forbidden"),
        _ => (Exit::Internal, "internal"),
    };
    Failed::new(
        exit,
        code,
        format!("cannot {tried} {}: {error}", path.display()),
        "",
    )
}

/// How far it is, on a terminal's stderr; nothing elsewhere.
pub(super) struct Progress {
    shown: bool,
    last: Option<Instant>,
}

impl Progress {
    /// More often than this nobody can read it.
    const PAUSE: Duration = Duration::from_millis(100);

    pub(super) fn new() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
            last: None,
        }
    }

    pub(super) fn show(&mut self, done: u64, all: u64) {
        let due = self.last.is_none_or(|last| last.elapsed() >= Self::PAUSE);
        if self.shown && due {
            self.last = Some(Instant::now());
            let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
            // Nobody looks when it cannot be written.
            let _ = write!(io::stderr(), "\r{percent:>3} %  record {done} of {all}");
        }
    }

    pub(super) fn end(&self) {
        if self.shown && self.last.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
