//! When a playbook applies: conditions on signals, numbers and units, alone, lasting and in groups.

use serde::{Deserialize, Serialize};

use crate::{
    sample::Measure,
    signal::{MemoryEvent, PressureOf, SignalKind},
    time::Span,
    unit::ActiveState,
};

/// What a signal must say of itself to be counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalFilter {
    /// A pressure: for what tasks waited.
    PressureOf(Vec<PressureOf>),
    /// A counter of memory events: which.
    MemoryEvent(Vec<MemoryEvent>),
    /// An out-of-memory kill: whether the host's memory ran out, or else a cgroup's own limit.
    OomOfHost(bool),
    /// A deadly signal: its number.
    FatalSignal(Vec<u8>),
}

/// One condition of a trigger. All of a trigger's conditions must hold at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// At least `at_least` signals of this kind about the subject within the span before now.
    Signal {
        /// Kind of signal.
        kind: SignalKind,
        /// How many.
        at_least: u32,
        /// How far back.
        within: Span,
        /// Only those of which this is so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        only: Option<SignalFilter>,
    },
    /// The subject's newest known unit state.
    UnitState {
        /// Any of these; empty means any.
        active: Vec<ActiveState>,
        /// Any of these results; empty means any.
        result: Vec<String>,
        /// None of these results.
        result_not: Vec<String>,
        /// Any of these `Restart=` policies; empty means any.
        restart_policy: Vec<String>,
    },
    /// At least this many starts of the subject (new `InvocationID`s) within the span.
    Starts {
        /// How many.
        at_least: u32,
        /// How far back.
        within: Span,
    },
    /// The newest sample of a measure of the subject lies above a limit.
    Above {
        /// What is measured.
        measure: Measure,
        /// The limit.
        limit: f64,
    },
    /// The newest sample of a measure of the subject lies below a limit.
    Below {
        /// What is measured.
        measure: Measure,
        /// The limit.
        limit: f64,
    },
    /// This has been so for at least the span, without a break that was seen.
    Held {
        /// A unit's state, or a measure above or below a limit.
        condition: Box<Condition>,
        /// How long.
        span: Span,
    },
    /// All of these hold.
    All(Vec<Condition>),
    /// At least one of these holds.
    Any(Vec<Condition>),
    /// None of these holds; what is not known might hold.
    None(Vec<Condition>),
    /// Something that this version cannot see, in the words of the playbook. Never holds.
    Unseen(String),
}

/// What a number must be for a playbook to be right.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberLimit {
    /// The measure's name.
    pub measure: String,
    /// Whether it must be above the limit, or below.
    pub is_above: bool,
    /// The limit, in the measure's unit.
    pub limit: f64,
}

impl Condition {
    /// How many conditions hold where this one does, at least: what tells which of two triggers
    /// knows more about the case. What must not hold says nothing about what is the case.
    pub fn weight(&self) -> usize {
        match self {
            Self::Signal { .. }
            | Self::UnitState { .. }
            | Self::Starts { .. }
            | Self::Above { .. }
            | Self::Below { .. }
            | Self::Unseen(_) => 1,
            Self::Held { condition, .. } => condition.weight() + 1,
            Self::All(all) => all.iter().map(Self::weight).sum(),
            Self::Any(any) => any.iter().map(Self::weight).min().unwrap_or(0),
            Self::None(_) => 0,
        }
    }

    /// This condition and all that stand in it, those of groups after their group.
    pub fn flat(&self) -> Vec<&Self> {
        let mut flat = vec![self];
        match self {
            Self::Held { condition, .. } => flat.extend(condition.flat()),
            Self::All(group) | Self::Any(group) | Self::None(group) => {
                flat.extend(group.iter().flat_map(Self::flat));
            }
            _ => {}
        }
        flat
    }
}
