//! Requests over a real socket: what is refused, how it is said, and that bounds hold.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use hostmedic_model::{
    command::Command,
    record::{Body, Record},
    view::Missed,
};
use hostmedic_serve::{Limits, testing::Fault};
use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use support::{Scene, raw};

#[tokio::test]
async fn bad_requests_say_what_and_where() {
    let scene = Scene::new();
    for (method, path, body, status, code, message) in [
        (Method::GET, "/", "", 404, "not_found", "no path /"),
        (
            Method::GET,
            "/v1/statu",
            "",
            404,
            "not_found",
            "no path /v1/statu",
        ),
        (
            Method::GET,
            "/v1/incidents?al=1",
            "",
            400,
            "bad_request",
            "unknown field `al`",
        ),
        (
            Method::GET,
            "/v1/incidents?all=maybe",
            "",
            400,
            "bad_request",
            "`all=maybe`",
        ),
        (
            Method::GET,
            "/v1/audit?from=-1",
            "",
            400,
            "bad_request",
            "`from=-1`",
        ),
        (
            Method::GET,
            "/v1/audit?limit=1001",
            "",
            400,
            "bad_request",
            "limit 1001",
        ),
        (
            Method::GET,
            "/v1/events?kind=oom_kill,nonsense",
            "",
            400,
            "bad_request",
            "no kind `nonsense`",
        ),
        (
            Method::GET,
            "/v1/events?unit=web",
            "",
            400,
            "bad_request",
            "unit name `web`",
        ),
        (
            Method::GET,
            "/v1/events?since=yesterday",
            "",
            400,
            "bad_request",
            "`since=yesterday",
        ),
        (
            Method::GET,
            "/v1/events?since=5&until=5",
            "",
            400,
            "bad_request",
            "since 5 is not before until 5",
        ),
        (
            Method::GET,
            "/v1/events?limit=1001",
            "",
            400,
            "bad_request",
            "limit 1001",
        ),
        (
            Method::GET,
            "/v1/events?units=a.service",
            "",
            400,
            "bad_request",
            "unknown field `units`",
        ),
        (
            Method::GET,
            "/v1/coverage?since=1",
            "",
            400,
            "bad_request",
            "missing field `hook`",
        ),
        (
            Method::GET,
            "/v1/coverage?hook=a",
            "",
            400,
            "bad_request",
            "missing field `since`",
        ),
        (
            Method::GET,
            "/v1/coverage?hook=a&since=2&until=1",
            "",
            400,
            "bad_request",
            "since 2 is not before until 1",
        ),
        (
            Method::GET,
            "/v1/coverage?hook=nonsense&since=1",
            "",
            404,
            "not_found",
            "no hook nonsense",
        ),
        (
            Method::GET,
            "/v1/incidents/inc_1",
            "",
            404,
            "not_found",
            "no incident inc_1",
        ),
        (
            Method::GET,
            "/v1/incidents/a%2Fb/why",
            "",
            404,
            "not_found",
            "no incident a/b",
        ),
        (
            Method::POST,
            "/v1/status",
            "",
            405,
            "method_not_allowed",
            "/v1/status",
        ),
        (
            Method::GET,
            "/v1/commands",
            "",
            405,
            "method_not_allowed",
            "/v1/commands",
        ),
        (
            Method::DELETE,
            "/v1/incidents",
            "",
            405,
            "method_not_allowed",
            "DELETE",
        ),
        (
            Method::POST,
            "/v1/commands",
            "",
            400,
            "bad_request",
            "line 1 column 0",
        ),
        (
            Method::POST,
            "/v1/commands",
            "{\"a\":\n1,}",
            400,
            "bad_request",
            "line 2 column 3",
        ),
        (
            Method::POST,
            "/v1/commands",
            r#"{"command":"pause","reason":"x","unit":"a.service"}"#,
            400,
            "bad_request",
            "`unit`",
        ),
        (
            Method::POST,
            "/v1/commands",
            r#"{"command":"reject","incident":"inc_1","reason":"no"}"#,
            404,
            "not_found",
            "proposal of inc_1",
        ),
        (
            Method::POST,
            "/v1/commands",
            r#"{"command":"resume"}"#,
            409,
            "refused",
            "not paused",
        ),
    ] {
        let (got, answer) = scene.send(method.clone(), path, body).await;
        let error = &answer["error"];
        assert_eq!(got.as_u16(), status, "{method} {path} {body}: {answer}");
        assert_eq!(error["code"], code, "{method} {path} {body}");
        assert!(
            error["message"].as_str().unwrap().contains(message),
            "{answer}"
        );
        assert!(!error["hint"].as_str().unwrap().is_empty(), "{answer}");
    }
    // What was refused for its form never reached the daemon.
    let reached: Vec<Command> = scene
        .server
        .daemon
        .commands()
        .into_iter()
        .map(|c| c.command)
        .collect();
    assert_eq!(reached.len(), 2, "{reached:?}");
}

#[tokio::test]
async fn refused_method_names_the_allowed_one() {
    let scene = Scene::new();
    let answer = raw(&scene.server.socket, Method::PUT, "/v1/commands", "").await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()["allow"], "POST");
}

#[tokio::test]
async fn operators_name_is_the_peers_not_the_requests() {
    let scene = Scene::new();
    let (status, _) = scene
        .command(r#"{"command":"pause","reason":"look"}"#)
        .await;
    assert_eq!(status, StatusCode::OK);
    let (status, answer) = scene
        .command(r#"{"command":"resume","by":{"uid":0,"name":"root"}}"#)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    let commands = scene.server.daemon.commands();
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].by.uid, nix::unistd::geteuid().as_raw());
}

#[tokio::test]
async fn large_bodies_are_refused_whether_declared_or_not() {
    let scene = Scene::new();
    let large = format!(r#"{{"command":"pause","reason":"{}"}}"#, "x".repeat(20_000));
    let (status, answer) = scene.command(&large).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");

    // The same in chunks, with no length declared.
    let mut stream = UnixStream::connect(&scene.server.socket).unwrap();
    let head = "POST /v1/commands HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                transfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // It may answer and close before it has read all: then the rest cannot be written, nor read on.
    _ = write!(stream, "{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(scene.server.daemon.commands().is_empty());
}

#[tokio::test]
async fn too_many_headers_and_nonsense_are_refused() {
    let scene = Scene::new();
    let many = (0..40).map(|n| format!("x-{n}: y\r\n")).collect::<String>();
    let long = format!("x: {}\r\n", "y".repeat(32 * 1024));
    for (head, status) in [
        (
            format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{many}\r\n"),
            "431",
        ),
        (
            format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{long}\r\n"),
            "431",
        ),
        ("\0\0\0 nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let mut stream = UnixStream::connect(&scene.server.socket).unwrap();
        let answer = tokio::task::spawn_blocking(move || {
            // The server may hang up before it has read all.
            stream.write_all(head.as_bytes()).ok();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok();
            String::from_utf8_lossy(&answer).into_owned()
        });
        let answer = answer.await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {answer}"
        );
    }
    assert_eq!(scene.get("/v1/status").await.0, StatusCode::OK);
}

#[tokio::test]
async fn silent_peer_is_hung_up_on() {
    let scene = Scene::with(Limits {
        head_max: Duration::from_millis(50),
        ..Limits::default()
    });
    let mut stream = UnixStream::connect(&scene.server.socket).unwrap();
    stream.write_all(b"GET /v1/sta").unwrap();
    // Without the limit this read would never end.
    let read = tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new()));
    read.await.unwrap().unwrap();
}

#[tokio::test]
async fn daemons_faults_are_told_apart() {
    let scene = Scene::with(Limits {
        request_max: Duration::from_millis(100),
        ..Limits::default()
    });
    for (fault, status, code) in [
        (Fault::Unavailable, 503, "unavailable"),
        (Fault::Unreadable, 500, "unreadable"),
        (Fault::Hangs, 503, "timeout"),
    ] {
        scene.server.daemon.fail(Some(fault));
        let (got, answer) = scene.get("/v1/status").await;
        assert_eq!(
            (got.as_u16(), &answer["error"]["code"]),
            (status, &code.into())
        );
    }
    // A command that got no answer may still have been carried out, and the hint says so.
    let (_, answer) = scene.command(r#"{"command":"resume"}"#).await;
    assert!(
        answer["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("may still"),
        "{answer}"
    );
    scene.server.daemon.fail(None);
    assert_eq!(scene.get("/v1/status").await.0, StatusCode::OK);
}

#[tokio::test]
async fn connections_are_bounded() {
    let scene = Scene::with(Limits {
        connections_per_user_max: 2,
        connections_root_max: 2,
        ..Limits::default()
    });
    let held: Vec<_> = (0..2)
        .map(|_| UnixStream::connect(&scene.server.socket).unwrap())
        .collect();
    let (status, answer) = scene.get("/v1/status").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["error"]["code"], "busy");
    drop(held);
    // The server needs a moment to notice that they are gone.
    loop {
        if scene.get("/v1/status").await.0 == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads the event stream until `wanted` says that it has seen enough.
async fn read_events(
    body: &mut hyper::body::Incoming,
    text: &mut String,
    wanted: impl Fn(&str) -> bool,
) {
    while !wanted(text) {
        let frame = body.frame().await.unwrap().unwrap();
        if let Some(data) = frame.data_ref() {
            text.push_str(std::str::from_utf8(data).unwrap());
        }
    }
}

#[tokio::test]
async fn watchers_see_new_records_and_what_they_missed() {
    let mut scene = Scene::new();
    let answer = raw(&scene.server.socket, Method::GET, "/v1/watch", "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    let mut text = String::new();

    assert_eq!(scene.server.daemon.watchers(), 1);
    let stopped = |n: usize| Body::Stopped {
        reason: format!("reason {n}"),
    };
    scene.server.daemon.append(stopped(0));
    read_events(&mut body, &mut text, |text| text.contains("\n\n")).await;
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    let record: Record = serde_json::from_str(data).unwrap();
    assert_eq!(record.body, stopped(0));
    assert!(text.contains("event: record\n"), "{text}");
    assert!(text.contains(&format!("id: {}\n", record.seq)), "{text}");

    // Nobody reads while far more records come than are kept for a watcher. Each is large, so
    // that the socket's buffers cannot hold them either.
    text.clear();
    for n in 0..500 {
        scene.server.daemon.append(Body::Stopped {
            reason: format!("{n} {}", "x".repeat(8192)),
        });
    }
    scene.server.daemon.append(stopped(1));
    read_events(&mut body, &mut text, |text| text.contains("reason 1\"")).await;
    let missed: u64 = text
        .split("\n\n")
        .filter(|event| event.contains("event: missed\n"))
        .filter_map(|event| event.lines().find_map(|line| line.strip_prefix("data: ")))
        .map(|data| serde_json::from_str::<Missed>(data).unwrap().missed)
        .sum();
    let delivered = text.matches("event: record\n").count() as u64;
    assert!(missed > 0);
    assert_eq!(
        missed + delivered,
        501,
        "each record was delivered or counted"
    );

    // A stop does not wait for watchers.
    scene.server.stop();
    assert!(!scene.server.socket.exists());
    assert!(body.frame().await.is_none_or(|frame| frame.is_err()));
}
