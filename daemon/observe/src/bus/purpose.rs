//! What scheduled work is for, told from its unit's name and description: pure.
//!
//! A backup protects every unit, other work only those it is related to; taking one for the
//! other loses either a night's data or the ability to act.

use hostmedic_model::{calendar::Purpose, subject::UnitName};

/// Words that mark a unit as a backup. `*` stands for any letters at that end of a word; a
/// pattern with other signs in it is looked for anywhere.
pub const BACKUP_PATTERNS: [&str; 22] = [
    "*backup*",
    "dump",
    "dumps",
    "dumpall",
    "pgdump",
    "*sqldump",
    "mongodump",
    "snapshot*",
    "rsnapshot",
    "snapper",
    "timeshift",
    "sanoid",
    "syncoid",
    "archive",
    "borg*",
    "restic*",
    "duplicity",
    "duply",
    "barman*",
    "pgbackrest",
    "wal-g",
    "pg_dump",
];

/// Words that mark a unit as a package transaction.
pub const PACKAGE_PATTERNS: [&str; 8] = [
    "apt-daily",
    "unattended-upgrade",
    "dnf-automatic",
    "yum-cron",
    "packagekit",
    "zypper",
    "transactional-update",
    "pacman",
];

/// Units whose name has such a word for another reason: systemd's own (core dumps) and the
/// kernel's crash dumps.
const NOT_BACKUPS: [&str; 3] = ["systemd-", "kdump", "makedumpfile"];

/// What the unit is for.
pub fn purpose_of(
    unit: &UnitName,
    description: &str,
    backup: &[String],
    package: &[String],
) -> Purpose {
    let name = unit
        .as_str()
        .rsplit_once('.')
        .map_or(unit.as_str(), |(name, _)| name)
        .to_lowercase();
    let description = description.to_lowercase();
    let any = |patterns: &[String]| {
        let mut patterns = patterns.iter().map(|pattern| pattern.to_lowercase());
        patterns.any(|pattern| matches(&pattern, &name) || matches(&pattern, &description))
    };
    // A package manager's own backup of its database matches both; it copies data, so it is one.
    if NOT_BACKUPS.iter().all(|prefix| !name.starts_with(prefix)) && any(backup) {
        return Purpose::Backup;
    }
    if any(package) {
        Purpose::PackageTransaction
    } else {
        Purpose::Other
    }
}

/// Whether a lower-case pattern is found in a lower-case text.
fn matches(pattern: &str, text: &str) -> bool {
    let core = pattern.trim_matches('*');
    if core.is_empty() {
        return false;
    }
    if !core.chars().all(char::is_alphanumeric) {
        return text.contains(core);
    }
    let (before, after) = (pattern.starts_with('*'), pattern.ends_with('*'));
    text.split(|c: char| !c.is_alphanumeric())
        .any(|word| match (before, after) {
            (false, false) => word == core,
            (false, true) => word.starts_with(core),
            (true, false) => word.ends_with(core),
            (true, true) => word.contains(core),
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn check(unit: &str, description: &str, expected: Purpose) {
        let unit = UnitName::new(unit).unwrap();
        let backup = BACKUP_PATTERNS.map(String::from);
        let package = PACKAGE_PATTERNS.map(String::from);
        assert_eq!(
            purpose_of(&unit, description, &backup, &package),
            expected,
            "{unit} {description}"
        );
    }

    #[test]
    fn backups_are_known_by_name_or_description() {
        for unit in [
            "backup.service",
            "db-backup@main.service",
            "nightlybackups.service",
            "borgmatic.service",
            "restic-home.service",
            "pg_dump.service",
            "pgdump.service",
            "mysqldump-all.service",
            "wal-g-push.service",
            "snapper-timeline.service",
            "BackupPC.service",
        ] {
            check(unit, "", Purpose::Backup);
        }
        check(
            "nightly.service",
            "Dump the shop's database",
            Purpose::Backup,
        );
        check(
            "dpkg-db-backup.service",
            "Daily dpkg database backup service",
            Purpose::Backup,
        );
    }

    #[test]
    fn core_dumps_and_packet_dumps_are_no_backups() {
        check(
            "systemd-coredump@1-2-0.service",
            "Process Core Dump (PID 2/UID 0)",
            Purpose::Other,
        );
        check("kdump.service", "Crash dump kernel", Purpose::Other);
        check("tcpdump.service", "Capture packets", Purpose::Other);
        check("snapd.service", "Snap Daemon", Purpose::Other);
        check("logrotate.service", "Rotate log files", Purpose::Other);
    }

    #[test]
    fn package_transactions_are_known() {
        check(
            "apt-daily-upgrade.service",
            "Daily apt upgrade and clean activities",
            Purpose::PackageTransaction,
        );
        check(
            "dnf-automatic-install.service",
            "",
            Purpose::PackageTransaction,
        );
    }

    #[test]
    fn an_empty_pattern_matches_nothing() {
        let unit = UnitName::new("web.service").unwrap();
        let none = [String::new(), "*".to_owned()];
        assert_eq!(purpose_of(&unit, "x", &none, &none), Purpose::Other);
    }
}
