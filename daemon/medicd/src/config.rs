//! TOML to a checked [`Config`]. A key that nobody knows is an error: a guard with a typo in its
//! name would be a guard that is off.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hostmedic_advise::Config as LanguageModel;
use hostmedic_model::time::Span;
use hostmedic_observe::{bus::calendar::CalendarConfig, host::CertificatesConfig};
use hostmedic_reason::{advice::Settings, policy::Policy};
use serde::Deserialize;

/// Everything medicd can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Ledger, key and pause flag.
    #[serde(default = "state_dir")]
    pub(crate) state_dir: PathBuf,
    /// Local API.
    #[serde(default = "socket")]
    pub(crate) socket: PathBuf,
    /// Playbooks, one file each.
    #[serde(default = "playbooks_dir")]
    pub(crate) playbooks_dir: PathBuf,
    /// This host's drop-ins, `NAME.d/*.yaml`: they can only tighten. Need not exist.
    #[serde(default = "playbooks_local_dir")]
    pub(crate) playbooks_local_dir: PathBuf,
    /// How often numbers are taken; 1 s to 5 min.
    #[serde(default = "sample_every")]
    pub(crate) sample_every: Span,
    /// D-Bus address of the systemd to watch; the system's own without it.
    pub(crate) bus_address: Option<String>,
    /// Where that systemd's cgroup tree begins, as seen from here; empty for the host's own.
    #[serde(default)]
    pub(crate) cgroup_below: String,
    /// Journal to read instead of the host's own.
    pub(crate) journal_dir: Option<PathBuf>,
    /// Where that systemd's files begin, as seen from here; evidence is read below it.
    #[serde(default = "root")]
    pub(crate) root: PathBuf,
    /// Whether to load the kernel probes. Off only where another kernel's events would come.
    #[serde(default = "yes")]
    pub(crate) probes: bool,
    #[serde(default)]
    pub(crate) capture: Capture,
    #[serde(default)]
    pub(crate) logs: Logs,
    #[serde(default)]
    pub(crate) access: Access,
    #[serde(default)]
    pub(crate) policy: Policy,
    #[serde(default)]
    pub(crate) calendar: CalendarConfig,
    #[serde(default)]
    pub(crate) certificates: CertificatesConfig,
    pub(crate) collector: Option<Collector>,
    /// Who is asked for a second opinion on a ranking. Without it nobody is.
    pub(crate) language_model: Option<LanguageModel>,
}

/// `[capture]`: what the probes do, and what they may cost.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Capture {
    /// Hooks to leave out, by name.
    pub(crate) without: Vec<String>,
    /// Measure how long requests to disks take. Costs a little for each request.
    pub(crate) disk_latency: bool,
    /// Share of one core that one hook may take before it does less.
    pub(crate) hook_budget_ratio: f64,
    /// Share of one core that all hooks together may take.
    pub(crate) all_budget_ratio: f64,
    /// Directory of a BPF file system in which counters survive the daemon.
    pub(crate) pin_dir: PathBuf,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            without: Vec::new(),
            disk_latency: false,
            hook_budget_ratio: 0.002,
            all_budget_ratio: 0.01,
            pin_dir: "/run/hostmedic-bpf/pins".into(),
        }
    }
}

impl Capture {
    fn check(&self) -> Result<(), String> {
        for (name, ratio) in [
            ("hook_budget_ratio", self.hook_budget_ratio),
            ("all_budget_ratio", self.all_budget_ratio),
        ] {
            if !(0.0001..=1.0).contains(&ratio) {
                return Err(format!(
                    "capture.{name} is {ratio}; it is a share of one core from 0.0001 to 1"
                ));
            }
        }
        let known = hostmedic_observe::kernel::hook_names();
        match self
            .without
            .iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            Some(unknown) => Err(format!(
                "capture.without names `{unknown}`, which is no hook; there are {}",
                known.join(", ")
            )),
            None => Ok(()),
        }
    }
}

/// `[logs]`: what is read of the journal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Logs {
    /// Follow it, and tell what kinds of lines units write at `warning` and worse.
    pub(crate) follow: bool,
}

impl Default for Logs {
    fn default() -> Self {
        Self { follow: true }
    }
}

/// `[access]`: who may use the socket.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    /// May look.
    pub(crate) reader_group: String,
    /// May look and decide.
    pub(crate) operator_group: String,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            reader_group: "hostmedic-read".into(),
            operator_group: "hostmedic-operator".into(),
        }
    }
}

/// `[collector]`: where records are copied to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collector {
    /// What `medic-collector enrol` made for this host.
    pub(crate) bundle: PathBuf,
}

/// What the loop has to know of the language model.
pub(crate) fn advice_settings(section: &LanguageModel) -> Settings {
    Settings {
        model: section.model.clone(),
        wait_max: section.wait_max,
        per_hour: section.per_hour,
    }
}

fn state_dir() -> PathBuf {
    "/var/lib/hostmedic".into()
}

fn socket() -> PathBuf {
    "/run/hostmedic/medicd.sock".into()
}

fn playbooks_local_dir() -> PathBuf {
    "/etc/hostmedic/playbooks.d".into()
}

fn root() -> PathBuf {
    "/".into()
}

fn playbooks_dir() -> PathBuf {
    "/usr/share/hostmedic/playbooks".into()
}

fn sample_every() -> Span {
    Span::secs(30)
}

fn yes() -> bool {
    true
}

/// Why the configuration or a playbook cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {reason}")]
    Wrong { path: PathBuf, reason: String },
    #[error(transparent)]
    Playbook(#[from] hostmedic_reason::playbook::PlaybookError),
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|reason| ConfigError::Wrong {
            path: path.to_owned(),
            reason,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        // toml's own text shows line, column and the line itself.
        let mut config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        config.policy.check()?;
        config.capture.check()?;
        config.certificates.check()?;
        if let Some(section) = &config.language_model {
            let checked = section.check();
            checked
                .and_then(|()| advice_settings(section).check())
                .map_err(|error| format!("language_model.{error}"))?;
        }
        if config.sample_every < Span::secs(1) || config.sample_every > Span::minutes(5) {
            return Err(format!(
                "sample_every is {}; it must lie within 1s and 5m",
                config.sample_every
            ));
        }
        config.policy.backup_programs = config.calendar.backup_programs.clone();
        config.policy.package_programs = config.calendar.package_programs.clone();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn the_shipped_configuration_is_read() {
        let config = Config::parse(include_str!("../../../systemd/medicd.toml")).unwrap();
        assert_eq!(
            config.policy.phase,
            hostmedic_model::playbook::Phase::Observe
        );
    }

    #[test]
    fn an_empty_configuration_only_observes() {
        let config = Config::parse("").unwrap();
        assert_eq!(
            config.policy.phase,
            hostmedic_model::playbook::Phase::Observe
        );
        assert!(!config.policy.backup_programs.is_empty());
    }

    #[test]
    fn a_typo_has_its_place() {
        let error = Config::parse("[policy]\nphaze = \"observe\"\n").unwrap_err();
        assert!(
            error.contains("phaze") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn the_journal_is_followed_unless_somebody_says_no() {
        assert!(Config::parse("").unwrap().logs.follow);
        assert!(Config::parse("[logs]\n").unwrap().logs.follow);
        assert!(
            !Config::parse("[logs]\nfollow = false\n")
                .unwrap()
                .logs
                .follow
        );
        let error = Config::parse("[logs]\nfolow = false\n").unwrap_err();
        assert!(error.contains("unknown field `folow`"), "{error}");
    }

    #[test]
    fn nobody_is_asked_unless_somebody_is_named() {
        assert!(Config::parse("").unwrap().language_model.is_none());
        let read = |more: &str| {
            let text = "[language_model]\nbase_url = \"http://127.0.0.1:8080/v1\"\nmodel = \"m\"\n";
            Config::parse(&format!("{text}{more}"))
        };
        assert!(read("").unwrap().language_model.is_some());
        for (more, says) in [
            ("wait_max = \"5m\"", "language_model.wait_max is 5m"),
            ("per_hour = 0", "language_model.per_hour is 0"),
            ("api_key = \"x\"", "unknown field `api_key`"),
        ] {
            let error = read(more).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let text = "[language_model]\nbase_url = \"http://db1/v1\"\nmodel = \"m\"\n";
        let error = Config::parse(text).unwrap_err();
        assert!(
            error.starts_with("language_model.base_url leaves"),
            "{error}"
        );
    }

    #[test]
    fn certificates_are_named_by_absolute_patterns() {
        let read = |files: &str| Config::parse(&format!("[certificates]\nfiles = {files}\n"));
        assert_eq!(Config::parse("").unwrap().certificates.files, None);
        let none = read("[]").unwrap().certificates.files;
        assert_eq!(none, Some(Vec::new()), "nothing is watched");
        assert!(read(r#"["/etc/nginx/tls/*.pem", "/etc/postfix/cert.pem"]"#).is_ok());
        for (files, says) in [
            (r#"["tls/*.pem"]"#, "`tls/*.pem` is no absolute path"),
            (r#"["/**/*.pem"]"#, "has `**`"),
            (r#"["/etc/[.pem"]"#, "is no pattern"),
        ] {
            let error = read(files).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(Config::parse("[certificates]\nfile = []\n").is_err());
    }

    #[test]
    fn limits_cannot_be_loosened_by_configuration() {
        let error = Config::parse("[policy]\nper_unit_per_hour = 5\n").unwrap_err();
        assert!(error.contains("per_unit_per_hour is 5"), "{error}");
    }
}
