//! How far hostmedic may go on this host. Configuration can tighten what stands here, never
//! loosen it.

use hostmedic_model::{
    playbook::{HostTags, Phase},
    subject::Subject,
    time::Span,
};
use serde::Deserialize;
use wildmatch::WildMatch;

use crate::detect::limits::Role;

/// Units that hostmedic never touches, whatever the configuration says: without them the host
/// cannot be reached or healed, or they are not its business.
const PROTECTED: [&str; 22] = [
    "systemd-*",
    "dbus*",
    "polkit*",
    "ssh*",
    "medicd*",
    "medic-collector*",
    "getty@*",
    "serial-getty@*",
    "user@*",
    "user-runtime-dir@*",
    "init.scope",
    "*.scope",
    "*.slice",
    "*.mount",
    "*.automount",
    "*.swap",
    "*.device",
    "*.target",
    "networking.service",
    "NetworkManager*",
    "auditd*",
    "initrd-*",
];

/// `[policy]` of the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Phase of the whole host; a playbook may be held lower. Default: observe.
    pub phase: Phase,
    /// Units hostmedic treats as part of the machine, as globs (`*`, `?`); added to its own list.
    pub protected: Vec<String>,
    /// Units that only people may touch, as globs.
    pub never: Vec<String>,
    /// Units whose every action needs an operator's approval, as globs.
    pub approval_for: Vec<String>,
    /// Pause between two attempts on one unit; at least and by default 5 minutes.
    pub cooldown: Span,
    /// Attempts on one unit within an hour; at most and by default 1.
    pub per_unit_per_hour: u32,
    /// Attempts in one slice within an hour; at most and by default 3.
    pub per_slice_per_hour: u32,
    /// Scheduled work that is due within this time counts as running. Default 2 minutes.
    pub due_window: Span,
    /// How long a proposal waits for an operator. Default 15 minutes.
    pub approval_valid: Span,
    /// Evidence within this time belongs to the same incident, and an incident without any for
    /// this long may close. Default 2 minutes.
    pub deduplication: Span,
    /// A held incident is looked at again after this long at the latest. Default 10 seconds.
    pub reconsider: Span,
    /// What this host is, in words that playbooks ask for: `production`, `database`.
    pub tags: Vec<String>,
    /// What subjects are for, which decides how full their disks may be; the first that fits holds.
    pub roles: Vec<RoleOf>,
    /// Programs that are backups, by `comm`; set from the calendar's configuration.
    #[serde(skip)]
    pub backup_programs: Vec<String>,
    /// Programs that are package transactions, by `comm`; set from the calendar's configuration.
    #[serde(skip)]
    pub package_programs: Vec<String>,
}

/// What the subjects that a pattern names are for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleOf {
    /// A glob (`*`, `?`) of subjects as people see them: `mount /var/lib/postgresql`, `host`.
    pub subject: String,
    /// What they are for.
    pub role: Role,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            phase: Phase::Observe,
            protected: Vec::new(),
            never: Vec::new(),
            approval_for: Vec::new(),
            cooldown: Span::minutes(5),
            per_unit_per_hour: 1,
            per_slice_per_hour: 3,
            due_window: Span::minutes(2),
            approval_valid: Span::minutes(15),
            deduplication: Span::minutes(2),
            reconsider: Span::secs(10),
            tags: Vec::new(),
            roles: Vec::new(),
            backup_programs: Vec::new(),
            package_programs: Vec::new(),
        }
    }
}

impl Policy {
    /// Checks that nothing is looser than the founding limits.
    ///
    /// # Errors
    /// Names the key, its value and the bound.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |key: &str, value: String, bound: &str| {
            Err(format!("policy.{key} is {value}; it must be {bound}"))
        };
        if self.cooldown < Span::minutes(5) {
            return wrong("cooldown", self.cooldown.to_string(), "at least 5m");
        }
        if self.per_unit_per_hour > 1 {
            return wrong(
                "per_unit_per_hour",
                self.per_unit_per_hour.to_string(),
                "0 or 1",
            );
        }
        if self.per_slice_per_hour > 3 {
            return wrong(
                "per_slice_per_hour",
                self.per_slice_per_hour.to_string(),
                "at most 3",
            );
        }
        if self.due_window > Span::minutes(24 * 60) {
            return wrong("due_window", self.due_window.to_string(), "at most 1 day");
        }
        if self.approval_valid > Span::minutes(60) || self.approval_valid.0.is_zero() {
            return wrong(
                "approval_valid",
                self.approval_valid.to_string(),
                "above 0 and at most 1h",
            );
        }
        if self.deduplication < Span::secs(10) || self.deduplication > Span::minutes(60) {
            return wrong(
                "deduplication",
                self.deduplication.to_string(),
                "within 10s and 1h",
            );
        }
        if self.reconsider < Span::secs(1) || self.reconsider > Span::minutes(10) {
            return wrong(
                "reconsider",
                self.reconsider.to_string(),
                "within 1s and 10m",
            );
        }
        if let Some(tag) = self.tags.iter().find(|tag| !HostTags::is_tag(tag)) {
            let bound = "of small letters, digits and `-`, a letter first, 40 at most";
            return wrong("tags", format!("{tag:?}"), bound);
        }
        Ok(())
    }

    /// The pattern that protects `unit`, if one does.
    pub(crate) fn protects<'a>(&'a self, unit: &str) -> Option<&'a str> {
        let own = PROTECTED.iter().copied();
        first_match(own.chain(self.protected.iter().map(String::as_str)), unit)
    }

    /// The pattern of the never-list that names `unit`, if one does.
    pub(crate) fn forbids<'a>(&'a self, unit: &str) -> Option<&'a str> {
        first_match(self.never.iter().map(String::as_str), unit)
    }

    /// What `subject` is for.
    pub(crate) fn role(&self, subject: &Subject) -> Role {
        let name = subject.to_string();
        self.roles
            .iter()
            .find(|of| WildMatch::new(&of.subject).matches(&name))
            .map_or(Role::General, |of| of.role)
    }

    /// The pattern that makes `unit` need an approval, if one does.
    pub(crate) fn asks_for<'a>(&'a self, unit: &str) -> Option<&'a str> {
        first_match(self.approval_for.iter().map(String::as_str), unit)
    }
}

fn first_match<'a>(mut patterns: impl Iterator<Item = &'a str>, unit: &str) -> Option<&'a str> {
    patterns.find(|pattern| WildMatch::new(pattern).matches(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_can_be_tightened_but_not_loosened() {
        let default = Policy::default();
        assert_eq!(default.check(), Ok(()));
        let tighter = Policy {
            per_unit_per_hour: 0,
            cooldown: Span::minutes(30),
            ..default.clone()
        };
        assert_eq!(tighter.check(), Ok(()));
        for looser in [
            Policy {
                per_unit_per_hour: 2,
                ..default.clone()
            },
            Policy {
                per_slice_per_hour: 4,
                ..default.clone()
            },
            Policy {
                cooldown: Span::minutes(4),
                ..default.clone()
            },
        ] {
            assert!(looser.check().is_err(), "{looser:?}");
        }
    }

    #[test]
    fn a_tag_is_a_plain_word() {
        let tagged = |tag: &str| Policy {
            tags: vec!["production".into(), tag.into()],
            ..Policy::default()
        };
        assert_eq!(tagged("postgres-17").check(), Ok(()));
        for tag in ["", "Database", "two words", "-x", "7", &"a".repeat(41)] {
            let error = tagged(tag).check();
            assert!(
                error.is_err_and(|error| error.contains("policy.tags")),
                "{tag}"
            );
        }
    }

    #[test]
    fn the_first_role_that_fits_holds() {
        let role = |subject: &str, role| RoleOf {
            subject: subject.into(),
            role,
        };
        let policy = Policy {
            roles: vec![
                role("mount /var/lib/postgresql*", Role::Database),
                role("mount /var/*", Role::LogServer),
            ],
            ..Policy::default()
        };
        for (path, role) in [
            ("/var/lib/postgresql/17", Role::Database),
            ("/var/log", Role::LogServer),
            ("/", Role::General),
        ] {
            assert_eq!(policy.role(&Subject::Mount(path.into())), role, "{path}");
        }
    }

    #[test]
    fn the_machine_itself_is_always_protected() {
        let policy = Policy {
            protected: vec!["vault*".into()],
            ..Policy::default()
        };
        for unit in [
            "dbus.service",
            "sshd.service",
            "systemd-journald.service",
            "medicd.service",
            "vault.service",
        ] {
            assert!(policy.protects(unit).is_some(), "{unit}");
        }
        assert_eq!(policy.protects("web.service"), None);
    }
}
