//! What is claimed about a span is never more than the chain proves.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use hostmedic_model::{
    loss::{Blind, HookModeChange, HookReport, QueueCounters},
    playbook::Phase,
    record::RECORD_VERSION,
};
use proptest::prelude::*;

use super::*;

const HOOK: &str = "oom_victim";
const MIN: i64 = 60_000;
/// 2026-08-14 02:00:00 UTC.
const T: i64 = 1_786_672_800_000;

/// A chain in the making. Times are minutes after [`T`]; the boot clock keeps step.
#[derive(Debug)]
struct Chain {
    records: Vec<Record>,
    boot: BootId,
    set_ms: i64,
}

impl Chain {
    fn new() -> Self {
        Self {
            records: Vec::new(),
            boot: BootId("1".into()),
            set_ms: 0,
        }
    }

    fn at(&self, minute: i64) -> At {
        At {
            boot_ns: u64::try_from((minute + 1000) * MIN).unwrap() * 1_000_000,
            wall_ms: T + minute * MIN + self.set_ms,
        }
    }

    fn push(&mut self, minute: i64, body: Body) {
        self.records.push(Record {
            version: RECORD_VERSION,
            seq: self.records.len() as u64 + 1,
            host: String::new(),
            boot: self.boot.clone(),
            at: self.at(minute),
            prev: String::new(),
            body,
        });
    }

    fn start(&mut self, minute: i64, coverage: Coverage, blind: Option<Blind>) {
        let started = Started {
            version: String::new(),
            kernel: String::new(),
            hostname: String::new(),
            hooks: vec![HookReport {
                hook: HOOK.into(),
                attach_point: String::new(),
                coverage,
                reason: match coverage {
                    Coverage::Absent => "no BTF".into(),
                    _ => String::new(),
                },
            }],
            playbooks: Vec::new(),
            phase: Phase::Observe,
            blind,
        };
        self.push(minute, Body::Started(started));
    }

    fn row(&mut self, from: i64, to: i64, counters: HookCounters) {
        self.row_in(from, to, counters, Vec::new());
    }

    fn row_in(
        &mut self,
        from: i64,
        to: i64,
        counters: HookCounters,
        reduced: Vec<(String, HookMode)>,
    ) {
        let mut row = row_of(self.at(from), At::default(), counters);
        row.reduced = reduced;
        self.push(to, Body::Coverage(row));
    }

    fn mode(&mut self, minute: i64, from: HookMode, to: HookMode) {
        let change = HookModeChange {
            hook: HOOK.into(),
            from,
            to,
            cpu_ratio: 0.1,
            budget_ratio: 0.01,
            reason: "too dear".into(),
        };
        self.push(minute, Body::HookMode(change));
    }

    fn ask(&self, since: i64, until: impl Into<Option<i64>>) -> HookCoverage {
        let mut account = Account::new(CoverageQuery {
            hook: HOOK.into(),
            since_ms: T + since * MIN,
            until_ms: until.into().map(|until| T + until * MIN),
        });
        for record in &self.records {
            account.take(record);
        }
        account.finish().unwrap()
    }
}

/// Parts in minutes.
fn parts(answer: &HookCoverage) -> Vec<(i64, i64, Option<Gap>)> {
    let minute = |ms: i64| (ms - T) / MIN;
    (answer.parts.iter())
        .map(|part| {
            (
                minute(part.span.from_ms),
                minute(part.span.to_ms),
                part.gap.clone(),
            )
        })
        .collect()
}

fn saw(seen: u64) -> HookCounters {
    HookCounters {
        hook: HOOK.into(),
        seen,
        delivered: seen,
        ..HookCounters::default()
    }
}

fn row_of(from: At, to: At, counters: HookCounters) -> CoverageRow {
    CoverageRow {
        from,
        to,
        reduced: Vec::new(),
        hooks: vec![counters],
        queues: QueueCounters::default(),
    }
}

/// A quiet night: up since 0, rows every 15 minutes to 60.
fn quiet() -> Chain {
    let mut chain = Chain::new();
    chain.start(0, Coverage::Captured, None);
    for n in 0..4 {
        chain.row(n * 15, n * 15 + 15, saw(0));
    }
    chain
}

#[test]
fn silence_is_proven() {
    let answer = quiet().ask(15, 45);
    assert!(answer.proven);
    assert_eq!(
        answer.statement,
        "no oom_victim event between 2026-08-14 02:15:00Z and 2026-08-14 02:45:00Z: \
         covered without a gap, 0 seen, 0 lost"
    );
    // Without an end, up to where the ledger is closed.
    assert_eq!(parts(&quiet().ask(15, None)), [(15, 60, None)]);
}

#[test]
fn a_span_is_rounded_outward_and_says_so() {
    let answer = quiet().ask(20, 40);
    assert!(answer.proven);
    assert_eq!(parts(&answer), [(15, 45, None)]);
    assert!(
        answer.statement.ends_with(
            "(rounded outward to whole rows of the ledger; asked was 2026-08-14 02:20:00Z to \
             2026-08-14 02:40:00Z)"
        ),
        "{}",
        answer.statement
    );
}

#[test]
fn what_is_not_accounted_for_yet_is_not_covered() {
    let answer = quiet().ask(45, 70);
    assert!(!answer.proven);
    assert_eq!(parts(&answer), [(45, 60, None), (60, 70, Some(Gap::Open))]);
    assert_eq!(
        answer.statement,
        "cannot say whether there was any oom_victim event between 2026-08-14 02:45:00Z and \
         2026-08-14 03:10:00Z: the account of this time is not written yet, from \
         2026-08-14 03:00:00Z to 2026-08-14 03:10:00Z; 0 seen, 0 lost in what is covered"
    );
    assert_eq!(
        parts(&quiet().ask(-10, 15)),
        [(-10, 0, Some(Gap::BeforeChain)), (0, 15, None)]
    );
}

#[test]
fn events_are_counted_and_losses_spoil_the_proof() {
    let mut chain = Chain::new();
    chain.start(0, Coverage::Degraded, None);
    chain.row(0, 15, saw(2));
    chain.row(15, 30, saw(5));
    let more = HookCounters {
        seen: 12,
        delivered: 6,
        ring_full: 4,
        recovered: 4,
        filtered: 2,
        ..saw(0)
    };
    chain.row(30, 45, more.clone());
    chain.row(
        45,
        60,
        HookCounters {
            seen: 15,
            ring_full: 7,
            recovered: 6,
            ..more
        },
    );
    let counts = |answer: &HookCoverage| (answer.seen, answer.delivered, answer.lost);
    let answer = chain.ask(15, 30);
    assert_eq!((counts(&answer), answer.proven), ((3, 3, 0), true));
    assert!(answer.statement.starts_with("3 oom_victim events between"));
    let answer = chain.ask(30, 45);
    assert_eq!((counts(&answer), answer.proven), ((5, 1, 0), true));
    let answer = chain.ask(45, 60);
    assert_eq!((counts(&answer), answer.proven), ((3, 0, 1), false));
    assert!(
        answer
            .statement
            .starts_with("cannot say what happened in 1 of 3")
    );
}

#[test]
fn counters_that_fall_begin_anew() {
    let mut chain = Chain::new();
    chain.start(0, Coverage::Captured, None);
    chain.row(0, 15, saw(9));
    chain.push(
        16,
        Body::Stopped {
            reason: String::new(),
        },
    );
    let blind = Blind {
        from: chain.at(15),
        to: chain.at(20),
        rebooted: false,
    };
    chain.start(20, Coverage::Captured, Some(blind));
    chain.row(20, 35, saw(1));
    let answer = chain.ask(0, 35);
    assert_eq!(answer.seen, 10);
    assert_eq!(
        parts(&answer),
        [
            (0, 15, None),
            (15, 20, Some(Gap::NotRunning)),
            (20, 35, None)
        ]
    );
    assert!(answer.statement.contains("medicd did not run"));
}

#[test]
fn a_crash_leaves_time_without_a_row() {
    let mut chain = quiet();
    chain.push(65, Body::Inhibited(inhibit(chain.at(65))));
    chain.boot = BootId("2".into());
    chain.start(80, Coverage::Captured, None);
    chain.row(80, 95, saw(0));
    assert_eq!(
        parts(&chain.ask(45, 95)),
        [
            (45, 60, None),
            (60, 65, Some(Gap::NoRow)),
            (65, 80, Some(Gap::Rebooted)),
            (80, 95, None)
        ]
    );
}

fn inhibit(from: At) -> hostmedic_model::command::Inhibit {
    hostmedic_model::command::Inhibit {
        id: 1,
        unit: None,
        from,
        span: hostmedic_model::time::Span::secs(1),
        reason: String::new(),
        by: hostmedic_model::command::Operator {
            uid: 0,
            name: String::new(),
        },
    }
}

#[test]
fn an_absent_hook_and_a_reduced_one_are_gaps() {
    let mut chain = Chain::new();
    chain.start(0, Coverage::Absent, None);
    chain.row(0, 15, saw(0));
    let answer = chain.ask(0, 15);
    let reason = "no BTF".to_owned();
    assert_eq!(parts(&answer), [(0, 15, Some(Gap::Absent { reason }))]);

    let mut chain = quiet();
    chain.mode(65, HookMode::Stream, HookMode::Sample);
    let sampled = vec![(HOOK.to_owned(), HookMode::Sample)];
    chain.row_in(60, 75, saw(0), sampled.clone());
    chain.mode(80, HookMode::Sample, HookMode::Stream);
    chain.row(75, 90, saw(0));
    let gap = |mode| Some(Gap::Reduced { mode });
    assert_eq!(
        parts(&chain.ask(45, 90)),
        [
            (45, 65, None),
            (65, 80, gap(HookMode::Sample)),
            (80, 90, None)
        ]
    );

    // The change itself was not recorded: it may have been at any moment of the row.
    let mut chain = quiet();
    chain.row_in(60, 75, saw(0), sampled);
    chain.row(75, 90, saw(0));
    assert_eq!(
        parts(&chain.ask(45, 90)),
        [(45, 60, None), (60, 90, gap(HookMode::Sample))]
    );
}

#[test]
fn a_clock_set_back_makes_a_row_count_for_both_readings() {
    let mut chain = quiet();
    chain.set_ms = -30 * MIN;
    // 60 to 75 as lived, read as 60 (before) to 45 (after).
    let from = At {
        boot_ns: chain.at(60).boot_ns,
        wall_ms: T + 60 * MIN,
    };
    chain.push(75, Body::Coverage(row_of(from, At::default(), saw(1))));
    for minute in [46, 59, 61, 74] {
        assert_eq!(chain.ask(minute, minute + 1).seen, 1, "{minute}");
    }
    // And what comes after it is not closed, though an older row has the same readings.
    let open = chain.ask(50, 55);
    assert!(!open.proven, "{}", open.statement);
}

/// Counters are read a moment before their row is written: rows overlap by that much, and a span
/// must not be rounded from one to the next through the whole chain.
#[test]
fn rows_that_overlap_by_a_moment_stay_apart() {
    let mut chain = Chain::new();
    chain.start(0, Coverage::Captured, None);
    for n in 0..4 {
        let mut from = chain.at(n * 15);
        if n > 0 {
            from.boot_ns -= 5_000_000;
            from.wall_ms -= 5;
        }
        let row = row_of(from, At::default(), saw(if n > 1 { 2 } else { 0 }));
        chain.push(n * 15 + 15, Body::Coverage(row));
    }
    let answer = chain.ask(20, 25);
    assert!(answer.proven, "{}", answer.statement);
    let span = answer.span;
    assert_eq!(span.from_ms, T + 15 * MIN - 5);
    assert_eq!(span.to_ms, T + 30 * MIN - 5);
    assert_eq!(answer.seen, 0);
    assert_eq!(chain.ask(0, 60).seen, 2);
}

#[test]
fn an_unknown_hook_has_no_account() {
    let query = CoverageQuery {
        hook: "nonsense".into(),
        since_ms: T,
        until_ms: None,
    };
    let mut account = Account::new(query);
    for record in &quiet().records {
        account.take(record);
    }
    assert_eq!(account.finish(), None);
}

/// Anything a daemon can write, with clocks that are set and counters that fall.
fn chains() -> impl Strategy<Value = Chain> {
    let step = (0..8_u8, 1..20_i64, any::<u8>(), -40..40_i64);
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let mut chain = Chain::new();
        chain.start(0, Coverage::Captured, None);
        let (mut now, mut from, mut boots) = (0, 0, 1);
        for (what, lasts, value, set) in steps {
            let before = now;
            now += lasts;
            match what {
                0 => chain.push(
                    now,
                    Body::Stopped {
                        reason: String::new(),
                    },
                ),
                1 => {
                    boots += i32::from(value % 2);
                    chain.boot = BootId(boots.to_string());
                    let coverage = if value % 5 == 0 {
                        Coverage::Absent
                    } else {
                        Coverage::Captured
                    };
                    let blind = (value % 3 == 0).then(|| Blind {
                        from: chain.at(before),
                        to: chain.at(now),
                        rebooted: value % 2 == 1,
                    });
                    chain.start(now, coverage, blind);
                    from = now;
                }
                2 => chain.mode(now, HookMode::Stream, HookMode::Count),
                3 => chain.mode(now, HookMode::Count, HookMode::Stream),
                4 => chain.set_ms += set * MIN,
                _ => {
                    chain.row(from, now, saw(u64::from(value)));
                    from = now;
                }
            }
        }
        chain
    })
}

proptest! {
    /// Covered intervals and gaps partition the span, whatever the chain holds.
    #[test]
    fn parts_partition_the_span(chain in chains(), since in -100..600_i64, lasts in 1..300_i64) {
        let answer = chain.ask(since, since + lasts);
        prop_assert!(answer.span.from_ms <= answer.asked.from_ms);
        prop_assert!(answer.span.to_ms >= answer.asked.to_ms);
        let mut from_ms = answer.span.from_ms;
        let mut before: Option<&Option<Gap>> = None;
        for part in &answer.parts {
            prop_assert_eq!(part.span.from_ms, from_ms);
            prop_assert!(part.span.to_ms > from_ms);
            prop_assert!(before != Some(&part.gap), "two parts that are one");
            (from_ms, before) = (part.span.to_ms, Some(&part.gap));
        }
        prop_assert_eq!(from_ms, answer.span.to_ms);
        prop_assert_eq!(
            answer.proven,
            answer.lost == 0 && answer.parts.iter().all(|part| part.gap.is_none())
        );
    }

    /// Whoever asks about more is told of at least as many events.
    #[test]
    fn a_longer_span_never_has_fewer_events(chain in chains(), since in -100..600_i64) {
        let counts: Vec<u64> = [1, 10, 100, 1000]
            .map(|lasts| chain.ask(since, since + lasts).seen)
            .to_vec();
        prop_assert!(counts.is_sorted(), "{:?}", counts);
    }
}

/// Goal: the newest row claims no more than it saw: not the moments between the look at its
/// counters and its record.
#[test]
fn a_row_ends_when_its_counters_were_read() {
    let mut chain = Chain::new();
    chain.start(0, Coverage::Captured, None);
    let mut read = chain.at(15);
    (read.boot_ns, read.wall_ms) = (read.boot_ns - 5_000_000, read.wall_ms - 5);
    let row = row_of(chain.at(0), read, saw(0));
    chain.push(15, Body::Coverage(row));
    let answer = chain.ask(3, 5);
    assert!(answer.proven, "{}", answer.statement);
    assert_eq!(answer.span.to_ms, read.wall_ms);
}

/// Goal: of two rows that begin in the same instant both count.
#[test]
fn rows_that_begin_together_both_count() {
    let mut chain = Chain::new();
    chain.start(0, Coverage::Captured, None);
    chain.row_in(0, 15, saw(1), Vec::new());
    chain.row_in(0, 30, saw(3), Vec::new());
    assert_eq!(chain.ask(3, 5).seen, 3);
}
