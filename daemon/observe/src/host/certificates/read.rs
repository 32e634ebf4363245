//! From patterns to the end of each certificate: files found, read and parsed.
//!
//! Only the first certificate of a file counts: it is the server's own, those after it are its
//! chain. Two files with the same certificate are told once. What a named file lacks is a problem;
//! of a place that merely might hold certificates only that it may not be read.

use std::{
    collections::BTreeSet,
    fmt,
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use x509_parser::{parse_x509_certificate, pem::Pem};

use super::{CertificatesConfig, PLACES, SourceProblem};

/// Files read in one reading; the rest is named as a problem.
const FILES_MAX: usize = 4096;
/// Bytes read of a file: room for a certificate with a thousand names, even behind its key.
const BYTES_MAX: u64 = 256 * 1024;

/// When a certificate begins and ends, in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) path: String,
    pub(super) begins_s: i64,
    pub(super) ends_s: i64,
}

/// One reading.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By path.
    pub(super) certificates: Vec<Validity>,
    pub(super) problems: Vec<SourceProblem>,
}

impl Found {
    fn problem(&mut self, source: impl Into<String>, reason: impl fmt::Display) {
        self.problems.push(SourceProblem::new(source, reason));
    }
}

/// What makes a certificate the same in two files. Issuer and serial should (RFC 5280, 4.1.2.2);
/// homemade authorities use one serial for all, which hardly end in the same second.
type Identity = (Vec<u8>, Vec<u8>, i64, i64);

/// Reads every file that the configuration names, or that lies in the usual places.
pub(super) fn find(config: &CertificatesConfig) -> Found {
    match &config.files {
        Some(files) => find_in(files.iter().map(String::as_str), true),
        None => find_in(PLACES.into_iter(), false),
    }
}

/// Reads every file of these patterns, which somebody has `named`, or nobody.
pub(super) fn find_in<'a>(patterns: impl Iterator<Item = &'a str>, named: bool) -> Found {
    let mut found = Found::default();
    let paths = list(patterns, named, &mut found);
    let mut known: BTreeSet<Identity> = BTreeSet::new();
    for path in paths {
        let name = path.display().to_string();
        match read(&path).and_then(|bytes| parse(&bytes)) {
            Ok((begins_s, ends_s, issuer, serial)) => {
                if known.insert((issuer, serial, begins_s, ends_s)) {
                    found.certificates.push(Validity {
                        path: name,
                        begins_s,
                        ends_s,
                    });
                }
            }
            Err(Unread::Denied) => found.problem(name, Unread::Denied),
            Err(why) if named => found.problem(name, why),
            // Something else may lie where certificates usually do.
            Err(_) => {}
        }
    }
    found
}

/// The files of these patterns, each once, in the order of their names.
fn list<'a>(
    patterns: impl Iterator<Item = &'a str>,
    named: bool,
    found: &mut Found,
) -> BTreeSet<PathBuf> {
    let mut paths = BTreeSet::new();
    let mut left_out = 0_usize;
    for pattern in patterns {
        // A plain path is read as it is, so that the reading says why it cannot be.
        if !pattern.contains(['*', '?', '[']) {
            paths.insert(PathBuf::from(pattern));
            continue;
        }
        let matches = match glob::glob(pattern) {
            Ok(matches) => matches,
            Err(error) => {
                found.problem(pattern, error);
                continue;
            }
        };
        let mut is_empty = true;
        for entry in matches {
            is_empty = false;
            match entry {
                Ok(path) if paths.len() < FILES_MAX || paths.contains(&path) => {
                    paths.insert(path);
                }
                Ok(_) => left_out += 1,
                Err(error) => {
                    let name = error.path().display().to_string();
                    found.problem(name, Unread::of(error.error()));
                }
            }
        }
        if is_empty && named {
            found.problem(pattern, "no file has such a name");
        }
    }
    if left_out > 0 {
        let reason = format!("{left_out} beyond the first {FILES_MAX} are not read");
        found.problem("certificates", reason);
    }
    paths
}

/// Why a file gives no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Denied,
    Io(String),
    NoFile,
    NoCertificate,
    Malformed(String),
}

impl Unread {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Io(error.to_string()),
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str(
                "permission denied; let the daemon's user read it (`setfacl -m u:hostmedic:rX`), \
                 or leave it out of certificates.files",
            ),
            Self::Io(error) => f.write_str(error),
            Self::NoFile => f.write_str("it is no regular file"),
            Self::NoCertificate => f.write_str("there is no certificate in it"),
            Self::Malformed(why) => write!(f, "its certificate is malformed: {why}"),
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Unread> {
    // Opening a pipe would wait for its other end.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|error| Unread::of(&error))?;
    let what = file.metadata().map_err(|error| Unread::of(&error))?;
    if !what.is_file() {
        return Err(Unread::NoFile);
    }
    let mut bytes = Vec::new();
    let read = file.take(BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|error| Unread::of(&error))?;
    Ok(bytes)
}

/// Begin and end of the first certificate, its issuer and its serial number. PEM (RFC 7468), also
/// with a key before it, or DER.
fn parse(bytes: &[u8]) -> Result<(i64, i64, Vec<u8>, Vec<u8>), Unread> {
    let first = ders(bytes, 1).into_iter().next();
    first.map_or(Err(Unread::NoCertificate), |der| validity(&der))
}

/// The first `count` certificates of a file in their binary form.
pub(super) fn ders(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    // A SEQUENCE: no text begins with it.
    if let [0x30, second, ..] = bytes
        && *second >= 0x80
    {
        return vec![bytes.to_vec()];
    }
    // A block that is cut off is the last one.
    let blocks = Pem::iter_from_buffer(bytes).map_while(Result::ok);
    let labels = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
    blocks
        .filter(|block| labels.contains(&block.label.as_str()))
        .map(|block| block.contents)
        .take(count)
        .collect()
}

fn validity(der: &[u8]) -> Result<(i64, i64, Vec<u8>, Vec<u8>), Unread> {
    let (_, certificate) =
        parse_x509_certificate(der).map_err(|error| Unread::Malformed(error.to_string()))?;
    let validity = certificate.validity();
    let (begins_s, ends_s) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    if ends_s <= begins_s {
        return Err(Unread::Malformed("it ends before it begins".to_owned()));
    }
    let issuer = certificate.issuer().as_raw().to_vec();
    Ok((begins_s, ends_s, issuer, certificate.raw_serial().to_vec()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What lies in a file is anybody's: no bytes break the reader.
        #[test]
        fn any_bytes_give_a_validity_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for begin in [&b""[..], b"\x30\x82", b"-----BEGIN CERTIFICATE-----\n"] {
                let all: Vec<u8> = begin.iter().chain(&bytes).copied().collect();
                if let Ok((begins_s, ends_s, ..)) = parse(&all) {
                    prop_assert!(begins_s < ends_s);
                }
            }
        }

        /// One flipped byte of a real certificate either leaves a sound validity or a reason.
        #[test]
        fn a_damaged_certificate_breaks_nothing(place in 0_usize..2000, byte in any::<u8>()) {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            let place = place % der.len();
            der[place] = byte;
            if let Ok((begins_s, ends_s, ..)) = parse(&der) {
                prop_assert!(begins_s < ends_s);
            }
        }
    }
}
