//! How long the certificates of this host's services are still good, from their files.
//!
//! Two numbers for each file: the seconds left, and the share of its time that is gone. The share
//! is what limits compare, because what is little depends on the certificate: 21 days are a warning
//! for one that lives for 90 days or for years, and more than one of 6 days ever has.
//!
//! Files change seldom and may lie on a file system that does not answer, so a thread reads them
//! once an hour; the numbers between are computed.

mod chain;
mod read;

use std::{
    collections::BTreeSet,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use hostmedic_model::{sample::Measure, subject::Subject, time::At};
use serde::Deserialize;

pub use self::chain::certificate_chain;
use self::read::{Found, Validity, find};
use super::{SourceProblem, Taken};

/// Where programs that fetch certificates by themselves keep them: certbot, acme.sh, dehydrated,
/// lego (also of NixOS), Caddy. Each file begins with the server's own certificate.
const PLACES: [&str; 6] = [
    "/etc/letsencrypt/live/*/fullchain.pem",
    "/etc/acme.sh/*/fullchain.cer",
    "/var/lib/dehydrated/certs/*/fullchain.pem",
    "/var/lib/acme/*/fullchain.pem",
    "/var/lib/lego/certificates/*.crt",
    "/var/lib/caddy/.local/share/caddy/certificates/*/*/*.crt",
];
/// Patterns that a configuration may name.
const PATTERNS_MAX: usize = 256;
/// Pause between two readings.
const READ_EVERY: Duration = Duration::from_secs(3600);
/// How long a round waits for a reading that it began; a slow one is taken by a later round.
const WAIT_MAX: Duration = Duration::from_millis(500);
/// A reading that takes longer is named as a problem.
const SLOW: Duration = Duration::from_secs(60);
/// Certificates whose numbers are told; of more, those that matter are chosen.
const TOLD_MAX: usize = 128;
/// From this share on a certificate comes before others: below all limits.
const NEAR_END: f64 = 0.7;
/// The last part of a longer life that the share is of, in seconds.
const LAST_S: i64 = 90 * 86_400;
/// Problems told by name; of more only the number.
const PROBLEMS_MAX: usize = 16;

/// `[certificates]`: which files are watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CertificatesConfig {
    /// Paths or patterns with `*`, `?` and `[...]`, each absolute. Without it, the places where
    /// programs that fetch certificates keep them; empty for none.
    pub files: Option<Vec<String>>,
}

impl CertificatesConfig {
    /// Whether each pattern can be one.
    ///
    /// # Errors
    /// Names the pattern and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let files = self.files.as_deref().unwrap_or_default();
        if files.len() > PATTERNS_MAX {
            let count = files.len();
            return Err(format!(
                "certificates.files has {count} entries; at most {PATTERNS_MAX} are read, and one \
                 pattern can name many files"
            ));
        }
        for file in files {
            let why = if !file.starts_with('/') {
                "is no absolute path".to_owned()
            } else if file.contains("**") {
                "has `**`, which could walk the whole tree; name each level by `*`".to_owned()
            } else if let Err(error) = glob::Pattern::new(file) {
                format!("is no pattern: {error}")
            } else {
                continue;
            };
            return Err(format!("certificates.files: `{file}` {why}"));
        }
        Ok(())
    }
}

/// The newest reading, and the one under way.
#[derive(Debug)]
pub(super) struct Certificates {
    config: CertificatesConfig,
    asked: Option<At>,
    answer: Option<mpsc::Receiver<Found>>,
    found: Found,
    /// Paths whose numbers were told in the last round.
    told: BTreeSet<String>,
}

impl Certificates {
    pub(super) fn new(config: CertificatesConfig) -> Self {
        Self {
            config,
            asked: None,
            answer: None,
            found: Found::default(),
            told: BTreeSet::new(),
        }
    }

    pub(super) fn sample(&mut self, taken: &mut Taken) {
        self.read(taken);
        for problem in self.found.problems.iter().take(PROBLEMS_MAX) {
            taken.problems.push(problem.clone());
        }
        let rest = self.found.problems.len().saturating_sub(PROBLEMS_MAX);
        if rest > 0 {
            taken.problem("certificates", format!("{rest} more files have problems"));
        }
        let now_s = taken.at.wall_ms.div_euclid(1000);
        let chosen = choose(&self.found.certificates, &self.told, now_s);
        for validity in &chosen {
            let subject = || Subject::Certificate(validity.path.clone());
            let (used, left) = (validity.used_ratio(now_s), validity.left_s(now_s));
            taken.sample(subject(), Measure::CertificateUsedRatio, used);
            taken.sample(subject(), Measure::CertificateLeftS, left);
        }
        self.told = chosen.into_iter().map(|told| told.path.clone()).collect();
    }

    /// Begins a reading when it is time, and takes one that has ended.
    fn read(&mut self, taken: &mut Taken) {
        let mut wait = Duration::ZERO;
        let is_due = |asked| taken.at.since(asked) >= READ_EVERY;
        if self.answer.is_none() && self.asked.is_none_or(is_due) {
            self.asked = Some(taken.at);
            wait = WAIT_MAX;
            let (send, answer) = mpsc::sync_channel(1);
            let config = self.config.clone();
            let reader = thread::Builder::new().name("certificates".to_owned());
            // Nobody waits for one that the daemon's end overtakes.
            match reader.spawn(move || drop(send.send(find(&config)))) {
                Ok(_) => self.answer = Some(answer),
                Err(error) => taken.problem("certificates", error),
            }
        }
        let Some(answer) = &self.answer else {
            return;
        };
        match answer.recv_timeout(wait) {
            Ok(found) => {
                self.found = found;
                self.answer = None;
            }
            Err(RecvTimeoutError::Timeout) => {
                let asked = self.asked.unwrap_or(taken.at);
                if taken.at.since(asked) >= SLOW {
                    let reason = "reading them has not ended; does their file system answer?";
                    taken.problem("certificates", reason);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                taken.problem("certificates", "reading them broke; tried again in an hour");
                self.answer = None;
            }
        }
    }
}

impl Validity {
    fn left_s(&self, now_s: i64) -> f64 {
        self.ends_s.saturating_sub(now_s) as f64
    }

    /// Share gone of the whole life, or of its last 90 days, 0..=1.
    fn used_ratio(&self, now_s: i64) -> f64 {
        let life_s = self.ends_s.saturating_sub(self.begins_s);
        let of_s = life_s.clamp(1, LAST_S);
        (1.0 - self.left_s(now_s) / of_s as f64).clamp(0.0, 1.0)
    }
}

/// Those whose numbers are told: first who is near the end, then who was told before (that one was
/// renewed must be seen), then who ends next.
fn choose<'a>(all: &'a [Validity], told: &BTreeSet<String>, now_s: i64) -> Vec<&'a Validity> {
    let mut chosen: Vec<&Validity> = all.iter().collect();
    if chosen.len() > TOLD_MAX {
        chosen.sort_by_cached_key(|validity| {
            let is_far = validity.used_ratio(now_s) < NEAR_END;
            let is_new = !told.contains(&validity.path);
            (is_far, is_new, validity.ends_s, &validity.path)
        });
        chosen.truncate(TOLD_MAX);
    }
    chosen
}

#[cfg(test)]
mod tests;
