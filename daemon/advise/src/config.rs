//! `[language_model]` of the configuration: whom to ask. Without the section nobody is asked.

use std::{net::IpAddr, path::PathBuf};

use hostmedic_model::time::Span;
use hyper::Uri;
use serde::Deserialize;

/// Longest name of a model.
const MODEL_CHARS_MAX: usize = 128;

/// `[language_model]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server is, up to and with its version: `https://api.example.org/v1`.
    pub base_url: String,
    /// Which of its models.
    pub model: String,
    /// File that holds the key to the server, and nothing else; must not be readable by everybody.
    pub api_key_file: Option<PathBuf>,
    /// Authorities to trust instead of the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Whether what is asked may cross a network unencrypted.
    #[serde(default)]
    pub plain_http: bool,
    /// How long an answer is waited for. Default 10 seconds.
    #[serde(default = "wait_max")]
    pub wait_max: Span,
    /// Questions within any hour. Default 20.
    #[serde(default = "per_hour")]
    pub per_hour: u32,
}

fn wait_max() -> Span {
    Span::secs(10)
}

fn per_hour() -> u32 {
    20
}

impl Config {
    /// Checks what can be checked without asking anybody.
    ///
    /// # Errors
    /// Names the key, what is wrong with it, and what to write.
    pub fn check(&self) -> Result<(), String> {
        self.endpoint()?;
        if self.model.trim().is_empty() || self.model.chars().any(char::is_control) {
            return Err("model must name one of the server's models".to_owned());
        }
        if self.model.chars().count() > MODEL_CHARS_MAX {
            return Err(format!("model is longer than {MODEL_CHARS_MAX} characters"));
        }
        Ok(())
    }

    /// Where questions are posted to.
    pub(crate) fn endpoint(&self) -> Result<Uri, String> {
        let wrong = |what: &str| format!("base_url {what}; write one like https://HOST/v1");
        let base = self.base_url.trim_end_matches('/');
        let url: Uri = format!("{base}/chat/completions")
            .parse()
            .map_err(|error| wrong(&format!("is no URL ({error})")))?;
        let authority = url.authority().ok_or_else(|| wrong("names no host"))?;
        // Not quoted: what stands before the @ may be a secret.
        if authority.as_str().contains('@') {
            return Err("base_url holds a name or a key; put the key into api_key_file".to_owned());
        }
        if base.contains(['?', '#']) {
            return Err(wrong("has a query or a fragment"));
        }
        match url.scheme_str() {
            Some("https") => Ok(url),
            Some("http") if self.plain_http || is_loopback(authority.host()) => Ok(url),
            Some("http") => Err(format!(
                "base_url leaves this host unencrypted ({}); use https, or say plain_http = true",
                authority.host()
            )),
            _ => Err(wrong("is neither https nor http")),
        }
    }
}

/// Whether `host` is this host.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_local = |address: IpAddr| address.is_loopback();
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_local)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn config(base_url: &str) -> Config {
        Config {
            base_url: base_url.to_owned(),
            model: "m".to_owned(),
            api_key_file: None,
            ca_file: None,
            plain_http: false,
            wait_max: wait_max(),
            per_hour: per_hour(),
        }
    }

    #[test]
    fn the_endpoint_stands_below_the_base() {
        for base in ["https://api.example.org/v1", "https://api.example.org/v1//"] {
            let url = config(base).endpoint().unwrap();
            assert_eq!(url, "https://api.example.org/v1/chat/completions");
        }
        for local in [
            "http://127.0.0.1:8080/v1",
            "http://localhost:11434/v1",
            "http://[::1]:8080",
        ] {
            assert_eq!(config(local).check(), Ok(()), "{local}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (base, says) in [
            ("", "base_url"),
            ("api.example.org/v1", "base_url"),
            ("ftp://x/v1", "neither https nor http"),
            ("http://10.0.0.7:8080/v1", "unencrypted (10.0.0.7)"),
            ("http://127.0.0.1.example.org/v1", "unencrypted"),
            ("http://localhost@evil.example/v1", "api_key_file"),
            ("https://x/v1?key=1", "query"),
            ("https://x/v1#a", "fragment"),
        ] {
            let error = config(base).check().unwrap_err();
            assert!(error.contains(says), "{base}: {error}");
        }
        let secret = config("https://me:hunter2@x/v1").check().unwrap_err();
        assert!(!secret.contains("hunter2"), "{secret}");
        let unnamed = Config {
            model: " ".into(),
            ..config("https://x/v1")
        };
        assert!(unnamed.check().unwrap_err().starts_with("model must name"));
        let allowed = Config {
            plain_http: true,
            ..config("http://10.0.0.7:8080/v1")
        };
        assert_eq!(allowed.check(), Ok(()));
    }

    #[test]
    fn a_section_needs_two_keys_and_knows_no_others() {
        let read = |text: &str| toml::from_str::<Config>(text).map_err(|error| error.to_string());
        let least = "base_url = \"https://x/v1\"\nmodel = \"m\"\n";
        let config = read(least).unwrap();
        assert_eq!((config.wait_max, config.per_hour), (Span::secs(10), 20));
        assert!(!config.plain_http && config.api_key_file.is_none());
        let typo = read(&format!("{least}api_key = \"x\"\n")).unwrap_err();
        assert!(typo.contains("unknown field `api_key`"), "{typo}");
        assert!(read("model = \"m\"\n").is_err());
    }
}
