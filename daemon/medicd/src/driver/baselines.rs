//! Keeps what is normal across restarts: a daemon that has to learn for a day again is blind for it.

use std::{fs, io, path::Path};

use hostmedic_reason::pipeline::State;

use super::Driver;
use crate::files;

/// Name of the file in the state directory.
const NAME: &str = "baselines";

/// Takes back what the last run has learned. What cannot be read is learned anew.
pub(super) fn load(state: &mut State, state_dir: &Path) {
    let path = state_dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "Cannot read the baselines; they are learned anew.");
            return;
        }
    };
    match state.load_baselines(&bytes) {
        Ok(series) => tracing::info!(series, "Took the baselines of the last run back."),
        Err(reason) => {
            tracing::warn!(path = %path.display(), reason, "Cannot use the baselines; they are learned anew.");
        }
    }
}

impl Driver {
    /// Writes the baselines down, off the async threads.
    pub(super) async fn keep_baselines(&self) {
        let (path, bytes) = (
            self.config.state_dir.join(NAME),
            self.state.baselines_bytes(),
        );
        let written = tokio::task::spawn_blocking(move || files::replace(&path, &bytes)).await;
        let problem = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(problem, "Cannot keep the baselines.");
    }
}
