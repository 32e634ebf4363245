//! The unit was read just now, is loaded, and systemd lets it be started by hand.

use std::time::Duration;

use super::{Look, Word, pass, refuse, wait};

/// Older than this, what was read may no longer be so.
const AGE_MAX: Duration = Duration::from_secs(10);

pub(super) fn ask(look: &Look<'_>) -> Word {
    let unit = match look.unit {
        Ok(unit) => unit,
        Err(reason) => return wait(format!("{} could not be read: {reason}", look.target)),
    };
    let age = look.now.since(unit.at);
    if age > AGE_MAX {
        return wait(format!(
            "what is known of {} is {} s old",
            unit.unit,
            age.as_secs()
        ));
    }
    if unit.load_state != "loaded" {
        return refuse(format!(
            "{} is {}, not loaded; see `systemctl status {}`",
            unit.unit, unit.load_state, unit.unit
        ));
    }
    if !look.moves {
        // What systemd lets nobody start or stop may still be given less.
    } else if unit.refuse_manual_start {
        return refuse(format!("{} has RefuseManualStart=yes", unit.unit));
    } else if unit.refuse_manual_stop && !unit.state.active.is_down() {
        return refuse(format!("{} has RefuseManualStop=yes", unit.unit));
    }
    pass(format!("{} was read {} ms ago", unit.unit, age.as_millis()))
}
