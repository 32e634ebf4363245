//! Somebody asked not to be disturbed: `medic inhibit`, or a blocking lock at logind.

use std::time::Duration;

use hostmedic_model::{calendar::CalendarReading, command::Inhibit, time::At};

use super::{Look, Word, pass, wait};

pub(super) fn ask(look: &Look<'_>) -> Word {
    for inhibit in look.inhibits {
        let named = inhibit
            .unit
            .as_ref()
            .is_none_or(|unit| look.touched().any(|touched| touched == unit));
        if named && is_in_force(inhibit, look.now) {
            let Inhibit {
                id,
                by,
                span,
                reason,
                ..
            } = inhibit;
            return wait(format!("inhibit {id} by {} for {span}: {reason}", by.name));
        }
    }
    // Only locks that block a shutdown say "do not disturb the work on this host"; `delay` locks
    // and those against sleep or keys are held by every desktop and NetworkManager all the time.
    if let CalendarReading::Readable(calendar) = look.calendar {
        for lock in &calendar.inhibitors {
            let blocks = lock.mode.starts_with("block");
            if blocks && lock.what.split(':').any(|what| what == "shutdown") {
                return wait(format!(
                    "{} blocks shutdown at logind: {}",
                    lock.who, lock.why
                ));
            }
        }
    }
    pass("no inhibit and no blocking lock")
}

/// Whether an inhibit still holds by either clock: the stricter wins.
pub(crate) fn is_in_force(inhibit: &Inhibit, now: At) -> bool {
    let by_boot = now.boot_ns >= inhibit.from.boot_ns && now.since(inhibit.from) < inhibit.span.0;
    let by_wall = now.wall_ms.saturating_sub(inhibit.from.wall_ms);
    let by_wall = u64::try_from(by_wall).map_or(Duration::ZERO, Duration::from_millis);
    by_boot || by_wall < inhibit.span.0
}
