//! `medic playbook test`: every case and what came of it.

use hostmedic_reason::playbook::trial::Trial;

use crate::render::text::{Style, Tone, clean, count};

/// Playbooks by name, with their cases.
pub(crate) fn tried(answers: &[(String, Vec<(String, Trial)>)], style: Style) -> String {
    let mut page = String::new();
    let (mut passed, mut failed, mut pending) = (0, 0, 0);
    for (playbook, trials) in answers {
        page += &format!("{}\n", style.paint(Tone::Head, &clean(playbook)));
        if trials.is_empty() {
            page += &format!("  {} has no tests\n", style.paint(Tone::Warn, "none"));
        }
        for (name, trial) in trials {
            let (word, tone, more) = match trial {
                Trial::Passed { .. } => {
                    passed += 1;
                    ("ok     ", Tone::Good, String::new())
                }
                Trial::Failed { why } => {
                    failed += 1;
                    (
                        "FAILED ",
                        Tone::Bad,
                        format!("\n            {}", clean(why)),
                    )
                }
                Trial::Pending { .. } => {
                    pending += 1;
                    ("pending", Tone::Warn, String::new())
                }
            };
            page += &format!("  {}  {}{more}\n", style.paint(tone, word), clean(name));
        }
        if let Some((_, Trial::Pending { missing })) = trials.first() {
            page += &format!("           missing: {}\n", clean(&missing.join(", ")));
        }
    }
    let total = passed + failed + pending;
    page + &format!(
        "\n{}: {passed} passed, {failed} failed, {pending} pending\n",
        count(total, "test")
    )
}
