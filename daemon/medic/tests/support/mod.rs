//! What the tests of the program share: a made-up daemon, and runs of the real binary.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(dead_code, reason = "each test target uses its own part")]

use std::{
    path::Path,
    process::{Command, Output},
};

use hostmedic_serve::{
    Access, Limits,
    testing::{TestServer, own_access},
};
use serde_json::Value;
use tempfile::TempDir;

/// A made-up daemon in a directory of its own.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) dir: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(own_access())
    }

    pub(crate) fn with(access: Access) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = TestServer::start(dir.path().join("medicd.sock"), access, Limits::default());
        Self { server, dir }
    }

    /// Runs `medic` with arguments split at spaces; `'` keeps words together.
    pub(crate) fn medic(&self, args: &str) -> Ended {
        medic(&self.server.socket, args)
    }
}

/// `medic`, before it runs.
pub(crate) fn command(socket: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medic"));
    command.env("HOSTMEDIC_SOCKET", socket).args(words(args));
    command
}

/// Runs `medic`.
pub(crate) fn medic(socket: &Path, args: &str) -> Ended {
    Ended::from(command(socket, args).output().unwrap())
}

fn words(args: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in args.split('\'').enumerate() {
        if n % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn code(self, code: u8) -> Self {
        assert_eq!(self.code, i32::from(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "no {text:?} on stdout: {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} on stderr: {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
