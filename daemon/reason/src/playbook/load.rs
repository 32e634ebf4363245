//! From text to the wire form: strict, bounded, and every error has its place.
//!
//! A playbook that could be read two ways would one day be read the wrong way, at night, with the
//! right to restart services. So anchors, aliases, merge keys, tags, unknown and duplicate keys
//! are errors, and so is text that other YAML readers take for a truth value.

use serde::de::DeserializeOwned;
use serde_saphyr::{DuplicateKeyPolicy, Error, MergeKeyPolicy, Options};

use super::{
    finding::{Finding, Level},
    placed::Place,
    registry::nearest,
    wire::Document,
};

/// Larger than any sane playbook.
pub const FILE_BYTES_MAX: usize = 64 * 1024;
/// Deeper than any sane playbook.
const DEPTH_MAX: usize = 16;
/// Keys, values and lists in one file.
const NODES_MAX: usize = 8_000;

/// Reads one playbook's text.
///
/// # Errors
/// The first thing that is wrong with its form.
pub(crate) fn load(text: &str) -> Result<Document, Finding> {
    read(text)
}

/// Reads any form under the same rules.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Finding> {
    if text.len() > FILE_BYTES_MAX {
        return Err(error(
            "too-large",
            Place::default(),
            format!(
                "{} bytes are no playbook; at most {FILE_BYTES_MAX}",
                text.len()
            ),
            None,
        ));
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| explain(&error, text))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: NODES_MAX * 3,
            max_aliases: 0,
            max_anchors: 0,
            max_documents: 1,
            max_merge_keys: 0,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        no_schema: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
    }
}

fn error(rule: &'static str, place: Place, message: String, help: Option<String>) -> Finding {
    Finding {
        level: Level::Error,
        rule,
        place,
        message,
        help,
    }
}

/// The reader's error in the words of this language.
fn explain(failure: &Error, text: &str) -> Finding {
    let place = failure
        .location()
        .map_or_else(Place::default, |place| widen(place.into(), text));
    match failure {
        Error::SerdeUnknownField {
            field, expected, ..
        } => error(
            "unknown-key",
            place,
            format!("there is no key `{field}` here"),
            Some(if field.contains(' ') {
                "text with a comma inside { } or [ ] needs quotes".to_owned()
            } else {
                suggest(field, expected)
            }),
        ),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => error(
            "unknown-word",
            place,
            format!("`{variant}` is not one of the words that can stand here"),
            Some(suggest(variant, expected)),
        ),
        Error::SerdeMissingField { field, .. } => error(
            "missing-key",
            place,
            format!("the key `{field}` is missing here"),
            None,
        ),
        Error::DuplicateMappingKey { key, .. } => error(
            "duplicate-key",
            place,
            key.as_ref().map_or_else(
                || "a key stands here twice".to_owned(),
                |key| format!("the key `{key}` stands here twice"),
            ),
            Some("remove one: nobody could know which of them was meant".to_owned()),
        ),
        Error::QuotingRequired { value, .. } => error(
            "ambiguous-text",
            place,
            format!("`{value}` without quotes may be read as something else than text"),
            Some(format!("write \"{value}\"")),
        ),
        Error::Budget { .. } => error(
            "too-much",
            place,
            one_line(&failure.to_string()),
            Some(format!(
                "anchors and aliases are not allowed; at most {DEPTH_MAX} levels and {NODES_MAX} values"
            )),
        ),
        other => error("form", place, one_line(&other.to_string()), None),
    }
}

fn suggest(word: &str, expected: &[&'static str]) -> String {
    nearest(expected.iter().copied(), word).map_or_else(
        || format!("it can be: {}", expected.join(", ")),
        |meant| format!("did you mean `{meant}`?"),
    )
}

/// A place without a length is widened to the word that begins there.
fn widen(place: Place, text: &str) -> Place {
    if place.end > place.start {
        return place;
    }
    let rest = text.get(place.start..).unwrap_or_default();
    let word = rest
        .find(|c: char| c.is_whitespace() || ":,{}[]#".contains(c))
        .unwrap_or(rest.len());
    Place {
        end: place.start + word,
        ..place
    }
}

/// The reader's text may span lines and repeat the place; ours is one line after it.
fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text
        .strip_prefix("error: ")
        .map_or(text.as_str(), str::trim)
        .to_owned();
    let cut = text.find(" at line ").unwrap_or(text.len());
    text[..cut].to_owned()
}
