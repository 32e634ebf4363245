//! Throughput in turns: each contender's turn has a measurement with nobody watching before and
//! after it, so that noise which lasts longer than a turn meets both.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{
    contender::{Contender, Starter},
    load::{Done, Load},
    stage::Stage,
};
use crate::command;

/// How many measurements, and how long each is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Turns of each contender.
    pub(super) rounds: u32,
    /// Length of one measurement.
    pub(super) slice: Duration,
}

/// One measurement of one load beside one contender.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Turn {
    /// Counted from 0.
    pub(super) round: u32,
    /// Who watched.
    pub(super) contender: Contender,
    /// What was done.
    pub(super) load: Load,
    /// How much of it got done.
    pub(super) done: Done,
    /// Time from before the load's start to after its end.
    pub(super) wall_ns: u64,
    /// CPU time of the contender's processes in that time.
    pub(super) own_cpu_ns: u64,
    /// Operations per second with nobody watching: the mean of just before and just after.
    pub(super) nobody_per_s: f64,
    /// CPU time of an operation with nobody watching, likewise.
    pub(super) nobody_cpu_ns_each: f64,
}

impl Turn {
    /// Throughput as a share of that with nobody watching.
    pub(super) fn throughput_ratio(&self) -> f64 {
        self.done.per_s() / self.nobody_per_s
    }

    /// The load's CPU time of an operation as a multiple of that with nobody watching.
    pub(super) fn cpu_ratio(&self) -> f64 {
        self.done.cpu_ns_each() / self.nobody_cpu_ns_each
    }
}

/// All turns, and who could not take part.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    /// In the order of time.
    pub(super) turns: Vec<Turn>,
    /// Why a contender has none.
    pub(super) absent: BTreeMap<Contender, String>,
}

/// Measures `loads` beside each of `contenders`.
///
/// # Errors
/// When a load fails, or at Ctrl-C. A contender that does not start is absent.
pub(super) fn measure(
    starter: &Starter<'_>,
    stage: &Stage,
    loads: &[Load],
    contenders: &[Contender],
    taken: Taken,
) -> Result<Turns> {
    let run = |load: &Load| load.run(stage, starter.programs, taken.slice);
    let each = || loads.iter().map(run).collect::<Result<Vec<Done>>>();
    let mut all = Turns::default();
    let mut before = each()?;
    for round in 0..taken.rounds {
        for contender in order(contenders, round) {
            command::check_interrupt()?;
            if all.absent.contains_key(&contender) {
                continue;
            }
            let beside = match starter.start(contender, all.turns.len()) {
                Ok(running) => loads
                    .iter()
                    .map(|load| {
                        // As with the times of programs, the storm begins unmeasured.
                        run(load)?;
                        let (began, cpu_ns) = (Instant::now(), running.cpu_ns());
                        let done = run(load)?;
                        let cpu_ns = running.cpu_ns().saturating_sub(cpu_ns);
                        Ok((done, cpu_ns, began.elapsed()))
                    })
                    .collect::<Result<Vec<_>>>()?,
                Err(error) => {
                    command::check_interrupt()?;
                    println!("bench: without {}: {error:#}", contender.words());
                    all.absent.insert(contender, format!("{error:#}"));
                    continue;
                }
            };
            let after = each()?;
            for (at, (load, (done, own_cpu_ns, wall))) in loads.iter().zip(beside).enumerate() {
                let mean = |of: fn(&Done) -> f64| f64::midpoint(of(&before[at]), of(&after[at]));
                all.turns.push(Turn {
                    round,
                    contender,
                    load: *load,
                    done,
                    wall_ns: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX),
                    own_cpu_ns,
                    nobody_per_s: mean(Done::per_s),
                    nobody_cpu_ns_each: mean(Done::cpu_ns_each),
                });
            }
            before = after;
        }
        println!(
            "bench: {}: round {} of {}",
            names(loads),
            round + 1,
            taken.rounds
        );
    }
    Ok(all)
}

/// The contenders, beginning with another one each round, and backwards every other round.
pub(super) fn order(contenders: &[Contender], round: u32) -> Vec<Contender> {
    let mut order = contenders.to_vec();
    if order.is_empty() {
        return order;
    }
    order.rotate_left(round as usize % contenders.len());
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// The loads in one line.
pub(super) fn names(loads: &[Load]) -> String {
    let names: Vec<_> = loads.iter().map(|load| load.words()).collect();
    names.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_everyone_and_begins_with_another() {
        let all = [Contender::Nobody, Contender::Capture, Contender::Auditd];
        for round in 0..6 {
            let mut found = order(&all, round);
            found.sort();
            assert_eq!(found, all);
        }
        let firsts: Vec<_> = (0..3).map(|round| order(&all, round)[0]).collect();
        assert_eq!(
            firsts,
            [Contender::Nobody, Contender::Nobody, Contender::Auditd]
        );
        assert_eq!(order(&[], 3), []);
    }

    #[test]
    fn a_turn_is_compared_with_nobody_around_it() {
        let turn = Turn {
            round: 0,
            contender: Contender::Capture,
            load: Load::ExecPinned,
            done: Done {
                operations: 990,
                wall_ns: 1_000_000_000,
                cpu_ns: 999_900_000,
                seen: 1200,
            },
            wall_ns: 1_300_000_000,
            own_cpu_ns: 1_980_000,
            nobody_per_s: 1000.0,
            nobody_cpu_ns_each: 1_000_000.0,
        };
        assert_eq!(turn.throughput_ratio(), 0.99);
        assert_eq!(turn.cpu_ratio(), 1.01);
    }
}
