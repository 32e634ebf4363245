//! `medic probes`: what each kernel hook gives, counts, loses and costs.

use hostmedic_model::{
    loss::{Coverage, HookCounters, HookMode},
    view::{ProbeRow, Probes},
};

use super::text::{Style, Table, Tone, clean, percent, size, span, utc};

/// The page; with `ledger`, every counter too.
pub(crate) fn page(probes: &Probes, ledger: bool, style: Style) -> String {
    let mut page = hooks(probes, style);
    let reasons = reasons(probes, style);
    if !reasons.is_empty() {
        page += &format!(
            "\n{}\n{reasons}",
            style.paint(Tone::Head, "NOT FULLY CAPTURED")
        );
    }
    if ledger {
        page += &format!(
            "\n{}\n{}",
            style.paint(Tone::Head, "LEDGER"),
            counters(probes, style)
        );
    }
    page.push('\n');
    page + &overview(probes, style)
}

fn hooks(probes: &Probes, style: Style) -> String {
    let mut table = Table::with_head(&[
        "HOOK",
        "ATTACHED TO",
        "COVERAGE",
        "MODE",
        "PER S",
        "SEEN",
        "LOST",
        "NS/RUN",
        "OF A CORE",
    ]);
    for row in &probes.hooks {
        let (coverage, tone) = coverage(row.report.coverage);
        let (mode, mode_tone) = mode(row.mode);
        let lost = row.counters.lost();
        let over = row.cpu_ratio > probes.budget.hook_ratio;
        table.row([
            (row.report.hook.clone(), None),
            (row.report.attach_point.clone(), None),
            (coverage.to_owned(), Some(tone)),
            (mode.to_owned(), mode_tone),
            (format!("{:.1}", row.per_s), None),
            (row.counters.seen.to_string(), None),
            (lost.to_string(), (lost > 0).then_some(Tone::Warn)),
            (
                row.run_ns
                    .map_or_else(|| "-".to_owned(), |ns| ns.to_string()),
                None,
            ),
            (share(row.cpu_ratio), over.then_some(Tone::Bad)),
        ]);
    }
    table.render(style)
}

fn reasons(probes: &Probes, style: Style) -> String {
    let mut table = Table::indented(2);
    for ProbeRow { report, .. } in &probes.hooks {
        if report.coverage == Coverage::Captured {
            continue;
        }
        let (word, tone) = coverage(report.coverage);
        table.row([
            (report.hook.clone(), None),
            (word.to_owned(), Some(tone)),
            (report.reason.clone(), None),
        ]);
    }
    table.render(style)
}

fn counters(probes: &Probes, style: Style) -> String {
    let mut table = Table::indented(2);
    let heads = [
        "HOOK",
        "SEEN",
        "DELIVERED",
        "AGGREGATED",
        "SAMPLED OUT",
        "RATE LIMITED",
        "RING FULL",
        "RECOVERED",
        "MAP FULL",
        "FILTERED",
        "MISSED",
        "UNEXPLAINED",
    ];
    table.row(heads.map(|head| (head.to_owned(), Some(Tone::Dim))));
    for ProbeRow { counters: c, .. } in &probes.hooks {
        let loss = |n: u64| (n.to_string(), (n > 0).then_some(Tone::Warn));
        let plain = |n: u64| (n.to_string(), None);
        table.row([
            (c.hook.clone(), None),
            plain(c.seen),
            plain(c.delivered),
            plain(c.aggregated),
            loss(c.sampled_out),
            loss(c.rate_limited),
            loss(c.ring_full),
            plain(c.recovered),
            loss(c.map_full),
            plain(c.filtered),
            loss(c.missed),
            unexplained(c),
        ]);
    }
    let q = &probes.queues;
    format!(
        "{}  after the rings: {} read, {} undecodable, {} queue full, {} taken; {} stored, {} not stored\n",
        table.render(style),
        q.read,
        q.undecodable,
        q.queue_full,
        q.taken,
        q.stored,
        q.not_stored,
    )
}

/// Runs without an end. While a hook runs some are on their way; at rest there must be none.
fn unexplained(counters: &HookCounters) -> (String, Option<Tone>) {
    let difference = i128::from(counters.seen) - i128::from(counters.explained());
    (
        difference.to_string(),
        (difference != 0).then_some(Tone::Bad),
    )
}

fn overview(probes: &Probes, style: Style) -> String {
    let mut table = Table::default();
    let mut row = |name: &str, text: String, tone: Option<Tone>| {
        table.row([(name.to_owned(), Some(Tone::Dim)), (text, tone)]);
    };
    row(
        "covered",
        format!(
            "since {} ({})",
            utc(probes.covered_since.wall_ms),
            span(probes.at.since(probes.covered_since))
        ),
        None,
    );
    if let Some(blind) = probes.blind {
        let why = if blind.rebooted {
            "the host was started anew"
        } else {
            "medicd did not run"
        };
        row(
            "blind",
            format!(
                "{} to {}: {why}",
                utc(blind.from.wall_ms),
                utc(blind.to.wall_ms)
            ),
            Some(Tone::Warn),
        );
    }
    row(
        "memory",
        format!(
            "{} in BPF maps, {} resident",
            size(probes.map_bytes),
            size(probes.rss_bytes)
        ),
        None,
    );
    let all = probes.hooks.iter().map(|row| row.cpu_ratio).sum::<f64>();
    row(
        "cost",
        format!(
            "{} of a core over {:.0} s; a hook may take {}, all together {}",
            share(all),
            probes.over_s,
            percent(probes.budget.hook_ratio),
            percent(probes.budget.all_ratio)
        ),
        (all > probes.budget.all_ratio).then_some(Tone::Bad),
    );
    if let Some(untimed) = &probes.untimed {
        row(
            "estimated",
            format!("the kernel does not time hooks: {}", clean(untimed)),
            Some(Tone::Warn),
        );
    }
    table.render(style)
}

/// `0.004 %`: what a hook costs is small.
pub(crate) fn share(ratio: f64) -> String {
    format!("{:.3} %", ratio * 100.0)
}

fn coverage(coverage: Coverage) -> (&'static str, Tone) {
    match coverage {
        Coverage::Captured => ("captured", Tone::Good),
        Coverage::Degraded => ("degraded", Tone::Warn),
        Coverage::Absent => ("absent", Tone::Bad),
    }
}

fn mode(mode: HookMode) -> (&'static str, Option<Tone>) {
    match mode {
        HookMode::Stream => ("stream", None),
        HookMode::Sample => ("sample", Some(Tone::Warn)),
        HookMode::Count => ("count", Some(Tone::Warn)),
        HookMode::Off => ("off", Some(Tone::Warn)),
    }
}

#[cfg(test)]
mod tests {
    use hostmedic_serve::testing;

    use super::*;

    #[test]
    fn short_and_with_the_ledger() {
        let mut probes = testing::probes();
        let short = page(&probes, false, Style::default());
        probes.untimed = Some("kernel.bpf_stats_enabled is 0".to_owned());
        probes.blind = None;
        let long = page(&probes, true, Style::default());
        let text = format!("{short}\n{long}");
        assert_eq!(text, include_str!("snapshots/probes.txt"), "\n{text}");
    }
}
