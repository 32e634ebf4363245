//! Whether a condition holds, does not, or cannot be told. What cannot be told is neither a reason
//! to act nor proof that something is not so.

use hostmedic_model::{
    playbook::{Condition, SignalFilter},
    sample::{Measure, Series},
    signal::{Fact, OomScope, Signal, SignalKind},
    subject::Subject,
    time::{At, Span},
};

use crate::facts::Facts;

/// What is known of a condition; in this order, so that the smallest of a group is what all of it
/// comes to, and the largest what any of it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// It does not hold.
    No,
    /// It might.
    Unknown,
    /// It holds.
    Yes,
}

impl Truth {
    fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

/// What is known of a condition about `subject` now.
pub(crate) fn truth(condition: &Condition, subject: &Subject, facts: &Facts, now: At) -> Truth {
    let of = |condition: &Condition| truth(condition, subject, facts, now);
    match condition {
        Condition::Signal {
            kind,
            at_least,
            within,
            only,
        } => {
            let (sure, possible) = heard(*kind, *within, only.as_ref(), subject, facts, now);
            if sure >= *at_least {
                Truth::Yes
            } else if possible >= *at_least
                || unheard(*kind, *within, subject, facts, now).is_some()
            {
                Truth::Unknown
            } else {
                Truth::No
            }
        }
        Condition::UnitState { .. } => match subject.unit() {
            None => Truth::No,
            Some(unit) => facts
                .unit(unit)
                .map_or(Truth::Unknown, |unit| Truth::of(unit.fits(condition))),
        },
        Condition::Starts { at_least, within } => {
            let Some(unit) = subject.unit() else {
                return Truth::No;
            };
            let least = usize::try_from(*at_least).unwrap_or(usize::MAX);
            if facts.starts_within(unit, within.0, now) >= least {
                return Truth::Yes;
            }
            // What began before we came cannot be known.
            let since = facts.unit_since(unit);
            let is_whole = since.is_some_and(|since| now.since(since) >= within.0);
            if is_whole { Truth::No } else { Truth::Unknown }
        }
        Condition::Above { measure, limit } => {
            compared(*measure, |value| value > *limit, subject, facts, now)
        }
        Condition::Below { measure, limit } => {
            compared(*measure, |value| value < *limit, subject, facts, now)
        }
        Condition::Held { condition, span } => {
            of(condition).min(held(condition, *span, subject, facts, now))
        }
        // An empty group is never "everything".
        Condition::All(all) => all.iter().map(of).min().unwrap_or(Truth::No),
        Condition::Any(any) => any.iter().map(of).max().unwrap_or(Truth::No),
        Condition::None(none) => none.iter().map(of).max().unwrap_or(Truth::Yes).not(),
        Condition::Unseen(_) => Truth::Unknown,
    }
}

/// How many signals of a kind that pass a filter were heard within the span: surely, and possibly.
pub(crate) fn heard(
    kind: SignalKind,
    within: Span,
    only: Option<&SignalFilter>,
    subject: &Subject,
    facts: &Facts,
    now: At,
) -> (u32, u32) {
    let (mut sure, mut possible) = (0, 0);
    for signal in facts.signals_of(subject, within.0, now) {
        let passes = passes(signal, kind, only);
        sure += u32::from(passes == Truth::Yes);
        possible += u32::from(passes != Truth::No);
    }
    (sure, possible)
}

fn compared(
    measure: Measure,
    holds: impl Fn(f64) -> bool,
    subject: &Subject,
    facts: &Facts,
    now: At,
) -> Truth {
    let series = Series {
        subject: subject.clone(),
        measure,
    };
    let number = facts.fresh(&series, now);
    number.map_or(Truth::Unknown, |sample| Truth::of(holds(sample.value)))
}

/// Whether a condition has held for the span, by what was seen of it.
fn held(condition: &Condition, span: Span, subject: &Subject, facts: &Facts, now: At) -> Truth {
    let Some(standing) = facts.standing(condition, subject) else {
        return Truth::Unknown;
    };
    // A number says nothing about the time after it; a state lasts until another one is told.
    let until = match condition {
        Condition::Above { measure, .. } | Condition::Below { measure, .. } => {
            let series = Series {
                subject: subject.clone(),
                measure: *measure,
            };
            facts.sample(&series).map_or(now, |sample| sample.at)
        }
        _ => now,
    };
    if !standing.holds {
        Truth::No
    } else if until.since(standing.since) >= span.0 {
        Truth::Yes
    } else if standing.began {
        Truth::No
    } else {
        Truth::Unknown
    }
}

/// Why a signal of a kind could have come within the span without being counted; `None` where
/// what was heard is all.
pub(crate) fn unheard(
    kind: SignalKind,
    within: Span,
    subject: &Subject,
    facts: &Facts,
    now: At,
) -> Option<String> {
    let since = match facts.complete_since(kind) {
        Ok(since) => since,
        Err(why) => return Some(why),
    };
    if now.since(since) < within.0 {
        let age = now.since(since).as_secs();
        return Some(format!("nothing can have gone unheard for {age} s only"));
    }
    let oldest = facts.remembered_from(subject, kind)?;
    (now.since(oldest) < within.0).then(|| "too many came to remember all".to_owned())
}

/// Whether a signal is of a kind and passes a filter.
fn passes(signal: &Signal, kind: SignalKind, filter: Option<&SignalFilter>) -> Truth {
    if signal.fact.kind() != kind {
        return Truth::No;
    }
    let Some(filter) = filter else {
        return Truth::Yes;
    };
    match (filter, &signal.fact) {
        (SignalFilter::PressureOf(of), Fact::Pressure(pressure)) => {
            Truth::of(of.contains(&pressure.of))
        }
        (SignalFilter::MemoryEvent(of), Fact::MemoryEvents(events)) => {
            Truth::of(of.contains(&events.event))
        }
        (SignalFilter::FatalSignal(of), Fact::FatalSignal(fatal)) => {
            Truth::of(of.contains(&fatal.signal))
        }
        (SignalFilter::OomOfHost(of_host), Fact::OomKill(kill)) => match kill.scope {
            OomScope::Unknown => Truth::Unknown,
            OomScope::Global => Truth::of(*of_host),
            OomScope::Cgroup { .. } => Truth::of(!*of_host),
        },
        _ => Truth::No,
    }
}

#[cfg(test)]
#[path = "truth_tests.rs"]
mod tests;
