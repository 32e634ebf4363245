//! A line of a log as words, without secrets and without what differs from run to run: numbers,
//! ids, addresses, paths and quotations become a word in brackets.

use hostmedic_model::scrub::scrub;

/// Words of a line that count, and their letters: beyond it lines hardly differ in kind.
const WORDS_MAX: usize = 24;
const CHARS_MAX: usize = 160;
/// A longer quotation is none: a quotation mark stood alone.
const QUOTED_BYTES_MAX: usize = 256;
/// Bytes of a line that are looked at.
const LINE_BYTES_MAX: usize = 1024;
/// What stands for what was taken out. `scrub` leaves these words alone.
const NUMBER: &str = "(n)";
const PATH: &str = "(path)";
const TEXT: &str = "(text)";
/// What `scrub` puts for an id, which may be a long number.
const ID: &str = "(id)";
/// A line without any word.
const NOTHING: &str = "(empty)";

/// The words of the first line of `text` that is not empty; at least one.
pub(super) fn words(text: &str) -> Vec<String> {
    let text = text.trim_start();
    let line = text.lines().next().unwrap_or_default();
    let line = without_quotations(&line[..line.floor_char_boundary(LINE_BYTES_MAX)]);
    // Before anything else: what is masked first could hide a secret from the one who looks for it.
    let clean = scrub(&line, LINE_BYTES_MAX);
    let mut room = CHARS_MAX;
    let mut words = Vec::new();
    for word in clean.split_whitespace().take(WORDS_MAX) {
        let word = mask(word);
        let Some(left) = room.checked_sub(word.chars().count() + 1) else {
            break;
        };
        room = left;
        words.push(word);
    }
    if words.is_empty() {
        words.push(NOTHING.to_owned());
    }
    words
}

/// Puts a word for each quotation. In a line that is JSON, or where a name stands before the sign
/// (`msg="..."`), what is quoted is the message itself.
fn without_quotations(line: &str) -> String {
    if line.starts_with('{') {
        return line.to_owned();
    }
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        let begins = before.is_whitespace() || "([".contains(before);
        if begins && let Some(end) = quotation(c, after) {
            clean.push_str(TEXT);
            rest = &after[end..];
            before = ')';
        } else {
            clean.push(c);
            rest = after;
            before = c;
        }
    }
    clean
}

/// Where the quotation that `sign` begins ends in `text`, its sign included.
fn quotation(sign: char, text: &str) -> Option<usize> {
    let ends: &[char] = match sign {
        '"' => &['"'],
        '\'' => &['\''],
        '`' => &['`', '\''],
        '\u{201c}' => &['\u{201d}'],
        _ => return None,
    };
    let window = &text[..text.floor_char_boundary(QUOTED_BYTES_MAX)];
    window.match_indices(ends).find_map(|(at, end)| {
        let end = at + end.len();
        let next = text[end..].chars().next();
        // An apostrophe within a word ends nothing.
        (!next.is_some_and(char::is_alphanumeric)).then_some(end)
    })
}

/// One word, masked.
fn mask(word: &str) -> String {
    let mut clean = String::with_capacity(word.len());
    let mut rest = word;
    while !rest.is_empty() {
        let at_start = !clean.ends_with(char::is_alphanumeric);
        let taken = if at_start && let Some(path) = path(rest) {
            clean.push_str(PATH);
            path
        } else if let Some(run) = run(rest) {
            mask_run(&rest[..run], &mut clean);
            run
        } else {
            let c = rest.chars().next().unwrap_or_default();
            if rest.starts_with(ID) {
                clean.push_str(NUMBER);
                ID.len()
            } else {
                clean.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    join_numbers(&clean)
}

/// The length of an absolute path at the beginning of `text`.
fn path(text: &str) -> Option<usize> {
    let begins = ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start));
    let mut end = 0;
    let is_part = |c: char| c.is_alphanumeric() || "/._-+@%".contains(c);
    while begins && let Some(c) = text[end..].chars().next() {
        // An id within a path belongs to it.
        let masked = ["(id)", "(secret)", "(address)", "(mail)"]
            .into_iter()
            .find(|masked| text[end..].starts_with(masked));
        match masked {
            Some(masked) => end += masked.len(),
            None if is_part(c) => end += c.len_utf8(),
            None => break,
        }
    }
    let found = text[..end].trim_end_matches('.');
    found.contains(char::is_alphanumeric).then_some(found.len())
}

/// The length of the letters and digits at the beginning of `text`, if there are any.
fn run(text: &str) -> Option<usize> {
    let end = text
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(text.len());
    (end > 0).then_some(end)
}

/// `4242` is a number, `0x7f` is one, and of `worker7` the end.
fn mask_run(run: &str, clean: &mut String) {
    let hexadecimal = run
        .strip_prefix("0x")
        .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit()));
    if hexadecimal {
        clean.push_str(NUMBER);
        return;
    }
    let mut in_number = false;
    for c in run.chars() {
        if !c.is_numeric() {
            clean.push(c);
        } else if !in_number {
            clean.push_str(NUMBER);
        }
        in_number = c.is_numeric();
    }
}

/// `(n).(n)`, `(n):(n)`, `-(n)` and a date are one number each.
fn join_numbers(word: &str) -> String {
    let mut joined = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find(NUMBER) {
        let before = &rest[..at];
        let is_joint = matches!(before, "" | "." | ":" | "-" | "," | "/" | "+" | "T" | "_");
        if joined.ends_with(NUMBER) && is_joint {
            // One number goes on.
        } else {
            let signed = ["-", "+"]
                .iter()
                .any(|sign| before == *sign && joined.is_empty());
            joined.push_str(if signed { "" } else { before });
            joined.push_str(NUMBER);
        }
        rest = &rest[at + NUMBER.len()..];
    }
    joined.push_str(rest);
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(words(text).join(" "), expected);
    }

    #[test]
    fn what_differs_from_run_to_run_goes() {
        check(
            "worker process 4242 exited on signal 11",
            "worker process (n) exited on signal (n)",
        );
        check("took 12.5ms, not 3 s", "took (n)ms, not (n) s");
        check("took 12345 ms at 0x7fff12", "took (n) ms at (n)");
        check(
            "2026-08-14T02:17:03.412Z worker7: -5",
            "(n)Z worker(n): (n)",
        );
        check(
            "cannot open /etc/ssl/550e8400-e29b-41d4-a716-446655440000/key.pem: No such file",
            "cannot open (path): No such file",
        );
        check(
            "path=/srv/a.conf, and/or ./x.",
            "path=(path), and/or (path).",
        );
        check(
            "dial tcp 10.0.0.7:5432: connection refused",
            "dial tcp (address):(n): connection refused",
        );
        check(
            "request 550e8400-e29b-41d4-a716-446655440000 failed",
            "request (n) failed",
        );
    }

    #[test]
    fn quotations_go_but_not_messages() {
        check(
            r#"user "ann b" is 'new' can't"#,
            "user (text) is (text) can t",
        );
        check("file `x y' is gone", "file (text) is gone");
        check(
            r#"level=error msg="cannot reach db" n=3"#,
            "level=error msg= cannot reach db n=(n)",
        );
        check(
            r#"{"level": "error", "msg": "cannot reach db"}"#,
            "level : error , msg : cannot reach db",
        );
    }

    #[test]
    fn any_line_has_a_few_words() {
        check("", NOTHING);
        check("\u{1b}\u{0}", NOTHING);
        check("\n\n  first\nsecond", "first");
        assert_eq!(words(&"a ".repeat(100)).len(), WORDS_MAX);
        assert_eq!(words(&"abcdefghijklmnopqrs ".repeat(20)).len(), 8);
    }
}
