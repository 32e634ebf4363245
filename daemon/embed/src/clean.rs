//! Drops from a text what differs between two incidents of one kind: numbers, ids, addresses.
//!
//! Without this a process id would count as much as the word "memory". Names are split into their
//! words, because `node_vmstat_oom_kill` and `MemAvailable` are no words of the model.

/// How much of a text is read, in bytes. An incident's text is about a thousand.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The words of `text`, as plain as they can be, with one space between them.
pub fn clean(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    let mut cleaned = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        for name in word.split(is_break).filter(|name| !is_noise(name)) {
            push_words(name, &mut cleaned);
        }
        // The model reads ends of sentences and clauses; other signs only separate.
        if let Some(mark) = word.chars().next_back().filter(|c| ".,;:!?".contains(*c))
            && cleaned.ends_with(char::is_alphanumeric)
        {
            cleaned.push(mark);
        }
    }
    cleaned
}

/// Where a name ends. A dash, dot or slash within a word of the language is no loss either.
fn is_break(c: char) -> bool {
    c.is_ascii_punctuation() && c != '\''
}

/// Whether a name tells one incident from another instead of one kind from another.
fn is_noise(name: &str) -> bool {
    let letters = name.chars().filter(|c| c.is_alphabetic()).count();
    let digits = name.chars().filter(char::is_ascii_digit).count();
    let hexadecimal = name.chars().all(|c| c.is_ascii_hexdigit());
    // `12345`, `12ms`, `9821344kB`; `7f3a91c0`, `0x7ffe`; `i` and `o` of `i/o` stay.
    letters == 0
        || (digits > 0 && (name.starts_with(|c: char| c.is_ascii_digit()) || hexadecimal))
        || (digits > 0 && digits >= letters && name.len() > 4)
        || (hexadecimal && name.len() >= 12)
}

/// Splits `MemAvailable` into `Mem Available`, but leaves `OOMKilled` and `NVMe` readable.
fn push_words(name: &str, cleaned: &mut String) {
    if !cleaned.is_empty() {
        cleaned.push(' ');
    }
    let mut before: Option<char> = None;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let after_lower = before.is_some_and(char::is_lowercase);
        let last_capital = before.is_some_and(char::is_uppercase)
            && chars.peek().is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && (after_lower || last_capital) {
            cleaned.push(' ');
        }
        cleaned.push(c);
        before = Some(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(clean(text), expected);
    }

    #[test]
    fn numbers_ids_and_addresses_go() {
        check("Killed process 21877 (java)", "Killed process java");
        check("anon-rss:519204kB, 3.5 s", "anon rss, s");
        check("pod/7f3a91c0 at 10.0.0.7:5432", "pod at");
        check("segfault at 0x7ffe ip 00007f1c2a3b4c5d", "segfault at ip");
    }

    #[test]
    fn names_become_words() {
        check("node_vmstat_oom_kill", "node vmstat oom kill");
        check("MemAvailable OOMKilled", "Mem Available OOM Killed");
        check("I/O error on eth0", "I O error on eth0");
    }

    #[test]
    fn sentences_keep_their_ends() {
        check(
            "It died. Why, then?  No\tone knows",
            "It died. Why, then? No one knows",
        );
        check("...", "");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é ".repeat(TEXT_BYTES_MAX);
        assert!(clean(&text).len() <= TEXT_BYTES_MAX);
    }
}
