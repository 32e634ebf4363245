//! What a step would set is known, keeps the unit alive, and is not so already.

use hostmedic_model::playbook::Remedy;

use super::{Look, Word, pass, refuse, wait};
use crate::setting::{self, Fit};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let Remedy::Steps { steps, .. } = &look.playbook.remedy else {
        return pass("nothing is set");
    };
    match setting::next(steps, 0, look.unit.as_ref().map_err(String::as_str)) {
        Some((_, Fit::Call(Some(change)))) => pass(format!("{change}")),
        Some((_, Fit::Call(None))) | None => pass("nothing is set"),
        // There is nothing left to try, and the trouble is there all the same.
        Some((_, Fit::InPlace(what))) => refuse(format!("there is nothing to change: {what}")),
        Some((_, Fit::Unfit(why))) => refuse(why),
        Some((_, Fit::Unknown(why))) => wait(why),
    }
}
