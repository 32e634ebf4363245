//! The shapes that most steps have in common.

use super::{Field, Inverse, Privilege, RiskClass, Slot, Step, UNIT, Unit, may};
use Inverse::{Impossible, NotNeeded, PriorValue};
use Privilege::{Action, DatabaseRole, ManageUnits};
use RiskClass::{Disruptive, Reversible};

pub(super) const ONLY_UNIT: &[Field] = &[UNIT];
pub(super) const BYTES: &[Field] = &[
    UNIT,
    may("to", Slot::Number(Unit::Bytes)),
    may("of_current", Slot::Number(Unit::Ratio)),
];

/// A unit property that is set until the next boot, with its prior value recorded.
pub(super) const fn property(
    name: &'static str,
    fields: &'static [Field],
    says: &'static str,
) -> Step {
    Step {
        name,
        class: Reversible,
        privilege: ManageUnits("set-property"),
        idempotent: (true, "the same value set twice is the same value"),
        inverse: PriorValue,
        dry_run: "shows the value now and the value it would have",
        fields,
        says,
    }
}

/// A call about one unit.
pub(super) const fn call(
    name: &'static str,
    verb: &'static str,
    idempotent: (bool, &'static str),
    inverse: Inverse,
    says: &'static str,
) -> Step {
    Step {
        name,
        class: Disruptive,
        privilege: ManageUnits(verb),
        idempotent,
        inverse,
        dry_run: "asks polkit, and shows what would stop and start with it",
        fields: ONLY_UNIT,
        says,
    }
}

/// A template unit that systemd starts.
pub(super) const fn action(
    name: &'static str,
    class: RiskClass,
    unit: &'static str,
    inverse: Inverse,
    fields: &'static [Field],
    says: &'static str,
) -> Step {
    Step {
        name,
        class,
        privilege: Action(unit),
        idempotent: (
            true,
            "it works towards a state by criteria, not by instance",
        ),
        inverse,
        dry_run: "shows the unit that would be started, and on what",
        fields,
        says,
    }
}

/// One fixed statement to a database.
pub(super) const fn sql(
    name: &'static str,
    class: RiskClass,
    role: &'static str,
    inverse: Inverse,
    fields: &'static [Field],
    says: &'static str,
) -> Step {
    Step {
        name,
        class,
        privilege: DatabaseRole(role),
        idempotent: (
            true,
            "it works by criteria such as `idle for an hour`, not by process number",
        ),
        inverse,
        dry_run: "asks the same criteria read-only and counts what would be touched",
        fields,
        says,
    }
}

pub(super) const DEAD_BEFORE: Inverse =
    NotNeeded("the unit was down or failing before it, and a failed start leaves it so");
pub(super) const GONE: Inverse = Impossible("what was removed is gone");
pub(super) const CLEANED: Inverse = NotNeeded("what it removes is made again when it is needed");
