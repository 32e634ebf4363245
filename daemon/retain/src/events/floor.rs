//! Numbers of events that may have been given away. Events are not synced, so after a power cut
//! the database may end before a number that somebody has already seen; and it may be lost as a
//! whole. Numbers are therefore reserved in a synced file before they are used.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

/// Numbers reserved at once: one sync for so many events.
const RESERVED: u64 = 1 << 16;

/// The file.
#[derive(Debug)]
pub(super) struct Floor {
    path: PathBuf,
    /// Numbers below this may have been used.
    reserved: u64,
}

impl Floor {
    /// Reads the file in `dir`. A file that is missing or damaged reserves nothing: the database
    /// alone decides then.
    pub(super) fn open(dir: &Path) -> Self {
        let path = dir.join("next");
        let reserved = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "The numbers that were reserved for events are unreadable.");
                1
            }),
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "Cannot read the numbers that were reserved for events.");
                }
                1
            }
        };
        Self { path, reserved }
    }

    /// First number that was never reserved.
    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Makes sure that every number below `next` is reserved.
    pub(super) fn reserve(&mut self, next: u64) -> Result<(), String> {
        if next <= self.reserved {
            return Ok(());
        }
        let reserved = next.saturating_add(RESERVED);
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        let new = self.path.with_extension("new");
        let mut file = File::create(&new).map_err(failed)?;
        writeln!(file, "{reserved}")
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, &self.path))
            .map_err(failed)?;
        let dir = self
            .path
            .parent()
            .map_or(Ok(()), |dir| File::open(dir).and_then(|dir| dir.sync_all()));
        dir.map_err(failed)?;
        self.reserved = reserved;
        Ok(())
    }
}
