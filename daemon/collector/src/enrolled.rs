//! Who may speak: one small file for each certificate that counts, named by its fingerprint.
//!
//! Looked up anew each time, so that removing a file is enough to lock somebody out.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use hostmedic_retain::bundle::Role;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::files;

/// SHA-256 of a certificate in DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Of this certificate.
    pub fn of(der: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(der)))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is noted about a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Name of the host or operator.
    pub name: String,
    /// What the certificate is for.
    pub role: Role,
    /// The host's audit key in hex, if it was given when it was enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The directory of these files.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Who shows this certificate; `None` if it does not count (any more).
    ///
    /// # Errors
    /// When the file is there but unreadable.
    pub fn find(&self, fingerprint: &Fingerprint) -> Result<Option<Enrolled>> {
        let path = self.path(fingerprint);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map(Some)
                .with_context(|| format!("{} is malformed", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Notes a certificate; returns those that had the same name and role until now.
    ///
    /// # Errors
    /// Names the file.
    pub fn replace(&self, fingerprint: &Fingerprint, entry: &Enrolled) -> Result<Vec<Fingerprint>> {
        let earlier = self.of_name(&entry.name)?;
        let text = toml::to_string(entry).context("cannot write who is enrolled as TOML")?;
        files::write(&self.path(fingerprint), &text, files::PUBLIC)?;
        let same_role = |(found, role): (Fingerprint, Role)| (role == entry.role).then_some(found);
        Ok(earlier.into_iter().filter_map(same_role).collect())
    }

    /// The certificates of this name.
    ///
    /// # Errors
    /// Names the directory or the file.
    pub fn of_name(&self, name: &str) -> Result<Vec<(Fingerprint, Role)>> {
        let listing = |path: &Path| format!("cannot list {}", path.display());
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.0).with_context(|| listing(&self.0))? {
            let file = entry.with_context(|| listing(&self.0))?.file_name();
            let Some(fingerprint) = file.to_str().and_then(|file| file.strip_suffix(".toml"))
            else {
                continue;
            };
            let fingerprint = Fingerprint(fingerprint.to_owned());
            if let Some(enrolled) = self.find(&fingerprint)?
                && enrolled.name == name
            {
                found.push((fingerprint, enrolled.role));
            }
        }
        Ok(found)
    }

    /// Makes a certificate count no more.
    ///
    /// # Errors
    /// Names the file.
    pub fn remove(&self, fingerprint: &Fingerprint) -> Result<()> {
        let path = self.path(fingerprint);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    fn path(&self, fingerprint: &Fingerprint) -> PathBuf {
        self.0.join(format!("{fingerprint}.toml"))
    }
}
