//! The two guards that ask whether it is the right playbook at all.

use hostmedic_model::playbook::Needs;

use super::*;

fn sure(confidence: f64) -> Opinion {
    Opinion::Sure {
        confidence,
        nearest: "unit-failed-restart".into(),
        nearest_confidence: confidence,
        tie: None,
        before: None,
    }
}

fn with(opinion: Opinion) -> Scene {
    Scene { opinion, ..scene() }
}

#[test]
fn confidence_decides_between_acting_asking_and_waiting() {
    assert_eq!(objections(&with(sure(0.90))), []);
    check(
        &with(sure(0.899)),
        "confidence",
        Stance::Ask,
        "0.90 is needed",
    );
    check(&with(sure(0.85)), "confidence", Stance::Ask, "0.85");
    check(
        &with(sure(0.849)),
        "confidence",
        Stance::Wait,
        "0.85 is needed",
    );
    check(
        &with(sure(f64::NAN)),
        "confidence",
        Stance::Wait,
        "is needed",
    );
}

#[test]
fn a_playbook_that_asks_for_more_is_held_to_it() {
    let needing = |propose, act, confidence| {
        let mut scene = with(sure(confidence));
        scene.playbook.needs = Needs { propose, act };
        scene
    };
    assert_eq!(objections(&needing(None, Some(0.97), 0.97)), []);
    check(
        &needing(None, Some(0.97), 0.96),
        "confidence",
        Stance::Ask,
        "0.97 is needed to act",
    );
    check(
        &needing(Some(0.95), None, 0.94),
        "confidence",
        Stance::Wait,
        "0.95 is needed to propose it",
    );
    // Asking for less changes nothing.
    check(
        &needing(Some(0.1), Some(0.2), 0.89),
        "confidence",
        Stance::Ask,
        "0.90 is needed to act",
    );
}

#[test]
fn an_approval_answers_the_question_and_nothing_else() {
    let approved = |opinion| Scene {
        approved: Some(operator()),
        ..with(opinion)
    };
    assert_eq!(objections(&approved(sure(0.87))), []);
    check(&approved(sure(0.5)), "confidence", Stance::Wait, "0.50");
}

#[test]
fn what_a_language_model_lowered_is_said_so() {
    let lowered = Opinion::Sure {
        confidence: 0.84,
        nearest: "unit-failed-restart".into(),
        nearest_confidence: 0.84,
        tie: None,
        before: Some(0.97),
    };
    check(
        &with(lowered),
        "confidence",
        Stance::Wait,
        "0.84 only (a language model lowered it from 0.97)",
    );
}

#[test]
fn a_nearer_one_and_an_equal_one_are_named() {
    let other = |tie| Opinion::Sure {
        confidence: 0.2,
        nearest: "disk-full-logs".into(),
        nearest_confidence: 0.7,
        tie,
        before: None,
    };
    check(
        &with(other(None)),
        "confidence",
        Stance::Wait,
        "disk-full-logs is nearer",
    );
    let tie = other(Some("unit-crash-loop-hold".into()));
    check(
        &with(tie),
        "confidence",
        Stance::Wait,
        "unit-crash-loop-hold equally well",
    );
}

#[test]
fn what_is_contradicted_never_acts_however_alike_it_is() {
    let contradicted = Scene {
        check: EvidenceCheck {
            supported: vec!["oom_kill: 1 of 1".into()],
            contradicted: vec!["the unit is active".into(), "and more".into()],
            ..EvidenceCheck::default()
        },
        approved: Some(operator()),
        ..with(sure(1.0))
    };
    check(
        &contradicted,
        "evidence",
        Stance::Wait,
        "the unit is active, and 1 more",
    );
}
