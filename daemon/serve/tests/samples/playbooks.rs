//! What playbooks ask for: conditions in groups, filters of signals, checks before and after.

use hostmedic_model::{
    playbook::{Check, Condition, Need, Otherwise, PreCheck, SignalFilter},
    sample::Measure,
    signal::{MemoryEvent, PressureOf, SignalKind},
    time::Span,
};

pub(super) fn filters() -> Vec<SignalFilter> {
    vec![
        SignalFilter::PressureOf(vec![PressureOf::Cpu, PressureOf::Io]),
        SignalFilter::MemoryEvent(vec![MemoryEvent::High]),
        SignalFilter::OomOfHost(true),
        SignalFilter::FatalSignal(vec![11]),
    ]
}

pub(super) fn groups() -> Vec<Condition> {
    let below = Condition::Below {
        measure: Measure::DiskUsedRatio,
        limit: 0.5,
    };
    let filtered = filters().into_iter().map(|only| Condition::Signal {
        kind: SignalKind::Pressure,
        at_least: 1,
        within: Span::minutes(2),
        only: Some(only),
    });
    let held = Condition::Held {
        condition: Box::new(below.clone()),
        span: Span::secs(30),
    };
    let groups = [
        Condition::All(vec![below.clone(), held.clone()]),
        Condition::Any(vec![below.clone()]),
        Condition::None(vec![held.clone()]),
    ];
    [below, held]
        .into_iter()
        .chain(groups)
        .chain(filtered)
        .collect()
}

pub(super) fn checks() -> Vec<Check> {
    let (of_host, measure, limit) = (true, Measure::MemoryUsedRatio, 0.9);
    vec![
        Check::Above {
            of_host,
            measure,
            limit,
        },
        Check::FellBy { measure, by: 0.2 },
        Check::WatchdogPings,
        Check::Held {
            check: Box::new(Check::UnitActive),
            span: Span::minutes(1),
        },
    ]
}

pub(super) fn needs() -> Vec<Need> {
    let (of_host, measure, limit) = (true, Measure::MemoryUsedRatio, 0.9);
    vec![
        Need::Fresh(Span::secs(10)),
        Need::Active,
        Need::ClosureAtMost(3),
        Need::StartsLeft(2),
        Need::NoJob,
        Need::NotFrozen,
        Need::Quiet(Span::minutes(10)),
        Need::Below {
            of_host,
            measure,
            limit,
        },
        Need::Above {
            of_host,
            measure,
            limit,
        },
        Need::NoSignal {
            kind: SignalKind::BlockError,
            within: Span::minutes(10),
        },
    ]
}

pub(super) fn pre_check() -> PreCheck {
    PreCheck {
        name: "cascade is small".to_owned(),
        needs: Need::ClosureAtMost(3),
        otherwise: Otherwise::Ask,
        reason: "a restart stops whatever needs this unit".to_owned(),
    }
}
