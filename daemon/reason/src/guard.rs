//! Named reasons not to act, one file each. All speak on every decision and all are recorded:
//! a guard that is silent could be a guard that is broken.

mod approval;
mod calendar;
mod confidence;
mod cooldown;
mod evidence;
mod fresh_telemetry;
mod host_rate;
mod inhibitor;
mod ledger;
mod never_list;
mod paused;
mod pending_job;
mod phase;
mod pre_checks;
mod previous_attempt;
mod protected_unit;
mod setting;
mod slice_rate;
mod start_limit;
mod unit_rate;

pub(crate) use inhibitor::is_in_force;

use hostmedic_model::{
    anomaly::Severity,
    calendar::CalendarReading,
    command::{Inhibit, Operator},
    decision::{GuardVerdict, Stance},
    matched::EvidenceCheck,
    playbook::{Phase, Playbook},
    subject::{Subject, UnitName},
    time::At,
    unit::UnitSnapshot,
};

use crate::{attempts::Attempts, facts::Facts, policy::Policy, reading::Opinion};

/// Everything a guard may look at.
pub(crate) struct Look<'a> {
    pub(crate) now: At,
    pub(crate) policy: &'a Policy,
    pub(crate) playbook: &'a Playbook,
    /// What the incident is about, and how bad it is.
    pub(crate) subject: &'a Subject,
    pub(crate) severity: Severity,
    /// Whether anything of what would be asked of systemd may start or stop a unit.
    pub(crate) moves: bool,
    /// The unit that would be touched.
    pub(crate) target: &'a UnitName,
    pub(crate) unit: &'a Result<UnitSnapshot, String>,
    pub(crate) calendar: &'a CalendarReading,
    pub(crate) facts: &'a Facts,
    pub(crate) attempts: &'a Attempts,
    pub(crate) inhibits: &'a [Inhibit],
    pub(crate) paused: Option<&'a str>,
    /// The operator who approved exactly this.
    pub(crate) approved: Option<&'a Operator>,
    /// What the text matcher says of the playbook.
    pub(crate) opinion: &'a Opinion,
    /// What the host has told for and against the playbook.
    pub(crate) check: &'a EvidenceCheck,
    /// Why the ledger cannot be written.
    pub(crate) ledger_failing: Option<&'a str>,
}

impl Look<'_> {
    /// Phase in force: the host's, or the playbook's where that is lower.
    pub(crate) fn phase(&self) -> Phase {
        self.policy.phase.min(self.playbook.phase_max)
    }

    /// The target and every active unit that a stop of it would stop.
    fn touched(&self) -> impl Iterator<Item = &UnitName> {
        let closure = self
            .unit
            .as_ref()
            .map(|unit| unit.stop_closure.as_slice())
            .unwrap_or_default();
        std::iter::once(self.target).chain(closure)
    }
}

/// What a guard says.
type Word = (Stance, String);

fn pass(reason: impl Into<String>) -> Word {
    (Stance::Pass, reason.into())
}

fn wait(reason: impl Into<String>) -> Word {
    (Stance::Wait, reason.into())
}

fn refuse(reason: impl Into<String>) -> Word {
    (Stance::Refuse, reason.into())
}

/// A guard's name and what asks it.
type Named = (&'static str, fn(&Look<'_>) -> Word);

/// Every guard, in the order they are shown.
const ALL: [Named; 20] = [
    ("never_list", never_list::ask),
    ("protected_unit", protected_unit::ask),
    ("paused", paused::ask),
    ("ledger", ledger::ask),
    ("fresh_telemetry", fresh_telemetry::ask),
    ("calendar", calendar::ask),
    ("inhibitor", inhibitor::ask),
    ("pending_job", pending_job::ask),
    ("start_limit", start_limit::ask),
    ("previous_attempt", previous_attempt::ask),
    ("cooldown", cooldown::ask),
    ("unit_rate", unit_rate::ask),
    ("slice_rate", slice_rate::ask),
    ("host_rate", host_rate::ask),
    ("setting", setting::ask),
    ("pre_checks", pre_checks::ask),
    ("evidence", evidence::ask),
    ("confidence", confidence::ask),
    ("phase", phase::ask),
    ("approval", approval::ask),
];

/// Those that are asked before something is taken back. The others are about beginning: taking back
/// belongs to the attempt that was let through, and is not held back by the limits that it counts for.
const BEFORE_UNDOING: [&str; 9] = [
    "never_list",
    "protected_unit",
    "paused",
    "ledger",
    "fresh_telemetry",
    "calendar",
    "inhibitor",
    "pending_job",
    "phase",
];

/// Asks every guard.
pub(crate) fn ask_all(look: &Look<'_>) -> Vec<GuardVerdict> {
    ask(look, |_| true)
}

/// Asks those whose word counts before something is taken back.
pub(crate) fn ask_before_undoing(look: &Look<'_>) -> Vec<GuardVerdict> {
    ask(look, |guard| BEFORE_UNDOING.contains(&guard))
}

/// Names of the guards that are asked before something is taken back.
pub fn names_before_undoing() -> impl Iterator<Item = &'static str> {
    BEFORE_UNDOING.into_iter()
}

fn ask(look: &Look<'_>, which: impl Fn(&str) -> bool) -> Vec<GuardVerdict> {
    ALL.iter()
        .filter(|(guard, _)| which(guard))
        .map(|(guard, ask)| {
            let (stance, reason) = ask(look);
            GuardVerdict {
                guard: (*guard).to_owned(),
                stance,
                reason,
            }
        })
        .collect()
}

/// Names of all guards, for listings.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests;
