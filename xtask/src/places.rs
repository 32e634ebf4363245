//! Where things lie: the clone, and the cache outside it that survives a fresh clone.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use hostmedic_tests::rootfs;

/// The directories that every verb works in.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// Root of the clone.
    pub(crate) root: PathBuf,
    /// Per-user cache; everything in it can be deleted.
    pub(crate) cache: PathBuf,
    /// Cargo's target directory for the programs.
    pub(crate) target: PathBuf,
}

impl Places {
    /// Finds them from the environment.
    pub(crate) fn find() -> Result<Self> {
        // `cargo run` says where the package is now; a binary shared by two clones would not.
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .context("xtask has no parent directory")?
            .to_owned();
        let cache = rootfs::cache_dir()?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) if !dir.is_empty() => root.join(dir),
            _ => cache.join("target"),
        };
        Ok(Self {
            root,
            cache,
            target,
        })
    }

    /// Tools that setup built.
    pub(crate) fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// The probes' object file.
    pub(crate) fn probes(&self) -> PathBuf {
        self.cache.join("probes/hostmedic-probes")
    }

    /// Programs of the development profile.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// A file of the clone.
    pub(crate) fn file(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}
