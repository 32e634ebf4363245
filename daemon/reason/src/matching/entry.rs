//! What is told of one playbook, and what of it is embedded.

use hostmedic_model::playbook::{Describe, NumberLimit, Playbook};

use super::confidence::Thresholds;

/// How many words and signs are told in one text, unless one part alone has more.
const WORDS_MAX: usize = 30;

/// What is told of a playbook. Everything but the name may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is for, in a few sentences.
    pub summary: String,
    /// What people notice, in their words.
    pub symptoms: Vec<String>,
    /// Fixed strings of logs, names of metrics and of signals.
    pub signals: Vec<String>,
    /// What looks alike but is not meant.
    pub not_for: Vec<String>,
    /// Incidents that it was right for, as they were told.
    pub examples: Vec<String>,
    /// Numbers that must all be so for it to be right.
    pub numbers: Vec<NumberLimit>,
    /// How sure the matcher must be of it.
    pub thresholds: Thresholds,
}

impl From<&Playbook> for Entry {
    fn from(playbook: &Playbook) -> Self {
        let Describe {
            summary,
            symptoms,
            signals,
            not_for,
            examples,
            numbers,
        } = playbook.describe.clone();
        Self {
            name: playbook.name.clone(),
            summary,
            symptoms,
            signals,
            not_for,
            examples,
            numbers,
            thresholds: Thresholds::of(playbook),
        }
    }
}

impl Entry {
    /// The texts whose meanings stand for it: its summary, and what people notice and what logs say a
    /// few at a time. A text of many would mean a little of each, and the model reads 128 tokens.
    pub fn texts(&self) -> Vec<String> {
        let head = format!("{}. {}", self.name, self.summary);
        let mut texts = vec![head];
        texts.extend(a_few_at_a_time(&self.symptoms, ". "));
        texts.extend(a_few_at_a_time(&self.signals, ", "));
        texts.retain(|text| !text.trim().is_empty());
        texts
    }

    /// All texts whose meanings are needed: those of [`Self::texts`], and what it is not for.
    pub fn all_texts(&self) -> Vec<String> {
        let mut texts = self.texts();
        texts.extend(self.not_for.iter().cloned());
        texts
    }
}

fn a_few_at_a_time(parts: &[String], between: &str) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut words = 0;
    for part in parts {
        let more = words_of(part);
        words += more;
        match texts.last_mut() {
            Some(text) if words <= WORDS_MAX => {
                text.push_str(between);
                text.push_str(part);
            }
            _ => {
                texts.push(part.clone());
                words = more;
            }
        }
    }
    texts
}

/// How many runs of letters, digits and underscores, and other signs, a text has.
fn words_of(text: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let runs = text.split(|c| !is_word(c)).filter(|run| !run.is_empty());
    let signs = text.chars().filter(|c| !is_word(*c) && !c.is_whitespace());
    runs.count() + signs.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_made_of_a_few_parts() {
        let entry = Entry {
            name: "disk".to_owned(),
            symptoms: vec!["a b c d e f g h i j".to_owned(); 7],
            signals: vec!["x ".repeat(100), "y: z".to_owned()],
            ..Entry::default()
        };
        let texts = entry.texts();
        let words: Vec<_> = texts.iter().map(|text| words_of(text)).collect();
        // Dots between the parts count when the text is counted again.
        assert_eq!(words, [2, 32, 32, 10, 100, 3], "{texts:?}");
        assert_eq!(Entry::default().texts(), [". "]);
    }
}
