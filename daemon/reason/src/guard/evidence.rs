//! Whether anything that the host has told contradicts the playbook. What is contradicted never
//! acts, however alike the texts are.

use super::{Look, Word, pass, wait};

pub(super) fn ask(look: &Look<'_>) -> Word {
    let check = look.check;
    if let Some(first) = check.contradicted.first() {
        let more = match check.contradicted.len() {
            1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        return wait(format!("contradicted: {first}{more}"));
    }
    pass(format!(
        "{} signs speak for it, none against it, {} were not seen",
        check.supported.len(),
        check.missing.len()
    ))
}
