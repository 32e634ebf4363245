//! From every guard's word to one verdict.

use hostmedic_model::decision::{GuardVerdict, Stance, Verdict};

/// The strictest stance wins, and the first guard that takes it gives the reason.
pub(crate) fn decide(guards: &[GuardVerdict]) -> (Verdict, String) {
    let order = [
        (Stance::Refuse, Verdict::Escalate),
        (Stance::Wait, Verdict::Hold),
        (Stance::Shadow, Verdict::Shadow),
        (Stance::Ask, Verdict::Propose),
    ];
    for (stance, verdict) in order {
        if let Some(guard) = guards.iter().find(|guard| guard.stance == stance) {
            return (verdict, format!("{}: {}", guard.guard, guard.reason));
        }
    }
    (Verdict::Act, format!("all {} guards agree", guards.len()))
}

/// What makes a decision news: its verdict and who stands in the way, not the numbers that
/// change with every look.
pub(crate) fn key(verdict: Verdict, guards: &[GuardVerdict]) -> (Verdict, Vec<String>) {
    let objections = guards.iter().filter(|guard| guard.stance != Stance::Pass);
    (
        verdict,
        objections.map(|guard| guard.guard.clone()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stances: &[Stance], expected: Verdict) {
        let guards: Vec<_> = stances
            .iter()
            .enumerate()
            .map(|(number, stance)| GuardVerdict {
                guard: format!("g{number}"),
                stance: *stance,
                reason: "r".into(),
            })
            .collect();
        assert_eq!(decide(&guards).0, expected, "{stances:?}");
    }

    #[test]
    fn strictest_stance_wins_in_any_order() {
        use Stance::{Ask, Pass, Refuse, Shadow, Wait};
        check(&[Pass, Pass], Verdict::Act);
        check(&[Pass, Ask], Verdict::Propose);
        check(&[Ask, Shadow], Verdict::Shadow);
        check(&[Shadow, Wait, Ask], Verdict::Hold);
        check(&[Wait, Refuse], Verdict::Escalate);
        check(&[Refuse, Pass, Wait], Verdict::Escalate);
    }
}
