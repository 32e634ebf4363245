//! How far this host and this playbook have come on the way to acting alone.

use hostmedic_model::{decision::Stance, playbook::Phase};

use super::{Look, Word, pass};

pub(super) fn ask(look: &Look<'_>) -> Word {
    match look.phase() {
        Phase::Observe if !look.playbook.missing.is_empty() => (
            Stance::Shadow,
            format!(
                "this version cannot do all of it yet ({}): only saying what would be done",
                look.playbook.missing.join(", ")
            ),
        ),
        Phase::Observe => (
            Stance::Shadow,
            "the phase is observe: only saying what would be done".to_owned(),
        ),
        Phase::Assist => pass("the phase is assist"),
        Phase::Autonomous => pass("the phase is autonomous"),
    }
}
