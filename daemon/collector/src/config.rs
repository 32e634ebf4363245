//! `collector.toml`: where the collector listens and where its things lie.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::files;

/// The port, unless another is asked for.
pub const PORT: u16 = 7443;

/// Name of the configuration inside a directory.
pub const FILE_NAME: &str = "collector.toml";

/// The collector's configuration. An unknown key is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What hosts and operators connect to: `name:port`. The name is in the certificate.
    pub address: String,
    /// The collector's own files: its certificate and key, who is enrolled, and the copies.
    pub state: PathBuf,
    /// The authority's certificate and key. Only `init` and `enrol` need it; the service must
    /// not be able to read it.
    pub authority: PathBuf,
    /// Links of hosts at one time, at most. Default 4096.
    #[serde(default = "Config::links_max_default")]
    pub links_max: usize,
}

impl Config {
    /// What a small machine can hold: about 100 KiB a link.
    pub fn links_max_default() -> usize {
        4096
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// Names the file and, for a wrong key, its line.
    pub fn load(path: &Path) -> Result<Self> {
        let text = files::read(path).context("`medic-collector init` makes a configuration")?;
        toml::from_str(&text)
            .with_context(|| format!("{} is no collector configuration", path.display()))
    }

    /// Writes the configuration.
    ///
    /// # Errors
    /// Names the file.
    pub fn store(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).context("cannot write the configuration as TOML")?;
        let text =
            format!("# Configuration of medic-collector; made by `medic-collector init`.\n{text}");
        files::write(path, &text, files::PUBLIC)
    }

    /// The authority's certificate, as the service reads it.
    pub fn ca(&self) -> PathBuf {
        self.state.join("ca.pem")
    }

    /// The collector's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.state.join("server.pem")
    }

    /// The collector's key.
    pub fn key(&self) -> PathBuf {
        self.state.join("server.key")
    }

    /// Who is enrolled.
    pub fn enrolled(&self) -> PathBuf {
        self.state.join("enrolled")
    }

    /// The copies.
    pub fn copies(&self) -> PathBuf {
        self.state.join("store")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_typo_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let config = Config {
            listen: "127.0.0.1:7443".parse().unwrap(),
            address: "localhost:7443".into(),
            state: "state".into(),
            authority: "authority".into(),
            links_max: 7,
        };
        config.store(&path).unwrap();
        assert_eq!(Config::load(&path).unwrap(), config);
        let text = files::read(&path).unwrap().replace("listen", "lisen");
        files::write(&path, &text, files::PUBLIC).unwrap();
        let error = format!("{:#}", Config::load(&path).unwrap_err());
        assert!(error.contains("unknown field `lisen`"), "{error}");
    }
}
