//! What a language model answered, checked to the last byte, and what follows from it: nothing, or
//! less than before.

use hostmedic_model::advice::{Lowered, Said};
use serde::{Deserialize, Deserializer};

use crate::matching::{
    catalogue::{Ranked, route_of},
    confidence::PROPOSE_MIN,
};

/// Longest answer, in bytes; one that keeps to the schema has less than half of it.
pub(crate) const ANSWER_BYTES_MAX: usize = 4096;
/// Longest hypothesis.
pub(crate) const HYPOTHESIS_CHARS_MAX: usize = 400;
/// Longest word on what went wrong.
const PROBLEM_CHARS_MAX: usize = 200;
/// What is left of the confidence in a playbook that the model did not choose: people are told of
/// it, and no more.
const NOT_CHOSEN_MAX: f64 = 0.84;

const _: () = assert!(NOT_CHOSEN_MAX < PROPOSE_MIN);

/// The answer's form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    hypothesis: String,
    /// A key that is left out is no null.
    #[serde(deserialize_with = "null_or_name")]
    playbook: Option<String>,
    confidence: f64,
}

fn null_or_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// Reads an answer to a question about the playbooks `names`.
///
/// # Errors
/// What is wrong with it, on one line; then it counts as none.
pub(crate) fn parse(answer: &str, names: &[String]) -> Result<Said, String> {
    if answer.len() > ANSWER_BYTES_MAX {
        return Err(format!(
            "its answer is longer than {ANSWER_BYTES_MAX} bytes"
        ));
    }
    let answer: Answer = serde_json::from_str(answer)
        .map_err(|error| format!("its answer is not of the form asked for: {error}"))?;
    if !(0.0..=1.0).contains(&answer.confidence) {
        return Err(format!(
            "its confidence is {}, not from 0 to 1",
            answer.confidence
        ));
    }
    if let Some(name) = answer
        .playbook
        .as_ref()
        .filter(|name| !names.contains(name))
    {
        return Err(format!("it chose `{name}`, which is none of those shown"));
    }
    let chars = answer.hypothesis.chars().count();
    if chars > HYPOTHESIS_CHARS_MAX {
        return Err(format!(
            "its hypothesis has {chars} characters, and {HYPOTHESIS_CHARS_MAX} are allowed"
        ));
    }
    Ok(Said {
        playbook: answer.playbook,
        // As it is recorded, so that a restart changes nothing; downwards, for it may only lower.
        confidence: (answer.confidence.abs() * 1e4).floor() / 1e4,
        hypothesis: plain(&answer.hypothesis),
    })
}

/// Lowers what the model does not stand behind, and says what went down. No confidence and no route
/// is ever higher than before, whatever was said.
pub(crate) fn lower(ranked: &mut Ranked, said: &Said) -> Vec<Lowered> {
    let mut lowered = Vec::new();
    for candidate in &mut ranked.matches {
        let is_chosen = said.playbook.as_deref() == Some(candidate.playbook.as_str());
        let most = if is_chosen {
            said.confidence
        } else {
            NOT_CHOSEN_MAX
        };
        let own = candidate.confidence.value;
        if most < own {
            candidate.confidence.value = most;
            lowered.push(Lowered {
                playbook: candidate.playbook.clone(),
                from: rounded(own),
                to: rounded(most),
            });
        }
    }
    ranked.route = ranked.route.min(route_of(&ranked.matches, ranked.tie));
    lowered
}

/// What went wrong, as it is recorded: it may quote the server.
pub(crate) fn problem(text: &str) -> String {
    plain(text).chars().take(PROBLEM_CHARS_MAX).collect()
}

/// One line without anything that a terminal or a shell would obey or somebody could be led to
/// open: whoever writes into a log may have written this.
fn plain(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.filter(|word| !word.is_empty()).map(|word| {
        if word.contains("://") || word.to_ascii_lowercase().contains("www.") {
            return "(link)".to_owned();
        }
        let is_plain = |c: &char| c.is_alphanumeric() || " -_./:@=+,;()%[]'\"!?*#~^".contains(*c);
        word.chars().filter(is_plain).collect()
    });
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(HYPOTHESIS_CHARS_MAX).collect()
}

/// JSON knows no other numbers, and nobody more places.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
