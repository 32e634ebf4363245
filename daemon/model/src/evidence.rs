//! A line of a log as evidence: all that it says, but for the secrets in it.
//!
//! Other than a text that leaves the host ([`crate::scrub`]), evidence keeps its addresses, numbers and
//! signs: who reads it later wants to know which client, which request and which file. What it says is
//! signed and stays, so a password that a program wrote into its log must not come with it.

use crate::scrub::{BETWEEN, KEYS, MADE, SECRET, changes, is_base64, is_plain_word};

/// A run of letters and digits from this length on may be a key.
const KEY_CHARS_MIN: usize = 20;
/// How a JSON web token begins: `{"` in base64url (RFC 7519).
const WEB_TOKEN: &str = "eyJ";
/// Signs after which another name may begin within a word.
const PARTS: [char; 9] = [',', ';', '&', '?', '{', '(', '[', '"', '\''];

/// The line without passwords, tokens and keys, each of which becomes `(secret)`. White space and
/// all other words stay.
pub fn without_secrets(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut hide_next = false;
    let mut words = line.split_inclusive(char::is_whitespace).peekable();
    while let Some(piece) = words.next() {
        let word = piece.trim_end_matches(char::is_whitespace);
        let space = &piece[word.len()..];
        let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let small = bare.to_lowercase();
        if hide_next {
            let leads_on = bare.is_empty() || BETWEEN.contains(&small.as_str());
            clean.push_str(if leads_on { word } else { SECRET });
            hide_next = leads_on;
        } else {
            let next = words.peek().map_or("", |next| next.trim_end());
            hide_next = KEYS
                .iter()
                .any(|key| small.ends_with(key) && !(*key == MADE && is_plain_word(next)));
            clean.push_str(&hide_in(word));
        }
        clean.push_str(space);
    }
    clean
}

/// A word without the secret in it.
fn hide_in(word: &str) -> String {
    if let Some(end) = named_secret(word) {
        return format!("{}{SECRET}", &word[..end]);
    }
    if let Some((before, rest)) = word.split_once("://") {
        let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(host_ends);
        if let Some((_, host)) = place.rsplit_once('@') {
            return format!("{before}://{SECRET}@{host}{path}");
        }
    } else if let Some((before, after)) = word.rsplit_once('@')
        && before.contains(':')
    {
        return format!("{SECRET}@{after}");
    }
    // Hexadecimal words are ids, most of them.
    let is_id = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_token = word.contains(WEB_TOKEN) && word.len() >= KEY_CHARS_MIN;
    if is_token || is_base64(word) && !is_id {
        return SECRET.to_owned();
    }
    hide_keys(word)
}

/// Where the value begins of a name that a secret has: `DB_PASSWORD=x`, `"token":"x"`, `?api_key=x`.
/// All that comes after it in the word may belong to it.
fn named_secret(word: &str) -> Option<usize> {
    let small = word.to_ascii_lowercase();
    word.match_indices(['=', ':'])
        .map(|(at, _)| at)
        .filter(|at| at + 1 < word.len())
        .find(|at| {
            let name = small[..*at].trim_end_matches(PARTS);
            let name = name.rsplit(PARTS).next().unwrap_or_default();
            KEYS.iter().any(|key| name.contains(key))
        })
        .map(|at| at + 1)
}

/// Hides runs of letters and digits that look as if drawn by lot, but for hexadecimal ones.
fn hide_keys(word: &str) -> String {
    let is_run = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut clean = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(start) = rest.find(is_run) {
        let (before, run_on) = rest.split_at(start);
        let end = run_on.find(|c| !is_run(c)).unwrap_or(run_on.len());
        let (run, after) = run_on.split_at(end);
        clean.push_str(before);
        clean.push_str(if is_key(run) { SECRET } else { run });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

fn is_key(run: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| run.bytes().any(|byte| kind(&byte));
    let parts = run.split(['_', '-']);
    let random =
        parts.filter(|part| part.len() >= KEY_CHARS_MIN - 4 && changes(part) * 4 >= part.len());
    run.len() >= KEY_CHARS_MIN
        && has(u8::is_ascii_digit)
        && has(|byte| byte.is_ascii_alphabetic() && !byte.is_ascii_hexdigit())
        && random.count() > 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for line in [
            "2026-08-14T02:17:03 web[4242]: GET /a?x=1 from 10.0.0.7:5432 took 31 ms",
            "\tat com.shop.Cart.add(Cart.java:71)   ",
            "container 4f66ad9a0b2e4c6d8f00112233445566778899aabbccddeeff00112233445566 died",
            "conn 550e8400-e29b-41d4-a716-446655440000 to fe80::1 (eth0) closed: \"broken pipe\"",
            "user ann@example.org logged in; BGP session closed.",
            "systemd-ask-password-console.service: Deactivated successfully.",
            "SKB_DROP_REASON_NETFILTER_DROP x86_64-unknown-linux-gnu nvme-Samsung_SSD_980_PRO_1TB",
            "",
        ] {
            assert_eq!(without_secrets(line), line);
        }
    }

    #[test]
    fn secrets_go_and_all_around_them_stays() {
        for (line, expected) in [
            ("DB_PASSWORD=hunter2 failed", "DB_PASSWORD=(secret) failed"),
            ("the password is  hunter2!", "the password is  (secret)"),
            (
                "Authorization: Bearer abc.def",
                "Authorization: Bearer (secret)",
            ),
            (
                "postgres://app:pw@db:5432/shop down",
                "postgres://(secret)@db:5432/shop down",
            ),
            ("app:pw@db refused", "(secret)@db refused"),
            (
                "{\"user\":\"bob\",\"password\":\"a#b&c\"} ok",
                "{\"user\":\"bob\",\"password\":(secret) ok",
            ),
            (
                "GET https://api/x?page=2&api_key=zzz 401",
                "GET https://api/x?page=2&api_key=(secret) 401",
            ),
            (
                "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc end",
                "jwt (secret) end",
            ),
            (
                "pushed with ghp_a1B2c3D4e5F6g7H8i9J0k1L2",
                "pushed with (secret)",
            ),
        ] {
            assert_eq!(without_secrets(line), expected);
        }
    }

    proptest! {
        #[test]
        fn no_named_secret_survives(
            before in ".{0,40}",
            place in "password|DB_PASSWORD|token|--api-key|client_secret",
            join in "=|: |:| is | = | ",
            secret in "[a-zA-Z0-9][a-zA-Z0-9!#%&*+,./?@^_~-]{7,23}",
        ) {
            let clean = without_secrets(&format!("{before} {place}{join}{secret}"));
            let part: String = secret.chars().take(8).collect();
            prop_assert!(before.contains(&part) || !clean.contains(&part), "{clean} has {part}");
        }

        #[test]
        fn any_line_keeps_its_white_space(line in "\\PC{0,200}") {
            let spaces = |text: &str| text.matches(char::is_whitespace).count();
            prop_assert_eq!(spaces(&without_secrets(&line)), spaces(&line));
        }
    }
}
