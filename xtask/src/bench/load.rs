//! The loads: what is done while a contender watches, and how much of it got done.

use std::{path::PathBuf, process::Command, thread, time::Duration};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::stage::Stage;
use crate::command;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Load {
    /// Programs started one after another on one CPU.
    ExecPinned,
    /// The same on every CPU at once.
    ExecEach,
    /// Datagrams that the receiver's packet filter drops.
    UdpDrop,
    /// Connections to a port where nobody listens.
    TcpRefused,
    /// One stream of bytes, without drops.
    TcpStream,
    /// Direct reads of 4 KiB from a loop device over memory.
    DiskRead,
}

impl Load {
    /// What it is, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::ExecPinned => "fork+exec, one CPU",
            Self::ExecEach => "fork+exec, every CPU",
            Self::UdpDrop => "UDP flood, all dropped",
            Self::TcpRefused => "TCP connects, all refused",
            Self::TcpStream => "TCP stream, no drops",
            Self::DiskRead => "direct reads of 4 KiB",
        }
    }

    /// What is counted.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::ExecPinned | Self::ExecEach => "program",
            Self::UdpDrop => "packet",
            Self::TcpRefused => "connection",
            Self::TcpStream => "KiB",
            Self::DiskRead => "read",
        }
    }

    /// Works for `span` and says what got done.
    pub(super) fn run(self, stage: &Stage, programs: &Programs, span: Duration) -> Result<Done> {
        let mut command = match self {
            Self::UdpDrop | Self::TcpRefused | Self::TcpStream => {
                let mut command = stage.in_sender();
                command.args(programs.pinned());
                command
            }
            Self::DiskRead => command_of(programs.pinned()),
            Self::ExecPinned | Self::ExecEach => command_of(programs.first()),
        };
        let verb = match self {
            Self::ExecPinned | Self::ExecEach => "exec",
            Self::UdpDrop => "udp",
            Self::TcpRefused => "connect",
            Self::TcpStream => "stream",
            Self::DiskRead => "read",
        };
        command.args([verb, &span.as_millis().to_string()]);
        match self {
            Self::ExecPinned => command.arg(last_cpu().to_string()),
            Self::ExecEach => command.args((0..=last_cpu()).map(|cpu| cpu.to_string())),
            Self::UdpDrop => command.arg(stage.dropped_port()),
            Self::TcpRefused => command.arg(stage.closed_port()),
            Self::TcpStream => command.arg(stage.open_port()),
            Self::DiskRead => command.arg(stage.device()),
        };
        let line = command::output(&mut command)
            .with_context(|| format!("the load `{}` failed", self.words()))?;
        Done::parse(&line).with_context(|| format!("`{}` printed `{line}`", self.words()))
    }
}

/// What a load got done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Done {
    /// Operations.
    pub(super) operations: u64,
    /// Time they took by the clock.
    pub(super) wall_ns: u64,
    /// CPU time of the load's processes.
    pub(super) cpu_ns: u64,
    /// Operations with those of the warm start: what a contender saw.
    pub(super) seen: u64,
}

impl Done {
    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map(|word| word.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        let done = Self {
            operations: next()?,
            wall_ns: next()?,
            cpu_ns: next()?,
            seen: next()?,
        };
        (done.operations > 0 && done.wall_ns > 0).then_some(done)
    }

    /// Operations in a second.
    pub(super) fn per_s(&self) -> f64 {
        self.operations as f64 * 1e9 / self.wall_ns as f64
    }

    /// CPU time of one operation.
    pub(super) fn cpu_ns_each(&self) -> f64 {
        self.cpu_ns as f64 / self.operations as f64
    }
}

/// Where the programs of the benchmark lie.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    /// Cargo's directory of built programs.
    pub(super) dir: PathBuf,
}

impl Programs {
    /// The load's command line, ahead of everything else on the machine: see `docs/benchmarks.md`.
    pub(super) fn first(&self) -> Vec<String> {
        let load = self.dir.join("bench-load").to_string_lossy().into_owned();
        PRIORITY
            .map(str::to_owned)
            .into_iter()
            .chain([load])
            .collect()
    }

    /// The same on one CPU, as all of it that is not about many: where the scheduler puts the ends of
    /// a pipe makes more difference than any contender.
    pub(super) fn pinned(&self) -> Vec<String> {
        let cpu = last_cpu().to_string();
        let pin = ["taskset", "--cpu-list", &cpu].map(str::to_owned);
        pin.into_iter().chain(self.first()).collect()
    }
}

/// The CPU of what runs on one: the first takes most interrupts.
pub(super) fn last_cpu() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get) - 1
}

fn command_of(words: Vec<String>) -> Command {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// What loads and contenders are started with: both come before other work on the machine, and
/// neither before the other.
pub(super) const PRIORITY: [&str; 3] = ["nice", "-n", "-20"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_four_numbers_and_some_work() {
        let done = Done::parse("500 250000000 240000000 620").unwrap();
        assert_eq!((done.per_s(), done.cpu_ns_each()), (2000.0, 480_000.0));
        for line in ["", "500 1", "0 1 1 1", "500 0 1 1", "x 1 1 1"] {
            assert_eq!(Done::parse(line), None, "{line}");
        }
    }
}
