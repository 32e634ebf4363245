//! Whether an operator must agree, and whether one has.

use hostmedic_model::{decision::Stance, playbook::Phase};

use super::{Look, Word, pass};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let needed = if look.phase() == Phase::Assist {
        Some("in the assist phase every action needs an approval".to_owned())
    } else if look.playbook.approval.severities.contains(&look.severity) {
        let severity = format!("{:?}", look.severity).to_lowercase();
        Some(format!(
            "the playbook asks for incidents that are {severity}"
        ))
    } else {
        look.policy
            .asks_for(look.target.as_str())
            .map(|pattern| format!("{} needs an approval (`{pattern}`)", look.target))
    };
    match (needed, look.approved) {
        (None, _) => pass("no approval is needed"),
        (Some(_), Some(operator)) => pass(format!(
            "approved by {} (uid {})",
            operator.name, operator.uid
        )),
        (Some(why), None) => (Stance::Ask, why),
    }
}
