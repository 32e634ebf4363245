//! The windows: what is told of them, and that nothing is unbounded, lost uncounted or secret.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;
use crate::describe::secrets::with_secret;

fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

fn take(lines: &mut Lines, name: &str, texts: &[&str]) {
    for text in texts {
        lines.take(&unit(name), LogPriority::Error, text);
    }
}

/// The templates of one window of one unit.
fn templates(texts: &[&str]) -> Vec<(String, u64)> {
    let mut lines = Lines::default();
    take(&mut lines, "a.service", texts);
    let told = lines.close().into_iter();
    told.map(|(_, lines)| (lines.template, lines.count))
        .collect()
}

#[test]
fn lines_that_differ_in_a_word_are_of_one_kind() {
    let told = templates(&[
        "user bob not found",
        "user eve not found",
        "user ann not found",
    ]);
    assert_eq!(told, [("user (any) not found".to_owned(), 3)]);
    let told = templates(&["cannot bind port 80", "cannot bind port 8080"]);
    assert_eq!(told, [("cannot bind port (n)".to_owned(), 2)]);
    assert_eq!(
        templates(&["disk failed", "disk is gone", "no disk"]).len(),
        3
    );
    // So unlike that the template would say nothing.
    assert_eq!(templates(&["a b c d", "a x y d"]).len(), 2);
}

#[test]
fn a_template_keeps_its_name_when_it_becomes_more_general() {
    let mut lines = Lines::default();
    take(&mut lines, "a.service", &["user bob not found"]);
    let first = lines.close();
    take(&mut lines, "a.service", &["user eve not found"]);
    let second = lines.close();
    assert_ne!(first[0].1.template, second[0].1.template);
    assert_eq!(first[0].1.id, second[0].1.id);
    assert_eq!(second[0].1.count, 1, "a window counts its own lines");
    assert!(lines.close().is_empty(), "a quiet window tells nothing");
}

#[test]
fn the_worst_comes_first_and_no_unit_pushes_out_another() {
    let mut lines = Lines::default();
    let kinds: Vec<_> = ('a'..='z').map(|c| format!("{c} broke")).collect();
    for kind in &kinds {
        lines.take(&unit("noisy.service"), LogPriority::Critical, kind);
    }
    lines.take(&unit("calm.service"), LogPriority::Warning, "hm");
    lines.take(&unit("calm.service"), LogPriority::Error, "oh");
    let told = lines.close();
    let names: Vec<_> = told.iter().map(|(unit, _)| unit.as_str()).collect();
    assert_eq!(
        &names[..4],
        [
            "noisy.service",
            "calm.service",
            "noisy.service",
            "calm.service"
        ]
    );
    assert_eq!(told.len(), TOLD_PER_UNIT_MAX + 2);
    assert_eq!(told[1].1.template, "oh");
    assert_eq!(told[0].1.left_out, 26 - 8, "what is not told is counted");
}

#[test]
fn a_flood_is_counted_and_not_read() {
    let mut lines = Lines::default();
    for number in 0..100_000 {
        let text = format!("failed {number}");
        lines.take(&unit("flood.service"), LogPriority::Warning, &text);
    }
    let told = lines.close();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].1.count, READ_MAX);
    assert_eq!(told[0].1.left_out, 100_000 - READ_MAX);
}

#[test]
fn more_units_than_can_be_told_of_are_counted() {
    let mut lines = Lines::default();
    for number in 0..100 {
        take(&mut lines, &format!("u{number}.service"), &["oh", "oh"]);
    }
    assert_eq!(lines.close().len(), TOLD_MAX);
    assert_eq!(lines.losses().untold, 72);
    for number in 0..1000 {
        take(&mut lines, &format!("v{number}.service"), &["oh"]);
    }
    assert!(lines.losses().units >= 1100 - 256);
}

/// A line of words, with a hole for a number in each gap.
fn with_holes() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[g-z]{1,8}[:=]?", 1..10)
}

proptest! {
    #[test]
    fn lines_that_differ_only_in_numbers_are_of_one_kind(
        words in with_holes(),
        numbers in prop::collection::vec((0_u64..u64::MAX, 0_u32..2000), 10),
    ) {
        let fill = |of: &dyn Fn(&(u64, u32)) -> u64| -> String {
            let filled = words.iter().zip(&numbers).map(|(word, pair)| format!("{word} {} ", of(pair)));
            filled.collect()
        };
        let (one, other) = (fill(&|pair| pair.0), fill(&|pair| u64::from(pair.1)));
        prop_assert_eq!(mask::words(&one), mask::words(&other));
    }

    #[test]
    fn any_lines_are_bounded_and_none_vanishes(
        texts in prop::collection::vec((0_u8..4, ".{0,60}", 0_u8..5), 0..400),
    ) {
        let mut lines = Lines::default();
        let mut again = Lines::default();
        for (at, text, priority) in &texts {
            let priority = LogPriority::from_number(*priority).unwrap();
            for lines in [&mut lines, &mut again] {
                lines.take(&unit(&format!("u{at}.service")), priority, text);
            }
        }
        for (_, unit) in lines.units.iter_mut() {
            prop_assert!(unit.miner.len() <= miner::TEMPLATES_MAX);
        }
        let told = lines.close();
        prop_assert_eq!(&told, &again.close(), "it is the same each time");
        prop_assert!(told.len() <= TOLD_MAX);
        let counted: u64 = told.iter().map(|(_, lines)| lines.count + lines.left_out).sum();
        prop_assert_eq!(counted + lines.losses().untold, texts.len() as u64);
        for (_, lines) in told {
            prop_assert!(lines.template.chars().count() <= 24 * 8 + 160);
            let odd = |c: char| c.is_control() || "\"'`<>{}\\|$".contains(c);
            prop_assert!(!lines.template.contains(odd), "{}", lines.template);
        }
    }

    #[test]
    fn no_secret_becomes_part_of_a_template((text, secret) in with_secret()) {
        let template = mask::words(&text).join(" ");
        let part: String = secret.trim_start_matches("ghp_").chars().take(8).collect();
        prop_assert!(!template.contains(&part), "{template} has {part}");
    }
}
