//! A text as the terms that are compared: small letters, without endings, numbers and ids.
//!
//! The embedding has its own idea of words; here `oom_kill` and "OOM killer" must meet.

/// How much of a text is read, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Words that every text has, as [`stem`] leaves them, sorted.
const COMMON: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "for", "from", "has", "have",
    "in", "into", "is", "it", "its", "not", "of", "on", "or", "so", "than", "that", "the", "their",
    "then", "ther", "they", "thi", "to", "was", "were", "which", "whil", "will", "with",
];

/// The terms of `text` in their order, the most common words included.
pub(crate) fn sequence(text: &str) -> Vec<String> {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    let names = text.split(|c: char| !c.is_alphanumeric());
    let mut terms = Vec::new();
    for name in names.filter(|name| !is_noise(name)) {
        split_capitals(name, &mut terms);
    }
    terms
}

/// Whether a term says something about what a text is about.
pub(crate) fn is_telling(term: &str) -> bool {
    COMMON.binary_search(&term).is_err()
}

/// Numbers with units, addresses and ids tell one incident from another, not one kind.
fn is_noise(name: &str) -> bool {
    let letters = name.chars().filter(|c| c.is_alphabetic()).count();
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let hexadecimal = name.chars().all(|c| c.is_ascii_hexdigit());
    letters == 0
        || (digits > 0 && (name.starts_with(|c: char| c.is_ascii_digit()) || hexadecimal))
        || (digits > 0 && digits >= letters && name.len() > 4)
        || (hexadecimal && name.len() >= 12)
}

/// `MemAvailable` becomes `mem` and `avail`; `OOMKilled` becomes `oom` and `kill`.
fn split_capitals(name: &str, terms: &mut Vec<String>) {
    let mut word = String::new();
    let mut before: Option<char> = None;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let after_small = before.is_some_and(char::is_lowercase);
        let last_capital = before.is_some_and(char::is_uppercase)
            && chars.peek().is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_small || last_capital) {
            terms.push(stem(std::mem::take(&mut word)));
        }
        word.extend(c.to_lowercase());
        before = Some(c);
    }
    terms.push(stem(word));
}

/// Takes English endings off, so that "killed", "kills" and "killing" are one term. Cruder than
/// Porter's stemmer and enough: both sides lose the same letters.
fn stem(mut word: String) -> String {
    const ENDINGS: [(&str, &str); 8] = [
        ("ingly", ""),
        ("edly", ""),
        ("ing", ""),
        ("ies", "y"),
        ("ed", ""),
        ("es", ""),
        ("s", ""),
        ("ly", ""),
    ];
    if !word.is_ascii() {
        return word;
    }
    let found = ENDINGS
        .iter()
        .find(|(ending, _)| word.len() >= ending.len() + 3 && word.ends_with(ending));
    if let Some((ending, instead)) = found {
        word.truncate(word.len() - ending.len());
        word.push_str(instead);
        let doubled = matches!(word.as_bytes(), [.., a, b] if a == b && !b"ls".contains(a));
        if matches!(*ending, "ing" | "ed") && word.len() > 3 && doubled {
            word.pop();
        }
    }
    if word.len() > 4 && word.ends_with('e') {
        word.pop();
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_meet() {
        assert_eq!(
            sequence("killed Kills KILLING kill"),
            ["kill", "kill", "kill", "kill"]
        );
        assert_eq!(sequence("dropped drops"), ["drop", "drop"]);
        assert_eq!(sequence("retries retry"), ["retry", "retry"]);
    }

    #[test]
    fn names_meet_words() {
        assert_eq!(
            sequence("OOMKilled oom_kill"),
            ["oom", "kill", "oom", "kill"]
        );
        assert_eq!(sequence("pid 2211, 48MB, 7f3a91c0, eth0"), ["pid", "eth0"]);
    }

    #[test]
    fn common_words_are_sorted_for_the_search() {
        assert!(COMMON.is_sorted());
        for term in sequence("This is the one that was there while they have been with it") {
            assert_eq!(is_telling(&term), term == "one", "{term}");
        }
    }
}
