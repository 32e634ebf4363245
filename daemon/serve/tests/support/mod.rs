//! What the tests of the API share: a server on a real socket, and requests to it.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(dead_code, reason = "each test target uses its own part")]

use std::path::Path;

use hostmedic_serve::{
    Limits,
    testing::{TestServer, own_access},
};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::UnixStream;

/// A server in a directory of its own.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    _dir: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = TestServer::start(dir.path().join("medicd.sock"), own_access(), limits);
        Self { server, _dir: dir }
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let answer = raw(&self.server.socket, method, path, body).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&bytes)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&bytes)));
        (status, json)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Method::GET, path, "").await
    }

    pub(crate) async fn command(&self, body: &str) -> (StatusCode, Value) {
        self.send(Method::POST, "/v1/commands", body).await
    }
}

/// Sends a request and returns the answer's head; its body may still come.
pub(crate) async fn raw(
    socket: &Path,
    method: Method,
    path: &str,
    body: &str,
) -> Response<Incoming> {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    sender.send_request(request).await.unwrap()
}
