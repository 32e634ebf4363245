//! The language model, where one is configured: questions go out beside the loop, which waits for
//! none of them longer than it has said.

use anyhow::Context as _;
use hostmedic_advise::Client;
use hostmedic_model::{advice::Question, incident::IncidentId, wake::Wake};
use hostmedic_reason::pipeline::State;
use tokio::sync::mpsc;

use crate::config::{Config, advice_settings};

/// Who is asked; nobody where the configuration names none.
#[derive(Clone)]
pub(super) struct Advisor(Option<Client>);

impl Advisor {
    /// Lets `state` ask, if there is somebody. Before it recalls its past.
    pub(super) fn open(config: &Config, state: &mut State) -> anyhow::Result<Self> {
        let Some(section) = &config.language_model else {
            return Ok(Self(None));
        };
        let client = Client::open(section).context("cannot use the language model")?;
        state.adopt_advisor(advice_settings(section));
        tracing::info!(url = %section.base_url, model = %section.model, "A language model is asked for its opinion.");
        Ok(Self(Some(client)))
    }

    /// Asks, and brings what comes back to the loop. The number of questions that are out is bounded
    /// by the loop's own limits, and each by the client's time.
    pub(super) fn ask(
        &self,
        incident: IncidentId,
        question: Question,
        answers: mpsc::Sender<Wake>,
    ) {
        let Some(client) = self.0.clone() else {
            return;
        };
        tokio::spawn(async move {
            let answer = client.ask(&question).await;
            let answer = answer.map_err(|error| error.to_string());
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
