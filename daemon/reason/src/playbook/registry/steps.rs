//! What a playbook can do. Each entry says how dangerous it is, what it needs, whether twice is as
//! good as once, what undoes it, and what a dry run would show. There is no shell and no free SQL.

use hostmedic_model::{
    playbook::{RiskClass, Verb},
    property::Property,
};

use super::{Field, Slot, Unit, entry, may, must};

mod all;
mod make;

pub use all::{ALL, UNDO};

/// What a step may do.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// How much harm it could do.
    pub class: RiskClass,
    /// What it needs.
    pub privilege: Privilege,
    /// Whether doing it twice is as good as once, and why.
    pub idempotent: (bool, &'static str),
    /// What undoes it.
    pub inverse: Inverse,
    /// What a dry run shows.
    pub dry_run: &'static str,
    /// Its values.
    pub fields: &'static [Field],
    /// What it does.
    pub says: &'static str,
}

entry!(Step);

/// Template units that are shipped in `systemd/`; a test compares.
const SHIPPED_ACTIONS: [&str; 1] = ["journal-vacuum"];

impl Step {
    /// What the engine asks systemd for; `None` while it cannot do this step.
    pub fn call(&self) -> Option<Verb> {
        match (self.privilege, self.name) {
            (Privilege::Action(unit), _) => SHIPPED_ACTIONS.contains(&unit).then_some(Verb::Start),
            (_, "systemd.start") => Some(Verb::Start),
            (_, "systemd.restart") => Some(Verb::Restart),
            (_, "systemd.try_restart") => Some(Verb::TryRestart),
            (_, "systemd.reload_or_try_restart") => Some(Verb::ReloadOrTryRestart),
            (_, "systemd.reset_failed") => Some(Verb::ResetFailed),
            (_, "systemd.reload") => Some(Verb::Reload),
            (_, "systemd.stop") => Some(Verb::Stop),
            _ => self.property().map(|_| Verb::SetProperty),
        }
    }

    /// The property that it sets until the next boot, if that is what it does.
    pub fn property(&self) -> Option<Property> {
        match self.name {
            "systemd.set_memory_high" => Some(Property::MemoryHigh),
            "systemd.set_memory_low" => Some(Property::MemoryLow),
            "systemd.set_memory_swap_max" => Some(Property::MemorySwapMax),
            "systemd.set_cpu_weight" => Some(Property::CpuWeight),
            "systemd.set_cpu_quota" => Some(Property::CpuQuota),
            "systemd.set_tasks_max" => Some(Property::TasksMax),
            "systemd.set_io_weight" => Some(Property::IoWeight),
            _ => None,
        }
    }

    /// What the engine asks systemd for to take it back; `None` where that is not needed, not possible
    /// or not there yet.
    pub fn way_back(&self) -> Option<Verb> {
        match self.inverse {
            Inverse::PriorValue => self.property().map(|_| Verb::SetProperty),
            Inverse::Step(name) => super::find(ALL, name)?.call(),
            Inverse::NotNeeded(_) | Inverse::Impossible(_) => None,
        }
    }

    /// Whether units that need the target may be stopped with it.
    pub fn may_stop_others(&self) -> bool {
        matches!(
            self.privilege,
            Privilege::ManageUnits("start" | "restart" | "stop" | "reload-or-try-restart")
        )
    }
}

/// What a step needs to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Nothing.
    None,
    /// polkit's `manage-units` for this verb and unit.
    ManageUnits(&'static str),
    /// A shipped template unit, `hostmedic-<name>@.service`, started by systemd.
    Action(&'static str),
    /// polkit of another system service.
    Service(&'static str),
    /// A database role with only the grants that the step needs.
    DatabaseRole(&'static str),
}

/// What undoes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inverse {
    /// The value before it, which is recorded before the step.
    PriorValue,
    /// This other step.
    Step(&'static str),
    /// Nothing need be undone, and why.
    NotNeeded(&'static str),
    /// Nothing can undo it, and why.
    Impossible(&'static str),
}

const UNIT: Field = must("unit", Slot::SystemdUnit);
