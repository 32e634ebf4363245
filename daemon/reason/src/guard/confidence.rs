//! Whether the incident's text speaks for the playbook that its trigger found.
//!
//! The trigger is the hard evidence; this is a second reader of the same story. Where there is
//! nobody to ask, the trigger alone decides, as it did before there was anybody.

use hostmedic_model::decision::Stance;

use super::{Look, Word, pass, wait};
use crate::{matching::confidence::Thresholds, reading::Opinion};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let name = &look.playbook.name;
    let needed = Thresholds::of(look.playbook);
    let (confidence, nearest, nearest_confidence, before) = match look.opinion {
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
            before,
        } => (*confidence, nearest, *nearest_confidence, *before),
    };
    let lowered = before.map_or_else(String::new, |before| {
        format!(" (a language model lowered it from {before:.2})")
    });
    if confidence >= needed.act {
        return pass(format!(
            "{name} fits with {confidence:.2}{lowered}; {:.2} is needed to act",
            needed.act
        ));
    }
    if confidence >= needed.propose {
        let numbers = format!(
            "{name} fits with {confidence:.2}{lowered}, and {:.2} is needed to act",
            needed.act
        );
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
        "{name} fits with {confidence:.2} only{lowered}, and {:.2} is needed to propose it{other}",
        needed.propose
    ))
}
