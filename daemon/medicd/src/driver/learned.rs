//! Keeps what was learned across restarts: a daemon that has to learn for a day again is blind for it.

use std::{fs, io, path::Path};

use hostmedic_reason::pipeline::State;

use super::Driver;
use crate::files;

/// Names of the files in the state directory: what is normal for each series, and how things come.
const BASELINES: &str = "baselines";
const HABITS: &str = "habits";

/// Takes back what the last run has learned. What cannot be read is learned anew.
pub(super) fn load(state: &mut State, state_dir: &Path) {
    take_back(state_dir, BASELINES, |bytes| state.load_baselines(bytes));
    take_back(state_dir, HABITS, |bytes| state.load_habits(bytes));
}

fn take_back(
    state_dir: &Path,
    what: &'static str,
    load: impl FnOnce(&[u8]) -> Result<usize, String>,
) {
    let path = state_dir.join(what);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "Cannot read the {what}; they are learned anew.");
            return;
        }
    };
    match load(&bytes) {
        Ok(count) => tracing::info!(count, "Took the {what} of the last run back."),
        Err(reason) => {
            tracing::warn!(path = %path.display(), reason, "Cannot use the {what}; they are learned anew.");
        }
    }
}

impl Driver {
    /// Begins to write down what was learned, beside the loop. While the last time's is still being
    /// written (a disk that hangs), nothing is begun: the loop must go on, and writers must not
    /// pile up.
    pub(super) fn begin_keeping(&mut self) {
        if self
            .keeping
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            tracing::warn!("What was learned is still being written; not again now.");
            return;
        }
        let state_dir = &self.config.state_dir;
        let learned = [
            (state_dir.join(BASELINES), self.state.baselines_bytes()),
            (state_dir.join(HABITS), self.state.habits_bytes()),
        ];
        self.keeping = Some(tokio::task::spawn_blocking(move || {
            for (path, bytes) in learned {
                if let Err(problem) = files::replace(&path, &bytes) {
                    tracing::warn!(%problem, "Cannot keep what was learned.");
                }
            }
        }));
    }

    /// Writes down what was learned and waits until it is.
    pub(super) async fn keep(&mut self) {
        // One after the other: both write the same files.
        self.finish_keeping().await;
        self.begin_keeping();
        self.finish_keeping().await;
    }

    async fn finish_keeping(&mut self) {
        if let Some(task) = self.keeping.take()
            && let Err(error) = task.await
        {
            tracing::warn!(%error, "Cannot keep what was learned.");
        }
    }
}
