//! Everything that a run found: what the tables, the goals and the JSON are made from.

use std::{collections::BTreeMap, env::consts::ARCH, fs, process::Command, thread};

use anyhow::Result;
use serde::Serialize;

use super::{
    contender::Contender,
    cost::HookRow,
    goals::Goal,
    load::Load,
    stats::Summary,
    turns::{Turn, Turns},
};
use crate::command;

/// Where and when.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Machine {
    /// The processor's name.
    pub(super) processor: String,
    /// How many processors.
    pub(super) cpus: usize,
    /// Release of the kernel.
    pub(super) kernel: String,
    /// The day, in UTC.
    pub(super) date: String,
    /// Processes that wanted to run when it began, in the mean of a minute.
    pub(super) load_average: f64,
    /// Versions of the peers.
    pub(super) peers: String,
}

impl Machine {
    /// This one, now.
    pub(super) fn find() -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "model name").then(|| value.trim().to_owned())
        });
        let load = read("/proc/loadavg");
        let mut versions = Command::new("dpkg-query");
        versions.args(["--show", "--showformat=${Package} ${Version}\\n"]);
        versions.args(["bpftrace", "auditd", "linux-perf"]);
        let versions = command::output(&mut versions).unwrap_or_default();
        Ok(Self {
            processor: model.unwrap_or_else(|| format!("a processor of {ARCH}")),
            cpus: thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            date: command::output(Command::new("date").args(["--utc", "+%Y-%m-%d"]))?,
            load_average: load
                .split(' ')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0.0),
            peers: versions.lines().collect::<Vec<_>>().join(", "),
        })
    }
}

/// One contender beside one load, over all rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// What was done.
    pub(super) load: Load,
    /// Who watched.
    pub(super) contender: Contender,
    /// Operations per second.
    pub(super) per_s: Summary,
    /// Throughput as a share of that with nobody watching.
    pub(super) throughput_ratio: Summary,
    /// The load's CPU time as a multiple of that with nobody watching.
    pub(super) cpu_ratio: Summary,
    /// The contender's own CPU time for an operation, over all rounds together: its work comes in
    /// lumps, so that a median would leave it out.
    pub(super) own_cpu_ns_each: f64,
    /// The same as a share of one CPU.
    pub(super) own_cpu_share: f64,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Where and when.
    pub(super) machine: Machine,
    /// Cargo's profile of what was measured.
    pub(super) profile: String,
    /// Turns of each contender.
    pub(super) rounds: u32,
    /// Length of one measurement.
    pub(super) slice_ms: u64,
    /// Throughput.
    pub(super) rows: Vec<Row>,
    /// Time of programs.
    pub(super) hooks: Vec<HookRow>,
    /// What was wished for, and whether it is so.
    pub(super) goals: Vec<Goal>,
    /// Who could not be measured, and why.
    pub(super) absent: BTreeMap<Contender, String>,
    /// Each measurement of throughput.
    pub(super) turns: Vec<Turn>,
}

impl Report {
    /// With nothing measured yet.
    pub(super) fn new(machine: Machine, rounds: u32, slice_ms: u64) -> Self {
        Self {
            machine,
            profile: String::new(),
            rounds,
            slice_ms,
            rows: Vec::new(),
            hooks: Vec::new(),
            goals: Vec::new(),
            absent: BTreeMap::new(),
            turns: Vec::new(),
        }
    }

    /// Adds what was measured in turns, a row for each load and contender.
    pub(super) fn add_turns(&mut self, loads: &[Load], contenders: &[Contender], more: Turns) {
        for load in loads {
            for contender in contenders {
                let of = |turn: &&Turn| turn.load == *load && turn.contender == *contender;
                let turns: Vec<_> = more.turns.iter().filter(of).copied().collect();
                self.rows.extend(row(*load, *contender, &turns));
            }
        }
        self.turns.extend(more.turns);
        self.absent.extend(more.absent);
    }

    /// Time that all programs of a contender take for one operation of a load beyond empty ones, as far
    /// as their floors are known; `None` where it has none that were timed.
    pub(super) fn bpf_ns_each(&self, load: Load, contender: Contender) -> Option<f64> {
        let of = |row: &&HookRow| row.load == load && row.contender == contender;
        let each = self.hooks.iter().filter(of).map(|row| {
            row.beyond_ns
                .map_or(0.0, |beyond| beyond.median * row.runs_each)
        });
        each.reduce(|sum, ns| sum + ns)
    }

    /// Turns of one contender beside one load, by round.
    pub(super) fn turns_of(&self, load: Load, contender: Contender) -> BTreeMap<u32, Turn> {
        let of = |turn: &&Turn| turn.load == load && turn.contender == contender;
        let turns = self.turns.iter().filter(of);
        turns.map(|turn| (turn.round, *turn)).collect()
    }
}

fn row(load: Load, contender: Contender, turns: &[Turn]) -> Option<Row> {
    let each = |of: fn(&Turn) -> f64| Summary::of(&turns.iter().map(of).collect::<Vec<_>>());
    let sum = |of: fn(&Turn) -> u64| turns.iter().map(of).sum::<u64>() as f64;
    let own_cpu_ns = sum(|turn| turn.own_cpu_ns);
    Some(Row {
        load,
        contender,
        per_s: each(|turn| turn.done.per_s())?,
        throughput_ratio: each(Turn::throughput_ratio)?,
        cpu_ratio: each(Turn::cpu_ratio)?,
        own_cpu_ns_each: own_cpu_ns / sum(|turn| turn.done.seen),
        own_cpu_share: own_cpu_ns / sum(|turn| turn.wall_ns),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::load::Done;

    /// A turn in which a thousand operations a second without a watcher became `per_s`.
    pub(in crate::bench) fn turn(round: u32, contender: Contender, per_s: u64) -> Turn {
        Turn {
            round,
            contender,
            load: Load::ExecPinned,
            done: Done {
                operations: per_s,
                wall_ns: 1_000_000_000,
                cpu_ns: 1_000_000_000,
                seen: per_s,
            },
            wall_ns: 1_000_000_000,
            own_cpu_ns: 5_000_000,
            nobody_per_s: 1000.0,
            nobody_cpu_ns_each: 1_000_000.0,
        }
    }

    /// A report of the throughputs of two contenders.
    pub(in crate::bench) fn report(ours: &[u64], peers: &[u64]) -> Report {
        let mut report = Report::new(Machine::default(), 3, 1000);
        let mut turns = Turns::default();
        for (contender, rates) in [(Contender::Capture, ours), (Contender::Auditd, peers)] {
            for (round, per_s) in (0..).zip(rates) {
                turns.turns.push(turn(round, contender, *per_s));
            }
        }
        report.add_turns(
            &[Load::ExecPinned],
            &[Contender::Capture, Contender::Auditd],
            turns,
        );
        report
    }

    #[test]
    fn a_row_is_made_from_its_own_turns() {
        let report = report(&[990, 1000, 980], &[500, 500, 500]);
        let [ours, peer] = &report.rows[..] else {
            panic!("{:?}", report.rows)
        };
        assert_eq!(ours.throughput_ratio.median, 0.99);
        assert_eq!(peer.throughput_ratio.median, 0.5);
        assert_eq!(peer.own_cpu_ns_each, 10_000.0);
        assert_eq!(peer.own_cpu_share, 0.005);
    }
}
