//! What the audit chain proves about one hook and a span of time: which of it is covered, what is
//! missing and why, and how many events the hook saw, gave and lost.
//!
//! Spans are of the wall clock, because that is how people ask. Where it was set meanwhile, a row
//! counts for every reading that it may have had, and a gap beats a row: the statement can be too
//! careful, never too sure.

use std::collections::BTreeMap;

use hostmedic_model::{
    loss::{Coverage, HookCounters, HookMode},
    record::{Body, CoverageRow, Record, Started},
    time::{At, BootId},
    view::{CoveragePart, CoverageQuery, Gap, HookCoverage, WallSpan},
};

/// Difference between the two clocks over one interval up to which the wall clock was only
/// slewed (adjtime(3)), not set.
const SLEW_MAX_MS: i64 = 1000;

/// Reads records in chain order and states what they prove.
///
/// It needs the newest start and the newest row before the span, too: the row's counters are what
/// the first row in the span is compared to.
#[derive(Debug)]
pub struct Account {
    query: CoverageQuery,
    /// Whether any start of the daemon named the hook.
    known: bool,
    run: Option<Run>,
    /// Newest record, and its boot.
    newest: Option<(At, BootId)>,
    boots: u32,
    /// Counters at the end of the newest row that had any.
    counters: Option<HookCounters>,
    rows: Vec<Row>,
    /// Gaps that hold whatever a row says, and those that a row closes.
    firm: Vec<(WallSpan, Gap)>,
    weak: Vec<(WallSpan, Gap)>,
}

/// The daemon's newest run.
#[derive(Debug)]
struct Run {
    /// Why the hook gives nothing, if so.
    absent: Option<String>,
    mode: HookMode,
    mode_since: At,
    /// Where the next row begins.
    row_from: At,
    over: bool,
}

/// One row of the ledger, as far as it concerns the hook.
#[derive(Debug)]
struct Row {
    /// Its beginning and end, and the count of boots seen until then.
    from: At,
    to: At,
    boots: u32,
    span: WallSpan,
    seen: u64,
    delivered: u64,
    lost: u64,
}

impl Account {
    /// An account of `query`, before the first record.
    pub fn new(query: CoverageQuery) -> Self {
        Self {
            query,
            known: false,
            run: None,
            newest: None,
            boots: 0,
            counters: None,
            rows: Vec::new(),
            firm: Vec::new(),
            weak: Vec::new(),
        }
    }

    /// Takes the next record of the chain in.
    pub fn take(&mut self, record: &Record) {
        if (self.newest.as_ref()).is_none_or(|(_, boot)| *boot != record.boot) {
            self.boots += 1;
        }
        match &record.body {
            Body::Started(started) => self.started(record, started),
            Body::Stopped { .. } => {
                if let Some(run) = &mut self.run {
                    run.over = true;
                }
            }
            Body::HookMode(change) if change.hook == self.query.hook => {
                if let Some(run) = &mut self.run {
                    let span = hull(run.mode_since, record.at);
                    if let Some(gap) = reduced(run.mode) {
                        self.firm.push((span, gap));
                    }
                    run.mode = change.to;
                    run.mode_since = record.at;
                }
            }
            Body::Coverage(row) => self.row(record.at, row),
            _ => {}
        }
        self.newest = Some((record.at, record.boot.clone()));
    }

    fn started(&mut self, record: &Record, started: &Started) {
        let at = record.at;
        self.weak.push(match &self.newest {
            None => (
                WallSpan {
                    from_ms: i64::MIN,
                    to_ms: at.wall_ms,
                },
                Gap::BeforeChain,
            ),
            Some((newest, boot)) if *boot == record.boot => (hull(*newest, at), Gap::NotRunning),
            Some((newest, _)) => (apart(*newest, at), Gap::Rebooted),
        });
        if let Some(blind) = started.blind {
            self.firm.push(if blind.rebooted {
                (apart(blind.from, blind.to), Gap::Rebooted)
            } else {
                (hull(blind.from, blind.to), Gap::NotRunning)
            });
        }
        let report = (started.hooks.iter()).find(|report| report.hook == self.query.hook);
        self.known |= report.is_some();
        self.run = Some(Run {
            absent: match report {
                Some(report) if report.coverage == Coverage::Absent => Some(report.reason.clone()),
                Some(_) => None,
                None => Some("this version does not have it".to_owned()),
            },
            mode: HookMode::Stream,
            mode_since: at,
            row_from: at,
            over: false,
        });
    }

    fn row(&mut self, at: At, row: &CoverageRow) {
        let Some(run) = &mut self.run else { return };
        // Rows of the first version did not say where they begin.
        let from = if row.from == At::default() {
            run.row_from
        } else {
            row.from
        };
        // Nor where they end; then the record is the best there is.
        let to = if row.to == At::default() { at } else { row.to };
        let span = hull(from, to);
        run.row_from = to;
        let counters = (row.hooks.iter()).find(|counters| counters.hook == self.query.hook);
        if let Some(reason) = &run.absent {
            let reason = reason.clone();
            self.firm.push((span, Gap::Absent { reason }));
            return;
        }
        let Some(counters) = counters else {
            self.firm.push((span, Gap::NoRow));
            return;
        };
        let named = row.reduced.iter().find(|(hook, _)| *hook == counters.hook);
        let mode = named.map_or(HookMode::Stream, |(_, mode)| *mode);
        if let Some(gap) = reduced(run.mode) {
            self.firm.push((hull(run.mode_since, at), gap));
        } else if let Some(gap) = reduced(mode) {
            // The record of the change is not in the chain: it may have been at any moment.
            self.firm.push((span, gap));
        }
        run.mode = mode;
        run.mode_since = at;
        // Where the row before did not say its end: its counters were read a little before it was
        // written, and what came in between is in this row.
        if let Some(last) = self.rows.last_mut()
            && last.boots == self.boots
            && last.from.boot_ns < from.boot_ns
            && from.boot_ns < last.to.boot_ns
        {
            last.to = from;
            last.span = hull(last.from, from);
        }
        let (seen, delivered, lost) = rose(self.counters.as_ref(), counters);
        self.rows.push(Row {
            from,
            to,
            boots: self.boots,
            span,
            seen,
            delivered,
            lost,
        });
        self.counters = Some(counters.clone());
    }

    /// The statement; `None` when no record knows the hook.
    pub fn finish(mut self) -> Option<HookCoverage> {
        if !self.known {
            return None;
        }
        let newest_ms = self.newest.as_ref().map_or(i64::MIN, |(at, _)| at.wall_ms);
        if let Some(run) = &self.run {
            let (from_ms, gap) = if run.over {
                (newest_ms, Gap::NotRunning)
            } else {
                (run.row_from.wall_ms, Gap::Open)
            };
            let to_ms = i64::MAX;
            self.firm.push((WallSpan { from_ms, to_ms }, gap));
        }
        let since_ms = self.query.since_ms;
        let rows_end = self.rows.last().map_or(newest_ms, |row| row.span.to_ms);
        let end_ms = if rows_end > since_ms {
            rows_end
        } else {
            newest_ms
        };
        let asked = WallSpan {
            from_ms: since_ms,
            to_ms: (self.query.until_ms)
                .unwrap_or(end_ms)
                .max(since_ms.saturating_add(1)),
        };
        let span = self.whole_rows(asked);
        let parts = self.parts(span);
        let mut totals = [0_u64; 3];
        for row in self.rows.iter().filter(|row| overlap(row.span, span)) {
            for (total, part) in totals.iter_mut().zip([row.seen, row.delivered, row.lost]) {
                *total = total.saturating_add(part);
            }
        }
        let [seen, delivered, lost] = totals;
        let mut answer = HookCoverage {
            hook: self.query.hook,
            asked,
            span,
            proven: lost == 0 && parts.iter().all(|part| part.gap.is_none()),
            parts,
            seen,
            delivered,
            lost,
            statement: String::new(),
        };
        answer.statement = statement(&answer);
        Some(answer)
    }

    /// `span`, rounded outward to whole rows.
    fn whole_rows(&self, mut span: WallSpan) -> WallSpan {
        loop {
            let before = span;
            for row in self.rows.iter().filter(|row| overlap(row.span, before)) {
                span.from_ms = span.from_ms.min(row.span.from_ms);
                span.to_ms = span.to_ms.max(row.span.to_ms);
            }
            if span == before {
                return span;
            }
        }
    }

    /// `whole` in parts. A firm gap beats a row, a row beats a weak gap, and what nobody claims
    /// has no row.
    fn parts(&self, whole: WallSpan) -> Vec<CoveragePart> {
        let mut claims = Vec::new();
        let rows = self.rows.iter().map(|row| (row.span, Claim::Covered));
        let firm = (self.firm.iter()).map(|(span, gap)| (*span, Claim::Firm(gap)));
        let weak = (self.weak.iter()).map(|(span, gap)| (*span, Claim::Weak(gap)));
        for (span, claim) in rows.chain(firm).chain(weak) {
            if overlap(span, whole) {
                claims.push((span.from_ms.max(whole.from_ms), true, claim.clone()));
                claims.push((span.to_ms.min(whole.to_ms), false, claim));
            }
        }
        claims.sort_by_key(|(at_ms, _, _)| *at_ms);
        let mut claims = claims.into_iter().peekable();
        let mut standing: BTreeMap<Claim<'_>, usize> = BTreeMap::new();
        let mut parts: Vec<CoveragePart> = Vec::new();
        let mut from_ms = whole.from_ms;
        while from_ms < whole.to_ms {
            while let Some((_, begins, claim)) = claims.next_if(|(at_ms, _, _)| *at_ms <= from_ms) {
                let count = standing.entry(claim.clone()).or_default();
                *count = if begins { *count + 1 } else { *count - 1 };
                if *count == 0 {
                    standing.remove(&claim);
                }
            }
            let to_ms = claims.peek().map_or(whole.to_ms, |(at_ms, _, _)| *at_ms);
            let gap = match standing.keys().next() {
                Some(Claim::Covered) => None,
                Some(Claim::Firm(gap) | Claim::Weak(gap)) => Some((*gap).clone()),
                None => Some(Gap::NoRow),
            };
            match parts.last_mut() {
                Some(last) if last.gap == gap => last.span.to_ms = to_ms,
                _ => parts.push(CoveragePart {
                    span: WallSpan { from_ms, to_ms },
                    gap,
                }),
            }
            from_ms = to_ms;
        }
        parts
    }
}

/// What is said about a moment, strongest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim<'a> {
    Firm(&'a Gap),
    Covered,
    Weak(&'a Gap),
}

/// A row's own numbers: seen, delivered, lost. Counters only rise, so if one fell they began anew
/// with their maps.
fn rose(before: Option<&HookCounters>, after: &HookCounters) -> (u64, u64, u64) {
    let zero = HookCounters::default();
    let before = before
        .filter(|before| !fell(before, after))
        .unwrap_or(&zero);
    let rose = |counter: fn(&HookCounters) -> u64| counter(after) - counter(before);
    // What is read from the spill may belong to an earlier row; so no more is taken for saved
    // than leaves nothing unsaved.
    let unsaved = after.ring_full.saturating_sub(after.recovered);
    let lost = [
        rose(|c| c.rate_limited),
        rose(|c| c.sampled_out),
        rose(|c| c.ring_full).min(unsaved),
        rose(|c| c.map_full),
        rose(|c| c.missed),
    ];
    (
        rose(|c| c.seen).saturating_sub(rose(|c| c.filtered)),
        rose(|c| c.delivered).saturating_add(rose(|c| c.aggregated)),
        lost.into_iter().fold(0, u64::saturating_add),
    )
}

/// Whether any counter is less than it was.
fn fell(before: &HookCounters, after: &HookCounters) -> bool {
    let all = |c: &HookCounters| {
        [
            c.seen,
            c.delivered,
            c.aggregated,
            c.sampled_out,
            c.rate_limited,
            c.ring_full,
            c.map_full,
            c.filtered,
            c.missed,
            c.recovered,
        ]
    };
    all(before)
        .into_iter()
        .zip(all(after))
        .any(|(before, after)| after < before)
}

/// The gap that a mode leaves.
fn reduced(mode: HookMode) -> Option<Gap> {
    (mode != HookMode::Stream).then_some(Gap::Reduced { mode })
}

fn overlap(a: WallSpan, b: WallSpan) -> bool {
    a.from_ms < b.to_ms && b.from_ms < a.to_ms
}

/// Every reading that the wall clock may have had between two moments of one boot.
fn hull(from: At, to: At) -> WallSpan {
    let lasted_ns = to.boot_ns.saturating_sub(from.boot_ns);
    let lasted_ms = i64::try_from(lasted_ns / 1_000_000).unwrap_or(i64::MAX);
    let read_ms = to.wall_ms.saturating_sub(from.wall_ms);
    if read_ms.saturating_sub(lasted_ms).abs() <= SLEW_MAX_MS {
        return apart(from, to);
    }
    let earliest = to.wall_ms.saturating_sub(lasted_ms);
    let latest = from.wall_ms.saturating_add(lasted_ms);
    WallSpan {
        from_ms: from.wall_ms.min(to.wall_ms).min(earliest),
        to_ms: from.wall_ms.max(to.wall_ms).max(latest),
    }
}

/// The wall clock's readings between two moments whose boot clocks cannot be compared.
fn apart(from: At, to: At) -> WallSpan {
    WallSpan {
        from_ms: from.wall_ms.min(to.wall_ms),
        to_ms: from.wall_ms.max(to.wall_ms),
    }
}

/// The verdict in one sentence.
fn statement(answer: &HookCoverage) -> String {
    let HookCoverage {
        hook, seen, lost, ..
    } = answer;
    let when = format!(
        "between {} and {}",
        utc(answer.span.from_ms),
        utc(answer.span.to_ms)
    );
    let gaps: Vec<_> = (answer.parts.iter())
        .filter_map(|part| Some((part.span, part.gap.as_ref()?)))
        .collect();
    let mut text = match gaps.first() {
        Some((span, gap)) => {
            let another = if *seen == 0 { "any" } else { "any other" };
            let mut text = format!(
                "cannot say whether there was {another} {hook} event {when}: {gap}, from {} to {}",
                utc(span.from_ms),
                utc(span.to_ms)
            );
            if gaps.len() > 1 {
                text += &format!(" (and {} more gaps)", gaps.len() - 1);
            }
            text + &format!("; {seen} seen, {lost} lost in what is covered")
        }
        None if *lost > 0 => format!(
            "cannot say what happened in {lost} of {seen} {hook} events {when}: they were lost; covered without a gap"
        ),
        None => {
            let count = match seen {
                0 => format!("no {hook} event"),
                1 => format!("1 {hook} event"),
                n => format!("{n} {hook} events"),
            };
            format!("{count} {when}: covered without a gap, {seen} seen, 0 lost")
        }
    };
    if answer.span != answer.asked {
        text += &format!(
            " (rounded outward to whole rows of the ledger; asked was {} to {})",
            utc(answer.asked.from_ms),
            utc(answer.asked.to_ms)
        );
    }
    text
}

/// `2026-08-14 02:17:03Z`; a moment that no calendar has as it is.
fn utc(wall_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(wall_ms).map_or_else(
        |_| format!("unix {wall_ms} ms"),
        |moment| moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
#[path = "coverage_tests.rs"]
mod tests;
