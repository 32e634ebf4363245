//! Whether the incident's text speaks for the playbook that its trigger found.
//!
//! The trigger is the hard evidence; this is a second reader of the same story. Where there is
//! nobody to ask, the trigger alone decides, as it did before there was anybody.

use hostmedic_model::decision::Stance;

use super::{Look, Word, pass, wait};
use crate::{
    matching::confidence::{ACT_MIN, PROPOSE_MIN},
    reading::Opinion,
};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let name = &look.playbook.name;
    let (confidence, nearest, nearest_confidence) = match look.opinion {
        Opinion::Silent(why) => return pass(format!("no text matcher: structure alone ({why})")),
        Opinion::Sure {
            tie: Some(other), ..
        } => {
            return wait(format!(
                "by its text the incident fits {name} and {other} equally well"
            ));
        }
        Opinion::Sure {
            confidence,
            nearest,
            nearest_confidence,
            tie: None,
        } => (*confidence, nearest, *nearest_confidence),
    };
    if confidence >= ACT_MIN {
        return pass(format!(
            "{name} fits with {confidence:.2}; {ACT_MIN:.2} is needed to act"
        ));
    }
    if confidence >= PROPOSE_MIN {
        let numbers =
            format!("{name} fits with {confidence:.2}, and {ACT_MIN:.2} is needed to act");
        return match look.approved {
            Some(operator) => pass(format!("{numbers}; approved by {}", operator.name)),
            None => (Stance::Ask, numbers),
        };
    }
    let other = if nearest == name {
        String::new()
    } else {
        format!("; {nearest} is nearer with {nearest_confidence:.2}")
    };
    wait(format!(
        "{name} fits with {confidence:.2} only, and {PROPOSE_MIN:.2} is needed to propose it{other}"
    ))
}
