//! What is wished for, and whether this run says that it is so.

use serde::Serialize;

use super::{
    contender::Contender,
    load::Load,
    report::{Report, Row},
    stats::Summary,
};

/// Most that starting programs may be slowed by.
const SLOWED_MAX: f64 = 0.01;
/// Most time of a hook's run beyond that of an empty program.
const BEYOND_MAX_NS: f64 = 150.0;

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Goal {
    /// What was wished for.
    pub(super) wish: String,
    /// What was found.
    pub(super) found: String,
    /// Whether the median says that it is so.
    pub(super) is_met: bool,
    /// Whether the median's confidence interval says the same from end to end.
    pub(super) is_sure: bool,
}

impl Goal {
    /// The verdict in a word or two.
    pub(super) fn verdict(&self) -> &'static str {
        match (self.is_met, self.is_sure) {
            (true, true) => "met",
            (true, false) => "met, within the noise",
            (false, true) => "**missed**",
            (false, false) => "**missed**, within the noise",
        }
    }
}

/// All of them.
pub(super) fn judge(report: &Report) -> Vec<Goal> {
    let rows = || report.rows.iter();
    let slowed = rows()
        .filter(|row| matches!(row.load, Load::ExecPinned | Load::ExecEach))
        .filter(|row| row.contender.is_ours())
        .map(slowed);
    let ours_for = |load: Load| match load {
        Load::DiskRead => Contender::CaptureLatency,
        _ => Contender::Capture,
    };
    let peers = || rows().filter(|row| row.contender.is_peer());
    let faster = peers().filter_map(|peer| faster(report, ours_for(peer.load), peer));
    let lighter = peers().filter_map(|peer| {
        let is_ours = |row: &&Row| row.load == peer.load && row.contender == ours_for(peer.load);
        Some(lighter(report, rows().find(is_ours)?, peer))
    });
    slowed
        .chain(short(report))
        .chain(faster)
        .chain(lighter)
        .collect()
}

/// Starting programs is slowed by little.
fn slowed(row: &Row) -> Goal {
    let ratio = row.throughput_ratio;
    Goal {
        wish: format!(
            "{}: {} slows it by at most {:.0} %",
            row.load.words(),
            row.contender.words(),
            SLOWED_MAX * 100.0
        ),
        found: format!(
            "{:.2} % [{:.2}, {:.2}]",
            (1.0 - ratio.median) * 100.0,
            (1.0 - ratio.high) * 100.0,
            (1.0 - ratio.low) * 100.0
        ),
        is_met: ratio.median >= 1.0 - SLOWED_MAX,
        is_sure: ratio.differs_from(1.0 - SLOWED_MAX),
    }
}

/// No hook of ours takes long: one goal, with the slowest hook as what was found.
fn short(report: &Report) -> Option<Goal> {
    let ours = report.hooks.iter().filter(|row| row.contender.is_ours());
    let beyond = ours.filter_map(|row| Some((row, row.beyond_ns?)));
    let (row, worst) = beyond.max_by(|a, b| a.1.median.total_cmp(&b.1.median))?;
    Some(Goal {
        wish: format!("no hook takes more than {BEYOND_MAX_NS} ns beyond an empty program"),
        found: format!(
            "`{}`, {}: {:.0} ns [{:.0}, {:.0}]",
            row.program,
            row.load.words(),
            worst.median,
            worst.low,
            worst.high
        ),
        is_met: worst.median <= BEYOND_MAX_NS,
        is_sure: worst.differs_from(BEYOND_MAX_NS),
    })
}

/// More gets done beside hostmedic than beside a peer, round by round.
fn faster(report: &Report, ours: Contender, peer: &Row) -> Option<Goal> {
    let theirs = report.turns_of(peer.load, peer.contender);
    let ours_by_round = report.turns_of(peer.load, ours);
    let differences: Vec<f64> = ours_by_round
        .iter()
        .filter_map(|(round, turn)| {
            Some(turn.throughput_ratio() - theirs.get(round)?.throughput_ratio())
        })
        .collect();
    let difference = Summary::of(&differences)?;
    Some(Goal {
        wish: format!(
            "{}: more gets done beside {} than beside {}",
            peer.load.words(),
            ours.words(),
            peer.contender.words()
        ),
        found: format!(
            "{:+.2} % [{:+.2}, {:+.2}]",
            difference.median * 100.0,
            difference.low * 100.0,
            difference.high * 100.0
        ),
        is_met: difference.median > 0.0,
        is_sure: difference.differs_from(0.0),
    })
}

/// hostmedic works less than a peer for the same operations: its process, and beside a peer whose BPF
/// programs were timed as ours were, those as well. What other peers do within the kernel is in the load's
/// CPU time only.
fn lighter(report: &Report, ours: &Row, peer: &Row) -> Goal {
    let (load, ours_is, peer_is) = (peer.load, ours.contender.words(), peer.contender.words());
    let (own, theirs) = (ours.own_cpu_ns_each, peer.own_cpu_ns_each);
    let programs = |row: &Row| report.bpf_ns_each(load, row.contender);
    let (wish, found, is_met) = match (programs(ours), programs(peer)) {
        (Some(of_ours), Some(of_theirs)) => (
            format!("{ours_is}, programs and process, uses less CPU than {peer_is}"),
            format!(
                "{:.0} ns and {:.0} ns a {}, the process {own:.0} and {theirs:.0} of them",
                own + of_ours,
                theirs + of_theirs,
                load.operation()
            ),
            own + of_ours < theirs + of_theirs,
        ),
        _ => (
            format!("{ours_is} itself uses less CPU than {peer_is}"),
            format!("{own:.0} ns and {theirs:.0} ns a {}", load.operation()),
            own < theirs,
        ),
    };
    Goal {
        wish: format!("{}: {wish}", load.words()),
        found,
        is_met,
        is_sure: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{cost::HookRow, report::tests::report};

    #[test]
    fn slow_and_heavy_is_missed_and_said_so() {
        let goals = judge(&report(&[500, 510, 490], &[990, 1000, 980]));
        let verdicts: Vec<_> = goals.iter().map(Goal::verdict).collect();
        // The CPU time of both is the same in each turn, so ours is more for each operation.
        assert_eq!(verdicts, ["**missed**", "**missed**", "**missed**"]);
        assert_eq!(goals[0].found, "50.00 % [49.00, 51.00]");
        assert_eq!(goals[1].found, "-49.00 % [-49.00, -49.00]");
    }

    #[test]
    fn fast_and_light_is_met() {
        let goals = judge(&report(&[1000, 999, 1001], &[700, 690, 710]));
        assert!(
            goals.iter().all(|goal| goal.verdict() == "met"),
            "{goals:?}"
        );
    }

    #[test]
    fn time_of_programs_counts_where_both_have_some() {
        let mut report = report(&[1000; 3], &[1000; 3]);
        let hook = |contender, ns: f64| HookRow {
            contender,
            load: Load::ExecPinned,
            program: "p".to_owned(),
            runs: 100,
            runs_each: 2.0,
            ns: Summary::of(&[ns]).unwrap(),
            floor_ns: None,
            beyond_ns: Summary::of(&[ns]),
        };
        report.hooks = vec![
            hook(Contender::Capture, 100.0),
            hook(Contender::Auditd, 300.0),
        ];
        let goal = judge(&report).pop().unwrap();
        assert_eq!(
            goal.found,
            "5200 ns and 5600 ns a program, the process 5000 and 5000 of them"
        );
        assert!(goal.is_met);
    }

    #[test]
    fn a_goal_inside_of_the_noise_is_not_sure() {
        let goals = judge(&report(&[950, 995, 1050, 990, 940], &[700; 5]));
        assert_eq!(goals[0].verdict(), "met, within the noise");
    }
}
