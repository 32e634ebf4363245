//! What, of the words that tell of an incident, says what kind of incident it is.
//!
//! The words around a log's line say what happened, and are much the same for every unit that failed;
//! the line says why. A number that is as usual stands there for people: that the journal has 4 % of a
//! full disk is no sign that the journal filled it.

use std::borrow::Cow;

use crate::subject::UNIT_TYPES;

/// A shorter quotation is a name: that of a program has fifteen letters at most
/// (`TASK_COMM_LEN` in the kernel's include/linux/sched.h).
const QUOTATION_BYTES_MIN: usize = 16;
/// Where one piece of a text ends.
const END: &str = ". ";
/// A share from here on may be trouble, also where nobody says that it is unusual.
const SHARE_PERCENT_MIN: f64 = 50.0;
/// What stands behind a number that is measured.
const UNITS: [&str; 4] = ["", "%", "MiB", "a second"];

/// The quotations of `text` between double quotes that are longer than a name, in their order. A
/// mark without its second is no quotation.
pub fn quotations(text: &str) -> impl Iterator<Item = &str> {
    let pairs = text.matches('"').count() / 2;
    // What stands between two marks is every second part, from the second one on.
    let between = text.split('"').skip(1).step_by(2).take(pairs);
    between
        .map(str::trim)
        .filter(|part| part.len() >= QUOTATION_BYTES_MIN && part.contains(char::is_whitespace))
}

/// `text` without the measured numbers of which it does not say that they are unusual, or on the
/// move; a share of a half and more stays. A text without such numbers is as it was.
pub fn telling(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    for piece in pieces(text) {
        let place = piece.split_once(": ").map(|(place, _)| place);
        match place {
            _ if !is_as_usual(piece) => join(&mut told, piece),
            // What the text is about stands before the first number.
            Some(place) if !place.contains('"') => {
                join(&mut told, place);
                told.push(':');
            }
            Some(_) => join(&mut told, piece),
            None => {}
        }
    }
    told
}

fn join(told: &mut String, piece: &str) {
    if !told.is_empty() {
        told.push_str(if told.ends_with(':') { " " } else { END });
    }
    told.push_str(piece);
}

/// `text` without the name of the unit that it is about, where it begins with one: `Service a.service: ...`
/// becomes `Service: ...`. The name is chance; who learns from texts would learn it.
pub fn nameless(text: &str) -> Cow<'_, str> {
    let place = text.split_once(": ");
    let name = place.and_then(|(place, told)| Some((place.rsplit_once(' ')?, told)));
    match name {
        Some(((kind, name), told)) if is_unit(name) => format!("{kind}: {told}").into(),
        _ => text.into(),
    }
}

/// Whether a word ends as a unit's name does (systemd.unit(5)).
fn is_unit(word: &str) -> bool {
    let kind = word.rsplit_once('.').map(|(_, kind)| kind);
    kind.is_some_and(|kind| UNIT_TYPES.contains(&kind))
}

/// The pieces of a text. One does not end within a quotation.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let all = rest?;
        let mut quoted = false;
        let mut before = 0;
        for (at, _) in all.match_indices(END) {
            quoted ^= all[before..at].matches('"').count() % 2 == 1;
            before = at;
            if !quoted {
                rest = Some(&all[at + END.len()..]);
                return Some(&all[..at]);
            }
        }
        rest = None;
        Some(all)
    })
}

/// Whether a piece is the name of a measure, its value, and nothing more: `disk_free_bytes is 41 MiB`,
/// `memory in use (memory_used_ratio) is 12 %`.
fn is_as_usual(piece: &str) -> bool {
    let Some((name, value)) = piece.trim_end_matches('.').rsplit_once(" is ") else {
        return false;
    };
    let word = name.rsplit([' ', '(']).next().unwrap_or_default();
    let word = word.trim_end_matches(')');
    let is_measure = word.contains('_')
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let Ok(number) = number.parse::<f64>() else {
        return false;
    };
    is_measure && UNITS.contains(&unit) && !(unit == "%" && number >= SHARE_PERCENT_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> Vec<&str> {
        quotations(text).collect()
    }

    #[test]
    fn a_line_of_a_log_is_a_quotation_and_a_name_is_none() {
        let told = "Service a.service: process \"Web Content\" got SIGABRT. its log has \"bind() to \
                    (address) failed: Address in use\". since 3m.";
        assert_eq!(quoted(told), ["bind() to (address) failed: Address in use"]);
    }

    #[test]
    fn the_name_of_a_unit_goes_and_other_places_stay() {
        for (text, told) in [
            (
                "Service db-1.service: unit failed. a: b",
                "Service: unit failed. a: b",
            ),
            (
                "Mount unit srv-data.mount: it is slow",
                "Mount unit: it is slow",
            ),
            (
                "File system /var: disk space used",
                "File system /var: disk space used",
            ),
            ("a.service failed: why", "a.service failed: why"),
            ("nginx.service: exited", "nginx.service: exited"),
            ("no place", "no place"),
            ("", ""),
        ] {
            assert_eq!(nameless(text), told);
        }
    }

    #[test]
    fn one_mark_quotes_nothing() {
        assert_eq!(
            quoted("a disk of 3.5\" does not answer to any command"),
            [""; 0]
        );
        let first = "\"the first one is whole\" and \"the second is not";
        assert_eq!(quoted(first), ["the first one is whole"]);
        assert_eq!(quoted(""), [""; 0]);
        assert_eq!(quoted("\"\"\"\""), [""; 0]);
    }

    #[test]
    fn numbers_that_are_as_usual_go() {
        let told = telling(
            "File system /: inodes_used_ratio is 5 %. disk space used (disk_used_ratio) is 97 %, 9 \
             spreads above the usual 12 %. the journal's share (journal_share_ratio) is 4 %. \
             disk_free_bytes is 41 MiB. exec_per_s is 0.7 a second. load_per_cpu is 1.31. since 3m.",
        );
        assert_eq!(
            told,
            "File system /: disk space used (disk_used_ratio) is 97 %, 9 spreads above the usual \
             12 %. since 3m."
        );
        let all =
            "The host: swap_used_ratio is 50 %. unit_cpu_share_ratio is 9 %, rising, now 12 %.";
        assert_eq!(telling(all), all);
    }

    #[test]
    fn other_texts_stay_as_they_are() {
        for text in [
            "",
            ".",
            "the disk is 90 % full. is that normal?",
            "its log has \"free_bytes is 3. stop. \". it is 4",
            "my_disk is full. the answer is 42",
            "a. b. \"c. d",
        ] {
            assert_eq!(telling(text), text);
        }
    }

    proptest::proptest! {
        /// Any text, also with marks that do not close, comes through; nothing is added to it.
        #[test]
        fn nothing_is_added(text in "[a-z\" .:%0-9ü_]{0,80}") {
            let told = telling(&text);
            proptest::prop_assert!(told.len() <= text.len());
            proptest::prop_assert_eq!(telling(&told), told);
        }
    }
}
