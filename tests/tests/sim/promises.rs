//! What hostmedic promises, as checks on what the simulated host saw.

use std::collections::{BTreeMap, BTreeSet};

use hostmedic_model::{
    calendar::CalendarReading,
    decision::{Decision, Stance, Verdict},
    incident::IncidentStatus,
    intent::IntentId,
    playbook::Phase,
    record::Body,
};
use hostmedic_reason::guard;

use crate::world::{Act, SimWorld};

const HOUR_S: u64 = 3600;
const COOLDOWN_S: u64 = 300;

/// What happened in all seeds, so that a run in which nothing happens cannot pass.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) acts: usize,
    pub(crate) held: usize,
    pub(crate) escalated: usize,
    pub(crate) indeterminate: usize,
    pub(crate) proposals: usize,
    pub(crate) disk_faults: u64,
    pub(crate) crashes: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, world: &SimWorld) {
        self.acts += world.acts.len();
        self.disk_faults += world.disk_faults;
        self.crashes += world.crashes;
        for record in &world.disk {
            match &record.body {
                Body::Decision(decision) if decision.verdict == Verdict::Hold => self.held += 1,
                Body::Decision(decision) if decision.verdict == Verdict::Escalate => {
                    self.escalated += 1;
                }
                Body::Proposed(_) => self.proposals += 1,
                Body::Indeterminate { .. } => self.indeterminate += 1,
                _ => {}
            }
        }
    }
}

/// Checks every promise that must hold at every moment.
pub(crate) fn check(world: &SimWorld) -> Result<(), String> {
    let mut seen: BTreeSet<&IntentId> = BTreeSet::new();
    for act in &world.acts {
        let id = &act.intent.id;
        if !seen.insert(id) {
            return Err(format!("intent {id} was carried out twice"));
        }
        durable_before(world, act)?;
        if act.paused {
            return Err(format!("{id} was carried out while paused"));
        }
        if world.phase == Phase::Observe {
            return Err(format!("{id} was carried out in the observe phase"));
        }
        if act.intent.unit.as_str().starts_with("systemd-") {
            return Err(format!("{id} touched the protected {}", act.intent.unit));
        }
        if world.phase == Phase::Assist && act.intent.approved_by.is_none() {
            return Err(format!("{id} was carried out without an approval"));
        }
    }
    limits(world)
}

/// The intent and the decision behind it were on disk, and every guard had agreed.
fn durable_before(world: &SimWorld, act: &Act) -> Result<(), String> {
    let id = &act.intent.id;
    let before = &world.disk[..act.disk_len];
    let intent = before
        .iter()
        .position(|record| matches!(&record.body, Body::Intent(intent) if intent.id == *id));
    let Some(intent) = intent else {
        return Err(format!("{id} was carried out without a durable intent"));
    };
    let decision = before[..intent]
        .iter()
        .rev()
        .find_map(|record| match &record.body {
            Body::Decision(decision) if decision.incident == act.intent.incident => Some(decision),
            _ => None,
        });
    let Some(decision) = decision.filter(|decision| decision.verdict == Verdict::Act) else {
        return Err(format!("{id} has no decision to act before it"));
    };
    every_guard_agreed(decision).map_err(|why| format!("{id}: {why}"))
}

fn every_guard_agreed(decision: &Decision) -> Result<(), String> {
    let spoke: Vec<_> = decision
        .guards
        .iter()
        .map(|verdict| verdict.guard.as_str())
        .collect();
    if spoke != guard::names().collect::<Vec<_>>() {
        return Err(format!("only these guards spoke: {spoke:?}"));
    }
    if let Some(objection) = decision
        .guards
        .iter()
        .find(|verdict| verdict.stance != Stance::Pass)
    {
        return Err(format!(
            "{} objected: {}",
            objection.guard, objection.reason
        ));
    }
    match &decision.calendar {
        Some(CalendarReading::Readable(calendar)) if calendar.running.is_empty() => Ok(()),
        other => Err(format!("decided with the calendar {other:?}")),
    }
}

/// Limits hold in true time, whatever the clocks, restarts and reboots did.
fn limits(world: &SimWorld) -> Result<(), String> {
    let mut by_unit: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut by_slice: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for act in &world.acts {
        by_unit
            .entry(act.intent.unit.as_str())
            .or_default()
            .push(act.true_s);
        let slice = act.intent.slice.as_ref().ok_or("an act without a slice")?;
        by_slice.entry(slice.as_str()).or_default().push(act.true_s);
    }
    for (unit, times) in &by_unit {
        // The act follows its intent by at most 20 s, so two acts may lie this much closer.
        let slack_s = 30;
        if let Some(pair) = times
            .windows(2)
            .find(|pair| pair[1] - pair[0] + slack_s < HOUR_S)
        {
            return Err(format!(
                "{unit} was touched twice within {} s",
                pair[1] - pair[0]
            ));
        }
        if times.windows(2).any(|pair| pair[1] - pair[0] < COOLDOWN_S) {
            return Err(format!("{unit} was touched within its cooldown"));
        }
    }
    for (slice, times) in &by_slice {
        if let Some(four) = times
            .windows(4)
            .find(|four| four[3] - four[0] + 30 < HOUR_S)
        {
            return Err(format!(
                "{slice} was touched four times within {} s",
                four[3] - four[0]
            ));
        }
    }
    Ok(())
}

/// After calm: every durable intent has a last word, and nothing hangs half-way.
pub(crate) fn check_at_rest(world: &SimWorld) -> Result<(), String> {
    for record in &world.disk {
        if let Body::Intent(intent) = &record.body {
            let concluded = world.disk.iter().any(|later| matches!(&later.body, Body::Outcome(outcome) if outcome.intent == intent.id));
            if !concluded {
                return Err(format!("intent {} has no outcome", intent.id));
            }
        }
    }
    let hanging = world
        .statuses()
        .iter()
        .any(|status| matches!(status, IncidentStatus::Acting | IncidentStatus::Verifying));
    if hanging {
        Err("an incident hangs half-way".to_owned())
    } else {
        Ok(())
    }
}
