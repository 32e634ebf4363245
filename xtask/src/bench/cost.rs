//! Time of each BPF program's run while the loads run, beside that of an empty program at the same
//! tracepoint under the same load.
//!
//! The kernel's clock around a run costs time itself, and a run that comes seldom finds its caches
//! cold; both are in the empty program's time, too, so the difference is what a program does.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    contender::{Contender, EMPTY, Running, Starter, point},
    load::Load,
    process,
    stage::Stage,
    stats::Summary,
    turns::{Taken, names, order},
};
use crate::command;

/// Runs of a program in one measurement below which its mean says nothing.
const RUNS_MIN: u64 = 20;

/// Runs for each operation below which a program is none of the load's business.
const RUNS_EACH_MIN: f64 = 0.1;

/// Our hooks and the tracepoints that they are at.
const HOOKS: [(&str, &str); 10] = [
    ("process_exec", "sched_process_exec"),
    ("process_exit", "sched_process_exit"),
    ("process_fork", "sched_process_fork"),
    ("signal_fatal", "signal_generate"),
    ("packet_drop", "kfree_skb"),
    ("block_latency", "block_rq_complete"),
    ("tcp_flow", "inet_sock_set_state"),
    ("tcp_reset_sent", "tcp_send_reset"),
    ("tcp_reset_received", "tcp_receive_reset"),
    ("tcp_retransmit", "tcp_retransmit_skb"),
];

/// Time of one program under one load.
#[derive(Clone, Debug, Serialize)]
pub(super) struct HookRow {
    /// Whose program.
    pub(super) contender: Contender,
    /// What was done meanwhile.
    pub(super) load: Load,
    /// Name of the program.
    pub(super) program: String,
    /// Timed runs, in all rounds.
    pub(super) runs: u64,
    /// Runs for each operation of the load.
    pub(super) runs_each: f64,
    /// Time of a run.
    pub(super) ns: Summary,
    /// Time of an empty program's run at the same tracepoint.
    pub(super) floor_ns: Option<Summary>,
    /// The difference, round by round.
    pub(super) beyond_ns: Option<Summary>,
}

/// One program's runs in one measurement.
#[derive(Clone, Copy, Debug, Default)]
struct Runs {
    round: u32,
    runs: u64,
    run_time_ns: u64,
    operations: u64,
}

impl Runs {
    fn ns(&self) -> f64 {
        self.run_time_ns as f64 / self.runs as f64
    }
}

/// By whose program it is, under which load, and its name.
type Key = (Contender, Load, String);

/// Measures `loads` beside each of `contenders`, one of which is the empty programs.
///
/// # Errors
/// When a load fails, or at Ctrl-C.
pub(super) fn measure(
    starter: &Starter<'_>,
    stage: &Stage,
    loads: &[Load],
    contenders: &[Contender],
    taken: Taken,
) -> Result<Vec<HookRow>> {
    let mut timer = Command::new(starter.programs.dir.join("bench-capture"));
    timer.arg("time-programs").stdout(Stdio::null());
    let mut timer = Timer(command::spawn(&mut timer)?);
    let mut found: BTreeMap<Key, Vec<Runs>> = BTreeMap::new();
    let mut refused = Vec::new();
    for round in 0..taken.rounds {
        for contender in order(contenders, round) {
            command::check_interrupt()?;
            if refused.contains(&contender) {
                continue;
            }
            let running = match starter.start(contender, round as usize) {
                Ok(running) => running,
                Err(error) => {
                    command::check_interrupt()?;
                    println!("bench: without times of {}: {error:#}", contender.words());
                    refused.push(contender);
                    continue;
                }
            };
            timer.check()?;
            let names = program_names(contender, &running)?;
            for load in loads {
                // The storm begins unmeasured: its first events are told one by one, later ones are
                // only counted.
                load.run(stage, starter.programs, taken.slice)?;
                let pid = running.pid().unwrap_or(0);
                let before = process::programs(pid);
                let done = load.run(stage, starter.programs, taken.slice)?;
                let after = process::programs(pid);
                for ((name, before), after) in names.iter().zip(&before).zip(&after) {
                    let runs = Runs {
                        round,
                        runs: after.runs.saturating_sub(before.runs),
                        run_time_ns: after.run_time_ns.saturating_sub(before.run_time_ns),
                        operations: done.seen,
                    };
                    if runs.runs >= RUNS_MIN {
                        let key = (contender, *load, name.clone());
                        found.entry(key).or_default().push(runs);
                    }
                }
            }
        }
        println!(
            "bench: time of programs: {}: round {} of {}",
            names(loads),
            round + 1,
            taken.rounds
        );
    }
    Ok(rows(&found))
}

/// Has the kernel time programs while it lives.
struct Timer(std::process::Child);

impl Timer {
    fn check(&mut self) -> Result<()> {
        let ended = self.0.try_wait().context("cannot look after the timer")?;
        anyhow::ensure!(
            ended.is_none(),
            "the kernel does not time BPF programs here"
        );
        Ok(())
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        command::stop(&mut self.0);
    }
}

/// Names of a contender's programs, in the order of their ids. Scripts' programs are named after
/// their tracepoints, cut, so they are told by their order in the script.
fn program_names(contender: Contender, running: &Running) -> Result<Vec<String>> {
    let programs = process::programs(running.pid().unwrap_or(0));
    if let Some(points) = contender.script() {
        return Ok(points.map(str::to_owned).collect());
    }
    programs
        .iter()
        .map(|program| {
            let mut show = Command::new("bpftool");
            show.args(["--json", "prog", "show", "id", &program.id.to_string()]);
            let shown: serde_json::Value = serde_json::from_str(&command::output(&mut show)?)
                .context("bpftool printed no JSON")?;
            Ok(shown["name"].as_str().unwrap_or("?").to_owned())
        })
        .collect()
}

fn rows(found: &BTreeMap<Key, Vec<Runs>>) -> Vec<HookRow> {
    let named = found
        .iter()
        .filter(|((who, ..), _)| *who != Contender::Empty);
    named
        .filter_map(|((contender, load, program), runs)| {
            let floor = floor_of(program)
                .and_then(|point| found.get(&(Contender::Empty, *load, point.to_owned())));
            let values: Vec<f64> = runs.iter().map(Runs::ns).collect();
            let beyond: Vec<f64> = runs
                .iter()
                .filter_map(|of| {
                    let floor = floor?.iter().find(|floor| floor.round == of.round)?;
                    Some(of.ns() - floor.ns())
                })
                .collect();
            let all = |of: fn(&Runs) -> u64| runs.iter().map(of).sum::<u64>();
            let runs_each = all(|of| of.runs) as f64 / all(|of| of.operations) as f64;
            if runs_each < RUNS_EACH_MIN {
                return None;
            }
            Some(HookRow {
                contender: *contender,
                load: *load,
                program: program.clone(),
                runs: all(|of| of.runs),
                runs_each,
                ns: Summary::of(&values)?,
                floor_ns: floor
                    .and_then(|floor| Summary::of(&floor.iter().map(Runs::ns).collect::<Vec<_>>())),
                beyond_ns: Summary::of(&beyond),
            })
        })
        .collect()
}

/// The tracepoint of a program: of ours by the hook's name, of which bpftool may show only the
/// beginning, of a script's by its own.
fn floor_of(program: &str) -> Option<&'static str> {
    let ours = HOOKS.iter().find(|(hook, _)| is_name(hook, program));
    let ours = ours.map(|(_, point)| *point);
    ours.or_else(|| EMPTY.into_iter().map(point).find(|point| *point == program))
}

/// Whether `shown` is `name`, or the 15 bytes of it that the kernel keeps.
fn is_name(name: &str, shown: &str) -> bool {
    name == shown || (shown.len() == 15 && name.starts_with(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_finds_its_floor_though_its_name_is_cut() {
        assert_eq!(floor_of("process_exec"), Some("sched_process_exec"));
        assert_eq!(floor_of("tcp_reset_recei"), Some("tcp_receive_reset"));
        assert_eq!(floor_of("kfree_skb"), Some("kfree_skb"));
        assert_eq!(floor_of("hung_task"), None);
    }

    #[test]
    fn beyond_the_floor_is_the_difference_of_the_same_round() {
        let of = |round, run_time_ns| Runs {
            round,
            runs: 100,
            run_time_ns,
            operations: 50,
        };
        let key = |who, name: &str| (who, Load::ExecPinned, name.to_owned());
        let found = BTreeMap::from([
            (
                key(Contender::Empty, "sched_process_exec"),
                vec![of(0, 10_000), of(1, 30_000)],
            ),
            (
                key(Contender::Capture, "process_exec"),
                vec![of(0, 20_000), of(1, 40_000), of(2, 90_000)],
            ),
        ]);
        let rows = rows(&found);
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!((row.runs, row.runs_each, row.ns.median), (300, 2.0, 400.0));
        let beyond = row.beyond_ns.unwrap();
        assert_eq!((beyond.median, beyond.count), (100.0, 2));
    }
}
