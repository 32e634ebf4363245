//! systemd is about to do something to the unit already: an admin's job or its own comes first.

use hostmedic_model::unit::ActiveState;

use super::{Look, Word, pass, wait};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let Ok(unit) = look.unit else {
        return pass("unknown; fresh_telemetry speaks for it");
    };
    if let Some(job) = &unit.pending_job {
        return wait(format!("systemd has a `{job}` job for {}", unit.unit));
    }
    if matches!(
        unit.state.active,
        ActiveState::Activating | ActiveState::Deactivating | ActiveState::Unknown
    ) {
        return wait(
            format!(
                "{} is {:?} ({})",
                unit.unit, unit.state.active, unit.state.sub
            )
            .to_lowercase(),
        );
    }
    pass("no job is queued")
}
