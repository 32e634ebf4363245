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
    /// Begins to write the baselines down, beside the loop. While the last time's are still being
    /// written (a disk that hangs), nothing is begun: the loop must go on, and writers must not
    /// pile up.
    pub(super) fn begin_keeping_baselines(&mut self) {
        if self
            .keeping
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            tracing::warn!("The baselines are still being written; not again now.");
            return;
        }
        let (path, bytes) = (
            self.config.state_dir.join(NAME),
            self.state.baselines_bytes(),
        );
        self.keeping = Some(tokio::task::spawn_blocking(move || {
            if let Err(problem) = files::replace(&path, &bytes) {
                tracing::warn!(%problem, "Cannot keep the baselines.");
            }
        }));
    }

    /// Writes the baselines down and waits until they are.
    pub(super) async fn keep_baselines(&mut self) {
        // One after the other: both write the same file.
        self.finish_keeping().await;
        self.begin_keeping_baselines();
        self.finish_keeping().await;
    }

    async fn finish_keeping(&mut self) {
        if let Some(task) = self.keeping.take()
            && let Err(error) = task.await
        {
            tracing::warn!(%error, "Cannot keep the baselines.");
        }
    }
}
