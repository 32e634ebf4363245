//! Causes for `reason` to run, and what it wants carried out: the two sides of the only loop.

use crate::{
    advice::Question,
    calendar::CalendarReading,
    capture::Wanted,
    command::{Command, Operator},
    incident::IncidentId,
    intent::{Intent, IntentId},
    loss::{HookCounters, HookMode, QueueCounters},
    outcome::StepEnd,
    record::{Body, Captured},
    sample::Sample,
    signal::Signal,
    subject::{Subject, UnitName},
    unit::UnitSnapshot,
    vector::Vector,
    view::Budget,
};

/// Everything that can make `reason` run.
#[derive(Clone, Debug, PartialEq)]
pub enum Wake {
    /// Time passed. Comes at least once a second.
    Tick,
    /// Something happened.
    Signal(Signal),
    /// Numbers were taken.
    Samples(Vec<Sample>),
    /// Counters of the hooks; a window with loss is not learned from.
    Counters {
        /// Per hook.
        hooks: Vec<HookCounters>,
        /// After the rings.
        queues: QueueCounters,
    },
    /// What each hook costs that can do less.
    HookLoads {
        /// What they may cost.
        budget: Budget,
        /// One for each.
        loads: Vec<HookLoad>,
    },
    /// The calendar was read, apart from any inspection.
    Calendar(CalendarReading),
    /// Answer to [`Effect::Inspect`].
    Inspected {
        /// For which incident.
        incident: IncidentId,
        /// What was found.
        inspection: Inspection,
    },
    /// Answer to [`Effect::Embed`].
    Embedded {
        /// For which incident.
        incident: IncidentId,
        /// The text, as it was given: what has changed since is no answer.
        text: String,
        /// Its meaning; `Err` says why there is none.
        vector: Result<Vector, String>,
    },
    /// Answer to [`Effect::Advise`].
    Advised {
        /// For which incident.
        incident: IncidentId,
        /// [`Question::sha256`]: an answer to another question is no answer.
        question: String,
        /// What the model wrote, unchecked; `Err` says why there is nothing.
        answer: Result<String, String>,
    },
    /// Answer to [`Effect::Capture`].
    Captured(Captured),
    /// Answer to [`Effect::Act`].
    StepEnded(StepEnd),
    /// An operator asks. Answered by [`Effect::Reply`] with the same `request`.
    Command {
        /// Number of the request.
        request: u64,
        /// Who asks.
        by: Operator,
        /// What.
        command: Command,
    },
    /// A record could not be made durable. It and every effect after it in its batch were not
    /// carried out.
    RecordFailed {
        /// The records that were not written, in order.
        bodies: Vec<Body>,
        /// What the disk said.
        reason: String,
    },
    /// Records can be written (again).
    RecordsWritten,
}

/// What one hook takes.
#[derive(Clone, Debug, PartialEq)]
pub struct HookLoad {
    /// Name of the probe.
    pub hook: String,
    /// How much it does.
    pub mode: HookMode,
    /// Share of one core over the newest window.
    pub cpu_ratio: f64,
}

/// A fresh, read-only look at a unit and at what is supposed to be happening.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The unit; `Err` says why it could not be read.
    pub unit: Result<UnitSnapshot, String>,
    /// The calendar.
    pub calendar: CalendarReading,
    /// Units of the stop closure that are down now (asked for by [`Effect::Inspect::also`]).
    pub also_down: Vec<UnitName>,
}

/// Everything `reason` can want. Carried out in order.
#[expect(
    clippy::large_enum_variant,
    reason = "a handful live at once; a box would only hide what a record is"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append and make durable. Nothing after it starts until the disk has it; if the disk
    /// refuses, the rest of the batch is dropped and [`Wake::RecordFailed`] comes back.
    Record(Body),
    /// Look at a unit and the calendar, afresh. Changes nothing.
    Inspect {
        /// For which incident.
        incident: IncidentId,
        /// The unit to read.
        unit: UnitName,
        /// More units whose being down matters.
        also: Vec<UnitName>,
    },
    /// Turn a text into its meaning. Changes nothing. Only asked for when there is a catalogue.
    Embed {
        /// For which incident.
        incident: IncidentId,
        /// The text; at most about a thousand bytes.
        text: String,
    },
    /// Ask a language model. Changes nothing. Only asked for when there is one.
    Advise {
        /// For which incident.
        incident: IncidentId,
        /// All that it is asked.
        question: Question,
    },
    /// Capture evidence before the first step. Changes nothing.
    Capture {
        /// For which incident.
        incident: IncidentId,
        /// For which intent.
        intent: IntentId,
        /// The unit that the first step works on.
        unit: UnitName,
        /// What the incident is about, then what else its evidence is about: which mount, which
        /// certificate.
        about: Vec<Subject>,
        /// What the playbook asks for.
        wanted: Vec<Wanted>,
    },
    /// Carry this intent out, once.
    Act(Intent),
    /// Make a hook do less or more.
    SetHookMode {
        /// Name of the probe.
        hook: String,
        /// How much it is to do.
        mode: HookMode,
    },
    /// Answer an operator.
    Reply {
        /// Number of the request.
        request: u64,
        /// `Ok` with a sentence, or `Err` with the reason.
        answer: Result<String, String>,
    },
}
