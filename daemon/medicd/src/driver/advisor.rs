//! The language model, where one is configured: questions go out beside the loop, which waits for
//! none of them longer than it has said.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use hostmedic_advise::{Client, Config as Section, OpenError};
use hostmedic_model::{advice::Question, incident::IncidentId, wake::Wake};
use hostmedic_reason::pipeline::State;
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::config::{Config, advice_settings};

/// Who is asked; nobody where the configuration names none.
#[derive(Clone)]
pub(super) struct Advisor(Option<Arc<Named>>);

/// Whom the configuration names. What it says is right; that its files can be read is another
/// matter, and no reason to leave a host alone.
struct Named {
    section: Section,
    client: OnceLock<Client>,
}

impl Named {
    /// The client, made now if its files could not be read before.
    fn client(&self) -> Result<Client, OpenError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = Client::open(&self.section)?;
        Ok(self.client.get_or_init(|| client).clone())
    }
}

impl Advisor {
    /// Lets `state` ask, if there is somebody. Before it recalls its past.
    ///
    /// # Errors
    /// If what the configuration says of it is wrong. Where only its files or the system's are not as
    /// they must be, each question has that for an answer, until they are.
    pub(super) fn open(config: &Config, state: &mut State) -> anyhow::Result<Self> {
        let Some(section) = &config.language_model else {
            return Ok(Self(None));
        };
        let named = Named {
            section: section.clone(),
            client: OnceLock::new(),
        };
        match named.client() {
            Ok(_) => {
                tracing::info!(url = %section.base_url, model = %section.model, "A language model is asked for its opinion.");
            }
            Err(error @ OpenError::Wrong(_)) => {
                return Err(error).context("cannot use the language model");
            }
            Err(error) => {
                tracing::warn!(%error, "The language model cannot be asked; everything else works without it.");
            }
        }
        state.adopt_advisor(advice_settings(section));
        Ok(Self(Some(Arc::new(named))))
    }

    /// Asks, and brings what comes back to the loop. The number of questions that are out is bounded
    /// by the loop's own limits, and each by the client's time.
    pub(super) fn ask(
        &self,
        incident: IncidentId,
        question: Question,
        answers: mpsc::Sender<Wake>,
    ) {
        let Some(named) = self.0.clone() else {
            return;
        };
        tokio::spawn(async move {
            let answer = ask(named, &question).await;
            if let Err(error) = &answer {
                tracing::warn!(%incident, %error, "The language model gave no answer.");
            }
            // The daemon may be stopping.
            _ = answers
                .send(Wake::Advised {
                    incident,
                    question: question.sha256,
                    answer,
                })
                .await;
        });
    }
}

async fn ask(named: Arc<Named>, question: &Question) -> Result<String, String> {
    // Off the async threads: a disk may hang.
    let client = spawn_blocking(move || named.client()).await;
    let client = client.map_err(|error| error.to_string())?;
    let client = client.map_err(|error| error.to_string())?;
    let answer = client.ask(question).await;
    answer.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_key_that_comes_later_is_taken_then() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        let section = format!(
            "base_url = \"http://127.0.0.1:9/v1\"\nmodel = \"m\"\napi_key_file = \"{}\"",
            key.display()
        );
        let named = Named {
            section: toml::from_str(&section).unwrap(),
            client: OnceLock::new(),
        };
        let error = named.client().err().unwrap().to_string();
        assert!(error.contains("language_model.api_key_file"), "{error}");
        fs::write(&key, "secret\n").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(named.client().is_ok());
        // What was read stays.
        fs::remove_file(&key).unwrap();
        assert!(named.client().is_ok());
    }
}
