//! What a host or an operator needs to reach the collector, in one file.
//!
//! Made by `medic-collector enrol`, carried to the host by whoever set it up. It holds a private
//! key, so it is kept like one.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Name of the file where a directory is given.
pub const FILE_NAME: &str = "bundle.toml";

/// Who somebody is to the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May append to its own chain.
    Host,
    /// May ask about every host.
    Operator,
}

/// The bundle's contents.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Name in the certificate.
    pub name: String,
    /// What the certificate is for.
    pub role: Role,
    /// Address of the collector: `host:port`.
    pub collector: String,
    /// Name that the collector's certificate must have.
    pub server_name: String,
    /// Certificate of the collector's own authority, PEM. Nobody else's word counts.
    pub ca: String,
    /// Our certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bundle({} at {})", self.name, self.collector)
    }
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It could not be read.
    #[error("cannot read the collector's bundle {path}: {source}; `medic-collector enrol` makes one", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the collector's bundle {path} holds a private key, but others may read it (mode {mode:o}); chmod 600 it", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no bundle.
    #[error("the collector's bundle {path} is malformed: {why}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Bundle {
    /// Reads the bundle at `path`: the file itself, or a directory that holds [`FILE_NAME`].
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn load(path: &Path) -> Result<Self, BundleError> {
        let path = if path.is_dir() {
            path.join(FILE_NAME)
        } else {
            path.to_owned()
        };
        let failed = |source| BundleError::Io {
            path: path.clone(),
            source,
        };
        let mode = fs::metadata(&path).map_err(failed)?.permissions().mode() & 0o777;
        // A group may read it: the daemon does not own what root has put into /etc.
        if mode & 0o007 != 0 {
            return Err(BundleError::Exposed { path, mode });
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        toml::from_str(&text).map_err(|error| BundleError::Malformed {
            path,
            why: error.to_string(),
        })
    }
}
