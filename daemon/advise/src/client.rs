//! One exchange with the server, bounded in time and in bytes.

use std::{
    error::Error as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hostmedic_model::advice::Question;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    config::Config,
    key::{self, KeyError},
};

/// Longest answer, in bytes, with all that the server puts around it.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A server that cannot be reached within this time is not there.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Why a client cannot be made of a configuration.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key of the configuration is wrong.
    #[error("language_model.{0}")]
    Wrong(String),
    /// The key to the server cannot be had.
    #[error("language_model.api_key_file: {0}")]
    Key(#[from] KeyError),
    /// The authorities to trust cannot be read.
    #[error("language_model.ca_file: {path}: {reason}")]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The system trusts nobody.
    #[error(
        "language_model: this system has no authorities to trust ({0}); install ca-certificates \
         or name a ca_file"
    )]
    NoAuthorities(String),
    /// TLS cannot be set up.
    #[error("language_model: cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing was complete within the time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The server cannot be reached, or hung up.
    #[error("cannot ask the server: {0}")]
    Unreachable(String),
    /// It refused, failed, or wants to send us elsewhere, which is not followed.
    #[error("the server answered with status {0}")]
    Status(StatusCode),
    /// Its answer is too long.
    #[error("the server's answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// Its answer ended early.
    #[error("the server's answer broke off: {0}")]
    BrokeOff(String),
    /// Its answer is not what this interface gives.
    #[error("the server's answer is no chat completion: {0}")]
    NoCompletion(String),
}

/// A way to the server.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    endpoint: Uri,
    authorization: Option<HeaderValue>,
    /// The model's name as JSON.
    model: String,
    within: Duration,
    /// One question at a time: a small local server could not take more, and nobody is in a hurry.
    turn: Arc<Semaphore>,
}

impl Client {
    /// Reads the key and whom to trust; asks nobody yet.
    ///
    /// # Errors
    /// What in the configuration cannot be used, and why.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        config.check().map_err(OpenError::Wrong)?;
        let endpoint = config.endpoint().map_err(OpenError::Wrong)?;
        let authorization = config.api_key_file.as_deref().map(key::read).transpose()?;
        let roots = match &config.ca_file {
            _ if endpoint.scheme_str() == Some("http") => RootCertStore::empty(),
            Some(path) => named_authorities(path)?,
            None => system_authorities()?,
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_MAX));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            // A few questions an hour: nothing is worth keeping open, and none is asked twice.
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self {
            http,
            endpoint,
            authorization,
            model: serde_json::Value::from(config.model.as_str()).to_string(),
            within: config.wait_max.0,
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// What the model writes in answer to `question`, as it came.
    ///
    /// Waits its turn, and for the server, for the configured time in all.
    ///
    /// # Errors
    /// Why there is no answer. None holds anything of the key; some quote what the server sent.
    pub async fn ask(&self, question: &Question) -> Result<String, AskError> {
        let exchange = async {
            // It is never closed; if it were, the bounds of the caller still hold.
            let _turn = self.turn.acquire().await;
            self.exchange(question).await
        };
        timeout(self.within, exchange)
            .await
            .map_err(|_| AskError::TimedOut(self.within))?
    }

    async fn exchange(&self, question: &Question) -> Result<String, AskError> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.endpoint)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("hostmedic/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(Full::from(self.body(question)))
            .map_err(|error| AskError::Unreachable(error.to_string()))?;
        let answer = self
            .http
            .request(request)
            .await
            .map_err(|error| AskError::Unreachable(with_causes(&error)))?;
        if !answer.status().is_success() {
            return Err(AskError::Status(answer.status()));
        }
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                AskError::TooLong
            } else {
                AskError::BrokeOff(error.to_string())
            }
        })?;
        content(&body.to_bytes())
    }

    /// The request's body. The schema stands in it byte for byte: the order of its keys matters to
    /// servers that force the answer into it.
    fn body(&self, question: &Question) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        format!(
            "{{\"model\":{},\"messages\":[{{\"role\":\"system\",\"content\":{}}},\
             {{\"role\":\"user\",\"content\":{}}}],\"temperature\":0,\"stream\":false,\
             \"response_format\":{{\"type\":\"json_schema\",\"json_schema\":\
             {{\"name\":\"advice\",\"strict\":true,\"schema\":{}}}}}}}",
            self.model,
            text(&question.system),
            text(&question.user),
            question.schema
        )
    }
}

/// What is read of a chat completion; servers put much more into it.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

fn content(body: &[u8]) -> Result<String, AskError> {
    let no = |what: &str| AskError::NoCompletion(what.to_owned());
    let completion: Completion =
        serde_json::from_slice(body).map_err(|error| no(&error.to_string()))?;
    let choice = completion.choices.into_iter().next();
    let choice = choice.ok_or_else(|| no("it has no choices"))?;
    if choice.finish_reason.as_deref() == Some("length") {
        return Err(no("the model was cut off at the server's limit of tokens"));
    }
    let content = choice.message.content;
    content.ok_or_else(|| no("the model wrote nothing"))
}

fn named_authorities(path: &Path) -> Result<RootCertStore, OpenError> {
    let wrong = |reason: String| OpenError::Authorities {
        path: path.to_owned(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

fn system_authorities() -> Result<RootCertStore, OpenError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One that is broken must not take the others away.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(OpenError::NoAuthorities(errors.join(", ")));
    }
    Ok(roots)
}

/// An error and what caused it: hyper's own words alone say only "client error (Connect)".
fn with_causes(error: &legacy::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
