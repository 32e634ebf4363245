//! The report as Markdown, which reads well in a terminal, too.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    cost::HookRow,
    load::Load,
    report::{Report, Row},
    stats::Summary,
};

/// Everything, losing rows as well.
pub(super) fn text(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "{}: {}, {} CPUs, Linux {}, load average {:.1} when it began; profile {}; {} rounds of {} \
         ms for throughput.\nPeers: {}.\n",
        machine.date,
        machine.processor,
        machine.cpus,
        machine.kernel,
        machine.load_average,
        report.profile,
        report.rounds,
        report.slice_ms,
        machine.peers,
    );
    goals(&mut text, report);
    throughput(&mut text, report);
    hooks(&mut text, report);
    for (contender, why) in &report.absent {
        let why = why.lines().next().unwrap_or_default();
        let _ = writeln!(text, "\nNot measured: {}: {why}", contender.words());
    }
    text
}

fn goals(text: &mut String, report: &Report) {
    text.push_str("\n### Goals\n\n| goal | found | verdict |\n|---|---|---|\n");
    for goal in &report.goals {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            goal.wish,
            goal.found,
            goal.verdict()
        );
    }
}

fn throughput(text: &mut String, report: &Report) {
    let mut last: Option<Load> = None;
    for row in &report.rows {
        if last != Some(row.load) {
            let _ = write!(
                text,
                "\n### Throughput: {}\n\n| who watches | {}s a second | slowed by | IQR of it | \
                 load's CPU | own CPU each | own CPU |\n|---|--:|--:|--:|--:|--:|--:|\n",
                row.load.words(),
                row.load.operation(),
            );
            last = Some(row.load);
        }
        let _ = writeln!(text, "{}", throughput_row(row));
    }
}

fn throughput_row(row: &Row) -> String {
    let percent = |ratio: f64| format!("{:.2}", (1.0 - ratio) * 100.0);
    let ratio = row.throughput_ratio;
    format!(
        "| {} | {:.0} | {} % [{}, {}] | {} to {} % | {:+.2} % [{:+.2}, {:+.2}] | {:.0} ns | {:.2} % |",
        row.contender.words(),
        row.per_s.median,
        percent(ratio.median),
        percent(ratio.high),
        percent(ratio.low),
        percent(ratio.upper_quartile),
        percent(ratio.lower_quartile),
        (row.cpu_ratio.median - 1.0) * 100.0,
        (row.cpu_ratio.low - 1.0) * 100.0,
        (row.cpu_ratio.high - 1.0) * 100.0,
        row.own_cpu_ns_each,
        row.own_cpu_share * 100.0,
    )
}

fn hooks(text: &mut String, report: &Report) {
    text.push_str(
        "\n### Time of BPF programs\n\n| load | whose | program | runs each | ns a run | empty \
         program | beyond it |\n|---|---|---|--:|--:|--:|--:|\n",
    );
    for row in &report.hooks {
        let _ = writeln!(text, "{}", hook_row(row));
    }
    text.push_str("\n| load | whose | BPF time each, beyond empty programs |\n|---|---|--:|\n");
    let of_row = |row: &HookRow| (row.load, row.contender);
    let each: BTreeSet<_> = report.hooks.iter().map(of_row).collect();
    for (load, contender) in each {
        let ns = report.bpf_ns_each(load, contender).unwrap_or_default();
        let (load, whose) = (load.words(), contender.words());
        let _ = writeln!(text, "| {load} | {whose} | {ns:.0} ns |");
    }
}

fn hook_row(row: &HookRow) -> String {
    let spread = |of: Option<Summary>| {
        of.map_or_else(
            || "not known".to_owned(),
            |of| format!("{:.0} [{:.0}, {:.0}]", of.median, of.low, of.high),
        )
    };
    format!(
        "| {} | {} | `{}` | {:.2} | {} | {} | {} |",
        row.load.words(),
        row.contender.words(),
        row.program,
        row.runs_each,
        spread(Some(row.ns)),
        spread(row.floor_ns),
        spread(row.beyond_ns),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{contender::Contender, goals, report::tests::report};

    #[test]
    fn losing_rows_and_absent_peers_are_told() {
        let mut report = report(&[900, 900, 900], &[990, 990, 990]);
        report.goals = goals::judge(&report);
        let why = "not in a container\nmore".to_owned();
        report.absent.insert(Contender::PerfTrace, why);
        let text = text(&report);
        for line in [
            "| fork+exec, one CPU: hostmedic capture slows it by at most 1 % | 10.00 % [10.00, 10.00] | **missed** |",
            "| auditd, execve | 990 | 1.00 % [1.00, 1.00] | 1.00 to 1.00 % | +1.01 % [+1.01, +1.01] | 5051 ns | 0.50 % |",
            "Not measured: perf trace: not in a container",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
