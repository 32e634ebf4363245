//! One request at a time to the daemon's socket, and errors that say what to do.

use std::{io, path::PathBuf, time::Duration};

use hostmedic_model::view::Failure;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{net::UnixStream, time::timeout};

use crate::exit::{Exit, Failed};

/// The daemon itself gives up after 10 s, so after this it is dead or stopped.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// No answer is nearly as large; a daemon that sends more is not ours.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The daemon, as seen from here.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// `GET path`, as it came.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failed> {
        self.whole(Method::GET, path, Bytes::new()).await
    }

    /// `POST path`.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<Value, Failed> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Failed::internal(format!("cannot write JSON: {error}")))?;
        self.whole(Method::POST, path, body.into()).await
    }

    /// The body of `GET path`, piece by piece: for answers that do not end.
    pub(crate) async fn open(&self, path: &str) -> Result<Pieces, Failed> {
        let answer = timeout(ANSWER_MAX, self.send(Method::GET, path, Bytes::new()))
            .await
            .map_err(|_| self.silent())??;
        if answer.status().is_success() {
            return Ok(Pieces {
                body: answer.into_body(),
            });
        }
        let status = answer.status();
        let body = timeout(ANSWER_MAX, collect(answer))
            .await
            .map_err(|_| self.silent())??;
        Err(refusal(status, &body))
    }

    async fn whole(&self, method: Method, path: &str, body: Bytes) -> Result<Value, Failed> {
        let exchange = async {
            let answer = self.send(method, path, body).await?;
            let status = answer.status();
            Ok((status, collect(answer).await?))
        };
        let (status, body) = timeout(ANSWER_MAX, exchange)
            .await
            .map_err(|_| self.silent())??;
        if status.is_success() {
            serde_json::from_slice(&body).map_err(|error| {
                Failed::internal(format!(
                    "the daemon's answer to {path} is not JSON: {error}"
                ))
            })
        } else {
            Err(refusal(status, &body))
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failed> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| self.no_daemon(&error))?;
        let broken = |error: hyper::Error| {
            Failed::new(
                Exit::Unreachable,
                "unreachable",
                format!("the connection to {} broke: {error}", self.socket.display()),
                "see `systemctl status medicd` and `journalctl -u medicd`",
            )
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Its errors come back through the request's own result.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| Failed::internal(format!("cannot ask for {path}: {error}")))?;
        sender.send_request(request).await.map_err(broken)
    }

    fn silent(&self) -> Failed {
        Failed::new(
            Exit::Unreachable,
            "unreachable",
            format!(
                "no answer on {} within {ANSWER_MAX:?}",
                self.socket.display()
            ),
            "see `systemctl status medicd` and `journalctl -u medicd`; to stop it at once: `systemctl stop medicd`",
        )
    }

    fn no_daemon(&self, error: &io::Error) -> Failed {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::PermissionDenied => Failed::new(
                Exit::NotPermitted,
                "forbidden",
                format!("cannot open {socket}: {error}"),
                format!("join the group that owns it (`ls -l {socket}`), or ask as root"),
            ),
            io::ErrorKind::NotFound => Failed::new(
                Exit::Unreachable,
                "unreachable",
                format!("no daemon: there is no socket {socket}"),
                "see `systemctl status medicd`; another socket is named with --socket or HOSTMEDIC_SOCKET",
            ),
            io::ErrorKind::ConnectionRefused => Failed::new(
                Exit::Unreachable,
                "unreachable",
                format!("no daemon: nobody listens on {socket}"),
                "it ended without cleaning up; see `systemctl status medicd` and `journalctl -u medicd`",
            ),
            _ => Failed::new(
                Exit::Unreachable,
                "unreachable",
                format!("cannot reach the daemon on {socket}: {error}"),
                "see `systemctl status medicd`",
            ),
        }
    }
}

/// An answer that does not end.
#[derive(Debug)]
pub(crate) struct Pieces {
    body: Incoming,
}

impl Pieces {
    /// The next bytes; `None` when the daemon has ended the answer.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            // A broken connection ends the answer, too: the daemon stopped.
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    }
}

async fn collect(answer: Response<Incoming>) -> Result<Bytes, Failed> {
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| {
            Failed::new(
                Exit::Unreachable,
                "unreachable",
                format!("the daemon's answer broke off: {error}"),
                "see `systemctl status medicd`",
            )
        })
}

/// The daemon's "no", in its own words.
fn refusal(status: StatusCode, body: &[u8]) -> Failed {
    let exit = match status {
        StatusCode::BAD_REQUEST => Exit::Usage,
        StatusCode::FORBIDDEN => Exit::NotPermitted,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT => Exit::Refused,
        StatusCode::SERVICE_UNAVAILABLE => Exit::Unreachable,
        _ => Exit::Internal,
    };
    match serde_json::from_slice::<Failure>(body) {
        Ok(Failure { error }) => Failed {
            exit,
            code: error.code,
            message: error.message,
            hint: error.hint,
        },
        Err(_) => Failed::new(
            exit,
            "unreadable",
            format!("the daemon answered {status}"),
            "",
        ),
    }
}

/// Reads an answer, for text. JSON output does without: it works across versions.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failed> {
    serde_json::from_value(value).map_err(|error| {
        Failed::new(
            Exit::Internal,
            "unknown_form",
            format!(
                "the daemon's answer has a form that medic {} does not know: {error}",
                env!("CARGO_PKG_VERSION")
            ),
            "medic and medicd are of different versions; --json shows the answer as it came",
        )
    })
}

/// A path with `segment` as one part of it, whatever characters it has.
pub(crate) fn path(before: &str, segment: &str, after: &str) -> String {
    let mut path = before.to_owned();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path + after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_odd_names_in_one_part() {
        assert_eq!(
            path("/v1/incidents/", "inc_1", "/why"),
            "/v1/incidents/inc_1/why"
        );
        assert_eq!(
            path("/v1/incidents/", "a/b?c d", ""),
            "/v1/incidents/a%2Fb%3Fc%20d"
        );
    }

    #[test]
    fn refusals_keep_the_daemons_words() {
        let body = br#"{"error":{"code":"refused","message":"expired","hint":"look again"}}"#;
        let failed = refusal(StatusCode::CONFLICT, body);
        assert_eq!(
            (failed.exit, failed.message.as_str()),
            (Exit::Refused, "expired")
        );
        assert_eq!(failed.to_string(), "expired\n  look again");
        assert_eq!(
            refusal(StatusCode::FORBIDDEN, b"<html>").exit,
            Exit::NotPermitted
        );
    }
}
